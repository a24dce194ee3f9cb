//! The load balancer's engine: packets in, verdicts out.
//!
//! Owns the conns, their timers and local ports, the schedulers and the TCP state table of one
//! worker. The shell (`dataplane`) gives it batches of packets and the time, and takes what comes
//! out; control gives it snapshots and commands. It reads no clock, does no I/O, takes no lock and
//! allocates nothing per packet. A test drives it with packets in `Vec`s and a time it makes up.
#![deny(unsafe_code)]

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

pub use config::access::{Access, AddrSet};
pub use config::command::{Command, ConnInfo, ConnPage, Event};
pub use config::dest::{Dest, DestId, Laddr, LaddrId};
pub use config::fwdmode::{Encapsulation, FwdMode};
pub use config::match_packets::{DeviceName, EndRange, Match};
pub use config::options::{Persistence, ProxyProtocol, ServiceOptions, SynProxy, UoaOptions};
pub use config::plan::Plan;
pub use config::protocol::Protocol;
pub use config::scheduler_kind::{HashOptions, HashTarget, SchedulerKind};
pub use config::service::{MAX_SERVICES, Service, ServiceId, ServiceKey};
pub use config::service_table::ServiceTable;
pub use config::snapshot::{Defence, Snapshot};
pub use config::timeouts::Timeouts;
pub use ctx::engine::Engine;
pub use drop_reason::DropReason;
pub use engine_config::{BATCH, EngineConfig, Keys, Origin};
pub use io::Io;
pub use state::stats::{Counter, DestStats, ServiceStats, WorkerStats};
pub use tcp_state::TcpState;
pub use time::{Now, Tick};
