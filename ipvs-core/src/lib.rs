//! The load balancer's engine: packets in, verdicts out.
//!
//! Owns the conns, their timers and local ports, the schedulers and the TCP state table of one
//! worker. The shell (`dataplane`) gives it batches of packets and the time, and takes what comes
//! out; control gives it snapshots and commands. It reads no clock, does no I/O, takes no lock and
//! allocates nothing per packet. A test drives it with packets in `Vec`s and a time it makes up.
#![deny(unsafe_code)]

pub mod access;
mod batch;
mod census;
mod choice;
mod classify;
mod closing;
pub mod command;
pub mod conn;
mod connect;
mod dest_notes;
pub mod drop_reason;
mod echo;
pub mod engine;
pub mod expected;
mod extra;
mod family;
mod forward;
mod forward_fragments;
mod fragments;
mod ftp;
mod ftp_family;
mod held;
mod icmp;
mod icmp_send;
pub mod io;
mod ipsec;
mod laddrs;
mod lane;
mod lifetime;
mod limits;
pub mod matcher;
mod mixed;
mod new_segment;
mod one_way;
mod open;
mod orders;
mod output;
mod proxy_protocol;
mod receive;
mod reset;
mod rewrite;
pub mod sched;
mod sctp;
mod segment;
mod sequence;
pub mod service;
pub mod service_options;
pub mod service_table;
mod shaken;
mod shared;
mod simd;
mod slots;
pub mod snapshot;
mod splice;
pub mod stats;
mod steady;
mod strays;
mod syn_cookie;
mod syn_proxy;
mod tcp_options;
pub mod tcp_state;
pub mod templates;
pub mod time;
pub mod timeouts;
mod tunnel;
mod tunnel_errors;
pub mod tuple;
mod uoa;

pub use access::{Access, AddrSet};
pub use command::{Command, ConnInfo, ConnPage, Event};
pub use drop_reason::DropReason;
pub use engine::{BATCH, Engine, EngineConfig, Keys, Origin};
pub use io::Io;
pub use matcher::{DeviceName, EndRange, Match};
pub use service::{
    Dest, DestId, Encapsulation, FwdMode, HashOptions, HashTarget, Laddr, LaddrId, MAX_SERVICES,
    Protocol, SchedulerKind, Service, ServiceId, ServiceKey,
};
pub use service_options::{Persistence, ProxyProtocol, ServiceOptions, SynProxy, UoaOptions};
pub use service_table::ServiceTable;
pub use snapshot::{Defence, Snapshot};
pub use stats::{Counter, DestStats, ServiceStats, WorkerStats};
pub use tcp_state::TcpState;
pub use time::{Now, Tick};
pub use timeouts::Timeouts;
