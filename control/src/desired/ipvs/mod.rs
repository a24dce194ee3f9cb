//! Services, dests, local addresses and access lists as operators asked for them: `ipvsadm-rs`.
//!
//! `service` and `dest` have the calls, `dest_addrs` the addresses of all dests, `service_rules`
//! what may stand together, `service_error` why a change was refused. `laddr` joins a service and
//! an address of the director, `laddr_use` says where the conns of both are counted. `leaving` are
//! removed dests that still have conns, `drain` ends these at a deadline. `timeouts` are those of
//! conns.

mod access;
mod dest;
mod dest_addrs;
mod drain;
mod laddr;
mod laddr_use;
mod leaving;
mod service;
mod service_error;
mod service_rules;
mod timeouts;

pub use access::{AccessError, AccessList};
pub use dest::{DestEntry, DestRequest};
pub(in crate::desired) use dest_addrs::DestAddrs;
pub(in crate::desired) use drain::Drain;
pub use laddr::LaddrError;
pub(crate) use laddr_use::LeavingUse;
pub use laddr_use::{LaddrRemoval, LaddrUse};
pub use leaving::Removal;
pub(crate) use leaving::{Leaving, RemovedService};
pub use service::{ServiceEntry, ServiceRequest};
pub use service_error::ServiceError;
pub use timeouts::TimeoutsRequest;
