//! The lite IP stack: devices, addresses, routes, neighbours, ARP, neighbour discovery and ICMP.
//!
//! It has two halves. [`Net`] is what workers read: immutable, published by control inside the
//! engine's snapshot. [`NeighbourTable`] is what control owns: it turns what workers learned, and
//! the passing of time, into a new [`Net`] and frames to send. The engine and control use this
//! crate.
//!
//! The crate is pure: the time is an argument, and nothing does I/O.
//!
//! ```
//! use inet::{IfIndex, Prefix, Route, RouteScope, RouteTable};
//!
//! let mut routes = RouteTable::default();
//! let prefix: Prefix = "10.0.0.0/8".parse().expect("a prefix");
//! let gateway = "192.168.0.1".parse().ok();
//! routes
//!     .insert(Route {
//!         prefix,
//!         ifindex: IfIndex(1),
//!         gateway,
//!         src: None,
//!         mtu: 1500,
//!         metric: 0,
//!         scope: RouteScope::Global,
//!         auto: false,
//!     })
//!     .expect("the first route to this prefix");
//! let found = routes.lookup([10, 1, 2, 3].into());
//! assert_eq!(found.and_then(|route| route.gateway), gateway);
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod chunked;
pub mod device;
pub mod frame;
pub mod hash;
pub mod icmp;
pub mod icmpv6;
mod local_addr;
pub mod neighbour;
pub mod net;
pub mod prefix;
pub mod rate_limit;
pub mod route;
mod scope;
pub mod sharded;
mod sources;

pub use device::{Device, IfIndex};
pub use frame::Frame;
pub use local_addr::LocalAddr;
pub use neighbour::{AddressConflict, NeighbourNews, NeighbourTable, arp, nd};
pub use net::{Hop, MacPair, Net, Nexthop, NexthopId};
pub use prefix::{InvalidPrefix, Prefix};
pub use rate_limit::RateLimit;
pub use route::{Route, RouteScope, RouteTable};
pub use scope::is_link_local;
pub use sharded::Sharded;
