//! The forwarding modes: how a packet reaches the dest.

/// How a packet reaches the dest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FwdMode {
    /// Both addresses are rewritten; the dest sees a local address, and answers it.
    FullNat,
    /// The destination is rewritten; the dest sees the client, and answers by way of the director, its gateway.
    Nat,
    /// Only the frame is addressed to the dest, which has the VIP too and answers the client by itself.
    DirectRoute,
    /// The packet travels inside another to the dest, which has the VIP too and answers the client by itself.
    Tunnel(Encapsulation),
    /// The source is rewritten to the dest's address, a WAN address of the director.
    Snat,
}

impl FwdMode {
    /// Whether the dest's packets come back through the director.
    pub const fn sees_replies(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Snat)
    }

    /// Whether the dest's port must be the service's, since no port is rewritten.
    pub const fn keeps_port(self) -> bool {
        !self.sees_replies()
    }

    /// Whether client and dest may be of different address families.
    pub const fn joins_families(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Tunnel(_))
    }

    /// As users know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullNat => "FullNAT (-b)",
            Self::Nat => "NAT (-m)",
            Self::DirectRoute => "DR (-g)",
            Self::Tunnel(_) => "tunnel (-i)",
            Self::Snat => "SNAT (-J)",
        }
    }
}

/// What stands between the outer and the inner IP header of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Nothing: RFC 2003
    IpIp,
    /// GRE without options: RFC 2784
    Gre,
    /// Generic UDP encapsulation, draft-ietf-intarea-gue, to this port
    Gue(u16),
}
