//! What workers tell control about neighbours.

use std::net::IpAddr;

use packet::MacAddr;

use crate::device::IfIndex;

/// What a worker learned from one packet of ARP or neighbour discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourNews {
    /// The device it came in by
    pub ifindex: IfIndex,
    /// Who speaks
    pub addr: IpAddr,
    /// Its MAC address
    pub mac: MacAddr,
    /// True for a reply to us or a request for an address of ours, by someone on the link: worth a new
    /// entry. False for what was only overheard (gratuitous ARP, RFC 5227): it updates an entry that
    /// exists.
    pub create: bool,
    /// Whether it counts also against another MAC address that is known: so with ARP, not with every advertisement
    /// (RFC 4861, 7.2.5).
    pub overrides: bool,
}
