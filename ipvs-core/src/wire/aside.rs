//! Packets that do not go through the stages of a batch.

use crate::drop_reason::DropReason;

/// What a packet is that cannot belong to a conn of TCP, UDP or SCTP by its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// An ICMP message
    Icmp,
    /// A later fragment, which has no ports, or a fragment of a protocol without ports.
    Fragment,
    /// AH or ESP
    Ipsec,
    /// UOA's own protocol.
    Uoa,
    /// An IPv4 packet to a single host, in a frame to a group of hosts.
    ToGroup,
    /// For the kernel, by way of kni.
    Kernel,
    /// To be dropped, for this reason.
    Drop(DropReason),
}

impl From<DropReason> for Aside {
    #[inline]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}
