//! The control plane: desired state, validation, gRPC services, snapshots. No DPDK.
//!
//! [`desired::Desired`] is what operators asked for, whole and valid at any time; [`Control`] owns
//! it together with the neighbour table and the rings to the workers, and publishes what changed.
//! The daemon (`dataplane`) makes one `Control`, serves it on a unix socket and ticks it.
#![forbid(unsafe_code)]

mod api;
mod connection;
mod control;
mod counts;
pub mod desired;
mod fleet;
mod loop_stats;
mod meter;
mod platform;
mod server;
mod state;
mod uncut;

pub use control::{Control, ControlConfig};
pub use counts::Counts;
pub use fleet::{ConnTableSize, WorkerHandle};
pub use loop_stats::LoopStats;
pub use platform::{LinkInfo, LinkStats, Platform, PlatformError, PoolInfo};
pub use server::serve;
