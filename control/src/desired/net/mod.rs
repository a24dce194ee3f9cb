//! Addresses and routes of the director as operators asked for them: `dpip`.
//!
//! An address makes the routes to itself and to its network. `laddr_entry` is an address whose
//! ports are shared out among the workers, `link_local` what each device with IPv6 has. VLAN, bond
//! and tunnel devices will have their files here.

mod address;
mod laddr_entry;
mod link_local;
mod route;

pub(in crate::desired) use address::is_host;
pub(crate) use address::require_host;
pub use address::{Address, AddressError, AddressRequest};
pub use laddr_entry::{LaddrEntry, LeavingLaddr};
pub use route::{RouteError, RouteFilter, RouteRequest};
