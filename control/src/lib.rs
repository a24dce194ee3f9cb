//! The control plane: desired state, validation, gRPC services, snapshots. No DPDK.
//!
//! [`desired::Desired`] is what operators asked for, whole and valid at any time; [`Control`] owns
//! it together with the neighbour table and the rings to the workers, and publishes what changed.
//! The daemon (`dataplane`) makes one `Control`, serves it on a unix socket and ticks it.
#![forbid(unsafe_code)]

mod api;
pub mod desired;
mod platform;
mod publish;
mod socket;
mod telemetry;

pub use platform::{LinkHealth, LinkInfo, LinkStats, Platform, PlatformError, PoolInfo};
pub use publish::{ConnTableSize, Control, ControlConfig, LiveConfig, WorkerHandle};
pub use socket::{ServeError, serve};
pub use telemetry::{Counts, LoopStats};
