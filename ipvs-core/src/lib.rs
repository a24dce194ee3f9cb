//! The load balancer's engine: packets in, verdicts out.
//!
//! Owns the conns, their timers and local ports, the schedulers and the TCP state table of one
//! worker. The shell (`dataplane`) gives it batches of packets and the time, and takes what comes
//! out; control gives it snapshots and commands. It reads no clock, does no I/O, takes no lock and
//! allocates nothing per packet. A test drives it with packets in `Vec`s and a time it makes up.
#![deny(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod config;
pub mod conn;
mod ctx;
mod direction;
mod drop_reason;
mod engine;
mod engine_config;
mod helper;
mod input;
mod io;
mod lifecycle;
mod sched;
mod simd;
mod state;
pub mod tcp_state;
mod teardown;
mod time;
pub mod tuple;
mod wire;
mod xmit;

pub use config::Plan;
pub use config::Protocol;
pub use config::ServiceTable;
pub use config::Timeouts;
pub use config::{Access, AddrSet};
pub use config::{Command, ConnInfo, ConnPage, Event};
pub use config::{Defence, Snapshot};
pub use config::{Dest, DestId, Laddr, LaddrId};
pub use config::{DeviceName, EndRange, Match};
pub use config::{Encapsulation, FwdMode};
pub use config::{HashOptions, HashTarget, SchedulerKind};
pub use config::{MAX_SERVICES, Service, ServiceId, ServiceKey};
pub use config::{Persistence, ProxyProtocol, ServiceOptions, SynProxy, UoaOptions};
pub use ctx::Engine;
pub use drop_reason::DropReason;
pub use engine_config::{BATCH, EngineConfig, Keys, Origin};
pub use io::Io;
pub use sapool::WorkerId;
pub use state::{Counter, CounterInfo, DestStats, ServiceStats, SharedState, WorkerStats};
pub use tcp_state::TcpState;
pub use time::{Now, Tick};
