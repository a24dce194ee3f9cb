//! What workers tell control about neighbours.

use std::net::IpAddr;

use packet::MacAddr;

use crate::device::IfIndex;

/// What a worker learned from one packet of ARP or neighbour discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourNews {
    /// The device that the packet came in by
    pub ifindex: IfIndex,
    /// The neighbour's address
    pub addr: IpAddr,
    /// The neighbour's MAC address
    pub mac: MacAddr,
    /// Whether the news may make a new entry. True for a reply to us and for a request for an
    /// address of ours, by someone on the link. False for what was only overheard, such as
    /// gratuitous ARP (RFC 5227): that only updates an existing entry.
    pub create: bool,
    /// Whether the news may replace another MAC address that is known. True for ARP. An
    /// advertisement has a flag that says so (RFC 4861, 7.2.5).
    pub overrides: bool,
    /// Whether it answers a request of ours, so that the neighbour is proved to be there. Anyone
    /// may announce a MAC address without being asked.
    pub answers: bool,
}
