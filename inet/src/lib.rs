//! The lite IP stack: devices, addresses, routes, neighbours, ARP, neighbour discovery and ICMP.
//!
//! Two halves. [`Net`] is what workers read: immutable, published by control inside the engine's
//! snapshot. [`neighbour::NeighbourTable`] is what control owns: the state machine of ARP and
//! neighbour discovery that turns news from workers and the passing of time into a new [`Net`] and
//! frames to send. Pure: the time is an argument, nothing does I/O.
#![forbid(unsafe_code)]

pub mod arp;
mod chunked;
pub mod device;
pub mod frame;
pub mod hash;
pub mod icmp;
pub mod icmpv6;
pub mod nd;
pub mod neighbour;
pub mod net;
pub mod prefix;
pub mod rate_limit;
pub mod route;

pub use device::{Device, IfIndex};
pub use frame::Frame;
pub use neighbour::{NeighbourNews, NeighbourTable};
pub use net::{Hop, LocalAddr, MacPair, Net, Nexthop, NexthopId};
pub use prefix::{InvalidPrefix, Prefix};
pub use rate_limit::RateLimit;
pub use route::{Route, RouteScope, RouteTable};
