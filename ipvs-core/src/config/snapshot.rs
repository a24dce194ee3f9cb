//! What the control plane publishes to every worker at once.

use inet::Net;
use packet::nat64::Nat64Prefix;

use crate::config::service_table::ServiceTable;
use crate::config::timeouts::Timeouts;

/// The whole configuration a worker forwards by: immutable, read with one pointer load per batch.
/// Cloning it copies pointers only.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Services with their dests and local addresses.
    pub services: ServiceTable,
    /// Devices, addresses, routes and neighbours.
    pub net: Net,
    /// Timeouts of conns.
    pub timeouts: Timeouts,
    /// What of a VIP the kernel does not get to see.
    pub defence: Defence,
    /// How NAT shows IPv4 clients to dests with IPv6, and the other way round.
    pub nat64_prefix: Nat64Prefix,
}

/// Whether packets to a VIP's ports that have no service are dropped rather than given to the kernel: DPVS's
/// `defence_tcp_drop` and `defence_udp_drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defence {
    /// Those of TCP
    pub tcp_drop: bool,
    /// Those of UDP
    pub udp_drop: bool,
}
