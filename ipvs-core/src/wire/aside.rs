//! What a packet is that belongs to no conn of TCP, UDP, SCTP or echo.

use crate::drop_reason::DropReason;

/// Where a packet goes that is no `Flow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// An IPv6 packet, still to be looked at
    Ipv6,
    /// An ICMP message
    Icmp,
    /// A fragment without ports, or of a packet that has none
    Fragment,
    /// AH or ESP
    Ipsec,
    /// ARP
    Arp,
    /// Not for the engine
    Kernel,
    /// Not for anyone
    Drop(DropReason),
}

impl From<DropReason> for Aside {
    #[inline]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}
