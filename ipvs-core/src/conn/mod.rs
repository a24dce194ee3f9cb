//! A conn: one session of a client with a dest, and the table of all of a worker's conns.

mod index;
mod table;
mod wheel;

pub use table::{ConnTable, Found, Lookup};

use inet::NexthopId;
use packet::checksum::Delta;
use zerocopy::FromZeros;

use crate::service::DestId;
use crate::tcp_state::TcpState;
use crate::time::Tick;
use crate::tuple::{Address, Tuple};

/// Which way a packet goes. Inbound is from the client to the dest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From the client
    Inbound = 0,
    /// From the dest
    Outbound = 1,
}

/// Index of a conn in its worker's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId(pub u32);

/// No next hop known yet, or not any more.
const NO_NEXTHOP: u32 = u32::MAX;

/// Facts about a conn, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromZeros)]
#[repr(transparent)]
pub struct ConnFlags(u16);

impl ConnFlags {
    /// The slot holds a conn.
    pub const IN_USE: Self = Self(1);
    /// The dest has answered.
    pub const ANSWERED: Self = Self(1 << 1);
    /// Segments that acknowledge nothing but the dest's SYN carry the client's address.
    pub const TOA_PENDING: Self = Self(1 << 2);
    /// Counted among the dest's active conns rather than the inactive ones.
    pub const ACTIVE: Self = Self(1 << 3);

    /// True if `flag` is set.
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
}

/// All that a packet of the conn touches: one cache line for IPv4, two for IPv6.
///
/// Plain data without addresses of this process, so that another process can map the table.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C, align(64))]
pub struct Conn<A> {
    /// Client
    pub caddr: A,
    /// VIP
    pub vaddr: A,
    /// Local address
    pub laddr: A,
    /// Real server
    pub daddr: A,
    /// Client's port
    pub cport: u16,
    /// VIP's port
    pub vport: u16,
    /// Local port
    pub lport: u16,
    /// Real server's port
    pub dport: u16,
    /// Protocol number of the IP header
    pub protocol: u8,
    /// A [`TcpState`] for TCP; 0 for UDP.
    state: u8,
    /// Facts, one bit each
    pub flags: ConnFlags,
    /// What the inbound rewrite of the addresses changes in the IP header's checksum.
    l3_delta: u16,
    /// The same for the TCP or UDP checksum: addresses and ports.
    l4_delta: u16,
    to_dest: u32,
    to_client: u32,
    dest: u32,
    last_seen: u32,
    /// Seconds without a packet until it expires.
    pub timeout_s: u16,
    /// [`inet::Net::generation`] when the next hops were looked up.
    pub net_generation: u16,
    /// Added to the client's sequence numbers on the way to the dest.
    pub seq_delta: u32,
    /// The client's latest acknowledgment: while TOA is pending, the dest's first data byte.
    pub client_ack: u32,
    /// The dest's latest acknowledgment, in its own (translated) numbers.
    pub dest_ack: u32,
}

/// The endpoints of a conn to be made.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints<A> {
    /// Client to VIP
    pub inbound: Tuple<A>,
    /// Dest to local address
    pub outbound: Tuple<A>,
}

impl<A: Address> Conn<A> {
    /// A conn between these endpoints.
    pub fn new(ends: &Endpoints<A>, deltas: RewriteDeltas, dest: DestId, now: Tick) -> Self {
        let mut flags = ConnFlags::default();
        flags.put(ConnFlags::IN_USE, true);
        Self {
            caddr: ends.inbound.src,
            vaddr: ends.inbound.dst,
            laddr: ends.outbound.dst,
            daddr: ends.outbound.src,
            cport: ends.inbound.sport,
            vport: ends.inbound.dport,
            lport: ends.outbound.dport,
            dport: ends.outbound.sport,
            protocol: ends.inbound.protocol,
            state: TcpState::None as u8,
            flags,
            l3_delta: deltas.l3.to_bits(),
            l4_delta: deltas.l4.to_bits(),
            to_dest: NO_NEXTHOP,
            to_client: NO_NEXTHOP,
            dest: dest.0,
            last_seen: now.0,
            timeout_s: 0,
            net_generation: 0,
            seq_delta: 0,
            client_ack: 0,
            dest_ack: 0,
        }
    }

    /// The tuple of its packets in a direction.
    #[inline]
    pub const fn tuple(&self, direction: Direction) -> Tuple<A> {
        let (src, dst, sport, dport) = match direction {
            Direction::Inbound => (self.caddr, self.vaddr, self.cport, self.vport),
            Direction::Outbound => (self.daddr, self.laddr, self.dport, self.lport),
        };
        Tuple {
            src,
            dst,
            sport,
            dport,
            protocol: self.protocol,
        }
    }

    /// The tuple its packets leave with.
    #[inline]
    pub const fn rewritten(&self, direction: Direction) -> Tuple<A> {
        match direction {
            Direction::Inbound => self.tuple(Direction::Outbound).reversed(),
            Direction::Outbound => self.tuple(Direction::Inbound).reversed(),
        }
    }

    /// What the rewrite in a direction changes in the checksums.
    #[inline]
    pub const fn deltas(&self, direction: Direction) -> RewriteDeltas {
        let (l3, l4) = (
            Delta::from_bits(self.l3_delta),
            Delta::from_bits(self.l4_delta),
        );
        match direction {
            Direction::Inbound => RewriteDeltas { l3, l4 },
            Direction::Outbound => RewriteDeltas {
                l3: l3.inverse(),
                l4: l4.inverse(),
            },
        }
    }

    /// Its TCP state.
    #[inline]
    pub const fn tcp_state(&self) -> TcpState {
        TcpState::from_bits(self.state)
    }

    /// Changes its TCP state.
    #[inline]
    pub const fn set_tcp_state(&mut self, state: TcpState) {
        self.state = state as u8;
    }

    /// Its dest.
    #[inline]
    pub const fn dest(&self) -> DestId {
        DestId(self.dest)
    }

    /// Notes that a packet came.
    #[inline]
    pub const fn touch(&mut self, now: Tick) {
        self.last_seen = now.0;
    }

    /// When it expires if no packet comes.
    #[inline]
    pub const fn deadline(&self) -> Tick {
        Tick(self.last_seen).after(Tick::from_secs(self.timeout_s as u32))
    }

    /// The next hop of its packets in a direction, if it was found since routes changed last.
    #[inline]
    pub const fn nexthop(&self, direction: Direction, generation: u16) -> Option<NexthopId> {
        let id = match direction {
            Direction::Inbound => self.to_dest,
            Direction::Outbound => self.to_client,
        };
        if id == NO_NEXTHOP || self.net_generation != generation {
            None
        } else {
            Some(NexthopId(id))
        }
    }

    /// Remembers a next hop. What was known from before routes changed is forgotten.
    pub const fn set_nexthop(&mut self, direction: Direction, generation: u16, id: NexthopId) {
        if self.net_generation != generation {
            self.to_dest = NO_NEXTHOP;
            self.to_client = NO_NEXTHOP;
            self.net_generation = generation;
        }
        match direction {
            Direction::Inbound => self.to_dest = id.0,
            Direction::Outbound => self.to_client = id.0,
        }
    }
}

/// What a rewrite changes in both checksums (RFC 1624).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewriteDeltas {
    /// IP header
    pub l3: Delta,
    /// TCP or UDP, pseudo header included
    pub l4: Delta,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DESIGN: one 64-byte hot line for IPv4; index, timer and port come on top (see `table`).
    #[test]
    fn an_ipv4_conn_is_one_cache_line_and_an_ipv6_conn_two() {
        assert_eq!(size_of::<Conn<[u8; 4]>>(), 64);
        assert_eq!(size_of::<Conn<[u8; 16]>>(), 128);
    }
}
