//! The configuration that control publishes to all workers at once.

use inet::Net;
use packet::nat64::Nat64Prefix;

use crate::config::service_table::ServiceTable;
use crate::config::timeouts::Timeouts;

/// The whole configuration of a worker: immutable, read with one pointer load per batch. Cloning it
/// copies pointers only.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Services with their dests and local addresses.
    pub services: ServiceTable,
    /// Devices, addresses, routes and neighbours.
    pub net: Net,
    /// Timeouts of conns. Who changes them calls [`Net::invalidate_nexthops`], so that conns take
    /// them up.
    pub timeouts: Timeouts,
    /// Which packets to a VIP are kept from the kernel.
    pub defence: Defence,
    /// The prefix of NAT64, by which IPv4 clients appear to IPv6 dests, and the mapping the other
    /// way round.
    pub nat64_prefix: Nat64Prefix,
    /// Where answers to clients go.
    pub return_path: ReturnPath,
}

/// Where answers to clients go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReturnPath {
    /// By the route. Without one, to where the client's packets came from.
    #[default]
    RouteOrMac,
    /// By the route, or not at all.
    Route,
    /// Out of the port that the client's packets came in by, to the MAC address that they came
    /// from: `fast_xmit` of DPVS.
    Mac,
}

/// What packets that nobody serves come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defence {
    /// Whether TCP packets to ports of a VIP without a service are dropped instead of being given
    /// to the kernel: `defence_tcp_drop` of DPVS.
    pub tcp_drop: bool,
    /// The same for UDP packets: `defence_udp_drop` of DPVS.
    pub udp_drop: bool,
    /// Whether senders are told that nobody serves them.
    pub unserved: OnUnserved,
}

/// What is done about packets to a service that makes no conn for them (no dest, no local port, a
/// limit, a deny list), and about TCP segments that belong to no conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnserved {
    /// The sender is told, by a TCP reset or an ICMP error.
    #[default]
    Reject,
    /// The packet is dropped without an answer.
    Drop,
}
