//! The protocols of services and conns.

use std::fmt;

use packet::ip::proto;

/// The protocol of a service or a conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP: RFC 9293.
    Tcp,
    /// UDP: RFC 768.
    Udp,
    /// SCTP: RFC 9260.
    Sctp,
    /// Echo messages of ICMP, which SNAT forwards: RFC 792.
    Icmp,
    /// Echo messages of ICMPv6, which SNAT forwards: RFC 4443.
    IcmpV6,
}

impl Protocol {
    /// The protocol number in an IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => proto::TCP,
            Self::Udp => proto::UDP,
            Self::Sctp => proto::SCTP,
            Self::Icmp => proto::ICMP,
            Self::IcmpV6 => proto::ICMPV6,
        }
    }

    /// The protocol with this number in an IP header, or `None` if no service can have it.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            proto::TCP => Some(Self::Tcp),
            proto::UDP => Some(Self::Udp),
            proto::SCTP => Some(Self::Sctp),
            proto::ICMP => Some(Self::Icmp),
            proto::ICMPV6 => Some(Self::IcmpV6),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::IcmpV6 => "ICMPv6",
        })
    }
}
