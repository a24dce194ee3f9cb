//! Services, dests, local addresses and access lists as operators asked for them: `ipvsadm-rs`.
//!
//! `service` has the calls, `service_rules` what may stand together, `service_error` why a change
//! was refused. `laddr` joins a service and an address of the director. `drain` ends what a dest of
//! weight 0 still has.

mod access;
mod drain;
mod laddr;
mod service;
mod service_error;
mod service_rules;

pub use access::{AccessError, AccessList};
pub(in crate::desired) use drain::Drain;
pub use laddr::LaddrError;
pub use service::{DestEntry, DestRequest, ServiceEntry, ServiceRequest};
pub use service_error::ServiceError;
