//! The configuration that control publishes, and its orders: immutable, complete and validated.
//!
//! A [`Snapshot`] has the services with their dests, local addresses and options
//! ([`ServiceTable`]), the timeouts and the network. A [`Command`] is an order to a worker; an
//! [`Event`] is a message from a worker. `plan` is what control computes in advance for a
//! scheduler. Workers only read the configuration.

mod access;
mod command;
mod dest;
mod fwdmode;
mod match_packets;
mod options;
mod plan;
mod protocol;
mod scheduler_kind;
mod service;
mod service_index;
mod service_table;
mod snapshot;
mod timeouts;

pub use access::{Access, AddrSet};
pub use command::{Command, ConnInfo, ConnPage, Event};
pub use dest::{Dest, DestId, Laddr, LaddrId, LaddrUseId, MAX_LADDR_USES};
pub use fwdmode::{Encapsulation, FwdMode};
pub(crate) use match_packets::MatchFacts;
pub use match_packets::{DeviceName, EndRange, Match};
pub use options::{Persistence, ProxyProtocol, ServiceOptions, SynProxy, UoaOptions};
pub use plan::Plan;
pub(crate) use plan::hashing;
pub use protocol::Protocol;
pub use scheduler_kind::{HashOptions, HashTarget, SchedulerKind};
pub(crate) use service::FTP_CONTROL_PORT;
#[cfg(test)]
pub(crate) use service::tests as service_tests;
pub use service::{MAX_SERVICES, Service, ServiceId, ServiceKey};
pub(crate) use service_index::MOST_VIPS;
pub use service_table::ServiceTable;
pub use snapshot::{Defence, OnUnserved, ReturnPath, Snapshot};
pub use timeouts::Timeouts;
