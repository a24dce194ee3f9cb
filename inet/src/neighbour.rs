//! Neighbours: the table control owns, and its ARP state machine.

use std::net::IpAddr;

use packet::MacAddr;

use crate::device::IfIndex;

/// What a worker learned from one ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourNews {
    /// The device it came in by
    pub ifindex: IfIndex,
    /// Who speaks
    pub addr: IpAddr,
    /// Its MAC address
    pub mac: MacAddr,
    /// True for a reply to us or a request for an address of ours: worth a new entry. False for what
    /// was only overheard (gratuitous ARP, RFC 5227): it updates an entry that exists.
    pub create: bool,
}

/// All neighbours.
#[derive(Debug, Default)]
pub struct NeighbourTable {}
