//! The forwarding modes: how a packet reaches the dest.

/// How a packet reaches the dest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FwdMode {
    /// Source and destination are rewritten. The dest sees a local address, and answers to it.
    FullNat,
    /// The destination is rewritten. The dest sees the client's address, and answers through the
    /// director, which is its gateway.
    Nat,
    /// Only the MAC addresses are rewritten. The dest has the VIP too, and answers the client
    /// directly.
    DirectRoute,
    /// The packet is encapsulated and sent to the dest, which has the VIP too and answers the
    /// client directly.
    Tunnel(Encapsulation),
    /// The source is rewritten to the address of the dest, which is a WAN address of the director.
    Snat,
}

impl FwdMode {
    /// Whether the packets of the dest come back through the director.
    pub const fn sees_replies(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Snat)
    }

    /// Whether the dest must have the port of the service, since the port is not rewritten.
    pub const fn keeps_port(self) -> bool {
        !self.sees_replies()
    }

    /// Whether client and dest may be of different address families.
    pub const fn joins_families(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Tunnel(_))
    }

    /// The name that ipvsadm shows.
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

/// What is between the outer and the inner IP header of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Nothing: IP in IP, RFC 2003.
    IpIp,
    /// GRE without options: RFC 2784.
    Gre,
    /// Generic UDP encapsulation to this port: draft-ietf-intarea-gue.
    Gue(u16),
}
