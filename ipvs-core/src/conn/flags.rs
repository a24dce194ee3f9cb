//! The facts of a conn that fit into one bit each, and its forwarding mode.

use zerocopy::FromZeros;

use crate::config::{Encapsulation, FwdMode};

/// Facts about a conn: one bit each, and three bits for the forwarding mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromZeros)]
#[repr(transparent)]
pub struct ConnFlags(u16);

/// Where the forwarding mode stands in the flags.
const MODE_SHIFT: u16 = 4;
/// The bits of the forwarding mode.
const MODE_MASK: u16 = 0b111 << MODE_SHIFT;

/// The forwarding modes as the flags hold them. The highest bit says that replies do not pass the
/// director, so that one bit tells DR and tunnel from the modes that rewrite.
mod mode {
    pub(super) const NAT: u16 = 0b000;
    pub(super) const FULL_NAT: u16 = 0b001;
    pub(super) const SNAT: u16 = 0b010;
    pub(super) const DR: u16 = 0b100;
    pub(super) const IPIP: u16 = 0b101;
    pub(super) const GRE: u16 = 0b110;
    pub(super) const GUE: u16 = 0b111;
}

impl ConnFlags {
    /// The slot of the table holds a conn.
    pub const IN_USE: Self = Self(1);
    /// The dest has answered. TCP has states for that.
    pub const ANSWERED: Self = Self(1 << 1);
    /// TCP, in the same bit: one end has closed, and the other one has sent data since.
    pub const GOES_ON: Self = Self::ANSWERED;
    /// Segments that acknowledge nothing but the dest's SYN carry the client's address as TOA.
    pub const TOA_PENDING: Self = Self(1 << 2);
    /// The conn counts among its dest's active conns, else among the inactive ones.
    pub const ACTIVE: Self = Self(1 << 3);
    /// DR or tunnel: inbound packets keep their addresses, and replies do not pass the director.
    /// This is the highest bit of the forwarding mode.
    pub const DR_TUNNEL: Self = Self(mode::DR << MODE_SHIFT);
    /// The conn has a port of a local address: FullNAT and SNAT always, NAT64 by NAT where the dest
    /// could not see the client's address.
    pub const LOCAL_PORT: Self = Self(1 << 7);
    /// Client and dest are of different address families, or a tunnel leads through the other
    /// family.
    pub const NAT64: Self = Self(1 << 8);
    /// The client keeps to its dest by a persistence template that this conn holds.
    pub const PERSISTENT: Self = Self(1 << 9);
    /// One-packet scheduling: the conn ends with the packet that made it.
    pub const ONE_PACKET: Self = Self(1 << 10);
    /// Payload or options are edited, by the PROXY protocol, UOA or FTP: the conn's extension says
    /// how.
    pub const EDITED: Self = Self(1 << 11);
    /// The client shook hands with the director, by a SYN cookie.
    pub const SYN_PROXIED: Self = Self(1 << 12);
    /// The client's packets come from where its answers go back to without a route. It is compared
    /// with each packet, so that answers follow a client that comes by another router.
    pub const BY_WAY_BACK: Self = Self(1 << 13);
    /// The dest has said nothing yet but its SYN. It takes the client's address from the TOA of the
    /// segment that ends the handshake, so a client's own TOA must not pass. Only the modes that
    /// rewrite know this flag.
    pub const HANDSHAKE: Self = Self(1 << 14);
    /// The conn was made by a packet that opens none, since the hash leads to the dest that the
    /// conn has had before. It gives way first when the table is full.
    pub const ADOPTED: Self = Self(1 << 15);

    /// The segments of a conn with any of these change something about it.
    pub const UNSETTLED: Self = Self(Self::TOA_PENDING.0 | Self::HANDSHAKE.0);
    /// The packets of a conn with any of these do not take the fast path of NAT as they are.
    pub const SLOW_PATH: Self = Self(
        Self::DR_TUNNEL.0
            | Self::NAT64.0
            | Self::EDITED.0
            | Self::SYN_PROXIED.0
            | Self::BY_WAY_BACK.0,
    );

    /// The flags of a new conn.
    pub(super) const fn of_mode(fwdmode: FwdMode) -> Self {
        let (mode, local_port) = match fwdmode {
            FwdMode::Nat => (mode::NAT, 0),
            FwdMode::FullNat => (mode::FULL_NAT, Self::LOCAL_PORT.0),
            FwdMode::Snat => (mode::SNAT, Self::LOCAL_PORT.0),
            FwdMode::DirectRoute => (mode::DR, 0),
            FwdMode::Tunnel(Encapsulation::IpIp) => (mode::IPIP, 0),
            FwdMode::Tunnel(Encapsulation::Gre) => (mode::GRE, 0),
            FwdMode::Tunnel(Encapsulation::Gue(_)) => (mode::GUE, 0),
        };
        Self(mode << MODE_SHIFT | local_port | Self::IN_USE.0)
    }

    /// The forwarding mode. GUE's port stands elsewhere in the conn.
    pub(super) const fn fwdmode(self, gue_port: u16) -> FwdMode {
        match (self.0 & MODE_MASK) >> MODE_SHIFT {
            mode::FULL_NAT => FwdMode::FullNat,
            mode::SNAT => FwdMode::Snat,
            mode::DR => FwdMode::DirectRoute,
            mode::IPIP => FwdMode::Tunnel(Encapsulation::IpIp),
            mode::GRE => FwdMode::Tunnel(Encapsulation::Gre),
            mode::GUE => FwdMode::Tunnel(Encapsulation::Gue(gue_port)),
            _ => FwdMode::Nat,
        }
    }

    /// True if `flag` is set, or any of several.
    #[inline]
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// Sets or clears `flag`.
    #[inline]
    pub const fn put(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }

    /// FullNAT: the client's address is rewritten too, with all that this asks of TCP.
    #[inline]
    pub const fn is_full_nat(self) -> bool {
        self.0 & MODE_MASK == mode::FULL_NAT << MODE_SHIFT
    }

    /// Whether the way back is all that keeps packets from the fast path of NAT.
    #[inline]
    pub const fn is_slow_by_way_back_only(self) -> bool {
        self.0 & Self::SLOW_PATH.0 == Self::BY_WAY_BACK.0
    }

    /// DR: the packet keeps its IP header, and only the frame is addressed to the dest.
    #[inline]
    pub const fn is_dr(self) -> bool {
        self.0 & MODE_MASK == mode::DR << MODE_SHIFT
    }

    /// Tunnel by IP in IP.
    #[inline]
    pub const fn is_ipip(self) -> bool {
        self.0 & MODE_MASK == mode::IPIP << MODE_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [FwdMode; 7] = [
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::Snat,
        FwdMode::DirectRoute,
        FwdMode::Tunnel(Encapsulation::IpIp),
        FwdMode::Tunnel(Encapsulation::Gre),
        FwdMode::Tunnel(Encapsulation::Gue(6080)),
    ];

    #[test]
    fn a_forwarding_mode_comes_out_as_it_went_in_whatever_else_is_set() {
        for fwdmode in MODES {
            let mut flags = ConnFlags::of_mode(fwdmode);
            for flag in [
                ConnFlags::ANSWERED,
                ConnFlags::LOCAL_PORT,
                ConnFlags::EDITED,
            ] {
                flags.put(flag, true);
                assert_eq!(flags.fwdmode(6080), fwdmode);
            }
        }
    }

    #[test]
    fn one_bit_says_whether_replies_pass_the_director() {
        for fwdmode in MODES {
            let flags = ConnFlags::of_mode(fwdmode);
            assert_eq!(flags.has(ConnFlags::DR_TUNNEL), !fwdmode.sees_replies());
        }
    }
}
