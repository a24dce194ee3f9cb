//! A conn: one session of a client with a dest.

use inet::NexthopId;
use packet::checksum::Delta;
use zerocopy::FromZeros;

use super::flags::ConnFlags;
use super::idle_timeout::IdleTimeout;
use super::way_back::WayBackId;
use crate::config::{DestId, FwdMode};
use crate::direction::Direction;
use crate::tcp_state::TcpState;
use crate::time::{Span, Tick};
use crate::tuple::{Address, Tuple};

/// Index of a conn in its worker's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId(pub u32);

/// No next hop is cached.
const NO_NEXTHOP: u32 = u32::MAX;

/// The endpoints of the packets of one direction.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
struct Side<A> {
    src: A,
    dst: A,
    /// The source port, and in the upper half the destination port. They are hashed and compared as
    /// one number, and stored as one: two 16-bit stores that are read as 32 bits are a
    /// store-forwarding stall.
    ports: u32,
}

impl<A: Copy> Side<A> {
    fn of(tuple: Tuple<A>) -> Self {
        Self {
            src: tuple.src,
            dst: tuple.dst,
            ports: ports(tuple.sport, tuple.dport),
        }
    }

    /// The source and its port.
    const fn from(&self) -> (A, u16) {
        (self.src, self.ports as u16)
    }

    /// The destination and its port.
    const fn to(&self) -> (A, u16) {
        (self.dst, (self.ports >> 16) as u16)
    }
}

const fn ports(sport: u16, dport: u16) -> u32 {
    sport as u32 | (dport as u32) << 16
}

/// What a packet of the conn touches: one cache line for IPv4, two for IPv6.
///
/// Plain data without pointers, so that another process can map the table.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C, align(64))]
pub struct Conn<A> {
    /// The endpoints of its packets as they come in, by [`Direction`].
    sides: [Side<A>; 2],
    /// Protocol number of the IP header
    pub protocol: u8,
    /// A [`TcpState`] for TCP, 0 for UDP
    state: u8,
    /// Facts of one bit each, and the forwarding mode
    pub flags: ConnFlags,
    /// Change of the IP header's checksum by the inbound rewrite
    l3_delta: u16,
    /// Change of the checksum of TCP or UDP by the inbound rewrite: addresses and ports
    l4_delta: u16,
    /// Cached next hops, by [`Direction`]
    nexthops: [u32; 2],
    dest: u32,
    last_seen: u32,
    /// The time without a packet until the conn expires
    pub(crate) timeout: IdleTimeout,
    /// [`inet::Net::generation`] when the next hops were looked up
    pub net_generation: u16,
    /// Added to the client's sequence numbers on the way to the dest
    pub seq_delta: u32,
    /// The latest acknowledgment of each end, by the [`Direction`] it came in. While TOA is
    /// pending, the client's is the number of the dest's first data byte. The dest's is in its own,
    /// translated numbers. For SCTP, the verification tags that client and dest have chosen.
    pub acks: [u32; 2],
}

/// The endpoints of a new conn.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints<A> {
    /// From the client to the VIP
    pub inbound: Tuple<A>,
    /// From the dest to the address that it answers: a local address in FullNAT, the client in NAT
    /// and DR. In tunnel mode, the addresses of the outer packet the other way round.
    pub outbound: Tuple<A>,
}

impl<A: Address> Conn<A> {
    /// A conn between these endpoints.
    pub fn new(
        ends: &Endpoints<A>,
        deltas: RewriteDeltas,
        dest: DestId,
        fwdmode: FwdMode,
        now: Tick,
    ) -> Self {
        let mut flags = ConnFlags::of_mode(fwdmode);
        let is_nat64 = ends.inbound.src.is_mapped() || ends.outbound.src.is_mapped();
        flags.put(ConnFlags::NAT64, is_nat64);
        Self {
            sides: [Side::of(ends.inbound), Side::of(ends.outbound)],
            protocol: ends.inbound.protocol,
            state: TcpState::None as u8,
            flags,
            l3_delta: deltas.l3.to_bits(),
            l4_delta: deltas.l4.to_bits(),
            nexthops: [NO_NEXTHOP; 2],
            dest: dest.0,
            last_seen: now.0,
            timeout: IdleTimeout::ZERO,
            net_generation: 0,
            seq_delta: 0,
            acks: [0; 2],
        }
    }

    /// The tuple of its incoming packets of a direction.
    #[inline]
    pub const fn tuple(&self, direction: Direction) -> Tuple<A> {
        let side = &self.sides[direction as usize];
        let ((src, sport), (dst, dport)) = (side.from(), side.to());
        Tuple {
            src,
            dst,
            sport,
            dport,
            protocol: self.protocol,
        }
    }

    /// Whether its packets of a direction have this tuple. All fields are compared before one
    /// branch, since the answer is nearly always yes.
    #[inline]
    pub fn has(&self, direction: Direction, tuple: &Tuple<A>) -> bool {
        let side = &self.sides[direction as usize];
        A::same_pair((side.src, side.dst), (tuple.src, tuple.dst))
            & (side.ports == ports(tuple.sport, tuple.dport))
            & (self.protocol == tuple.protocol)
    }

    /// The forwarding mode.
    #[inline]
    pub const fn fwdmode(&self) -> FwdMode {
        self.flags.fwdmode(self.real_server().1)
    }

    /// The address that its packets of a direction go to, by which the route is looked up.
    pub const fn destination(&self, direction: Direction) -> A {
        match direction {
            Direction::Inbound => self.real_server().0,
            Direction::Outbound => self.client().0,
        }
    }

    /// The client's address and port.
    pub const fn client(&self) -> (A, u16) {
        self.sides[Direction::Inbound as usize].from()
    }

    /// VIP and port.
    pub const fn vip(&self) -> (A, u16) {
        self.sides[Direction::Inbound as usize].to()
    }

    /// The dest's address and port.
    pub const fn real_server(&self) -> (A, u16) {
        self.sides[Direction::Outbound as usize].from()
    }

    /// The address and port that the dest answers: a local address in FullNAT and SNAT, the
    /// director's end of a tunnel, otherwise the client.
    pub const fn local(&self) -> (A, u16) {
        self.sides[Direction::Outbound as usize].to()
    }

    /// The tuple that its packets of a direction leave with.
    #[inline]
    pub const fn rewritten(&self, direction: Direction) -> Tuple<A> {
        self.tuple(direction.opposite()).reversed()
    }

    /// Change of the IP header's checksum by the rewrite in a direction.
    #[inline]
    pub const fn l3_delta(&self, direction: Direction) -> Delta {
        in_direction(self.l3_delta, direction)
    }

    /// Change of the checksum of TCP or UDP by the rewrite in a direction.
    #[inline]
    pub const fn l4_delta(&self, direction: Direction) -> Delta {
        in_direction(self.l4_delta, direction)
    }

    /// The TCP state.
    #[inline]
    pub const fn tcp_state(&self) -> TcpState {
        TcpState::from_bits(self.state)
    }

    /// Whether it is established and known to be so to the dest, and no TOA is pending.
    #[inline]
    pub const fn is_settled(&self) -> bool {
        self.state == TcpState::Established as u8 && !self.flags.has(ConnFlags::UNSETTLED)
    }

    /// Changes the TCP state.
    #[inline]
    pub const fn set_tcp_state(&mut self, state: TcpState) {
        self.state = state as u8;
    }

    /// The dest.
    #[inline]
    pub const fn dest(&self) -> DestId {
        DestId(self.dest)
    }

    /// Notes the time of a packet.
    #[inline]
    pub const fn touch(&mut self, now: Tick) {
        self.last_seen = now.0;
    }

    /// When its last packet came.
    #[inline]
    pub const fn last_packet(&self) -> Tick {
        Tick(self.last_seen)
    }

    /// Sets how many seconds without a packet the conn lives. For tests and benches that fill a
    /// table.
    pub const fn set_timeout_s(&mut self, secs: u32) {
        self.timeout = IdleTimeout::from_secs(secs);
    }

    /// When it expires unless a packet comes.
    #[inline]
    pub const fn deadline(&self) -> Tick {
        Tick(self.last_seen).after(Span::from_secs(self.timeout.as_secs()))
    }

    /// The cached next hop of a direction, if it was looked up since routes changed last. The
    /// number may be of no next hop, if only the other direction's was looked up.
    #[inline]
    pub const fn nexthop(&self, direction: Direction, generation: u16) -> Option<NexthopId> {
        if self.net_generation == generation {
            Some(NexthopId(self.nexthops[direction as usize]))
        } else {
            None
        }
    }

    /// Caches a next hop. Next hops from before routes changed are forgotten, except the way back.
    pub const fn set_nexthop(&mut self, direction: Direction, generation: u16, id: NexthopId) {
        if self.net_generation != generation {
            let way_back = self.way_back();
            self.forget_nexthops();
            if let Some(way_back) = way_back {
                self.keep_way_back(way_back);
            }
            self.net_generation = generation;
        }
        self.nexthops[direction as usize] = id.0;
    }

    /// Forgets all next hops and the way back. The client's next packet takes the slow path.
    pub const fn forget_nexthops(&mut self) {
        self.nexthops = [NO_NEXTHOP; 2];
    }

    /// Where the client's packets came from, if that is in use or noted.
    #[inline]
    pub const fn way_back(&self) -> Option<WayBackId> {
        WayBackId::of_cached(self.nexthops[Direction::Outbound as usize])
    }

    /// Notes where the client's packets came from, in the place of the next hop towards it.
    pub const fn keep_way_back(&mut self, way_back: WayBackId) {
        self.nexthops[Direction::Outbound as usize] = way_back.noted();
    }
}

/// Outbound changes are the inverse of the inbound ones, so all bits are inverted. As
/// [`Delta::inverse`], without a branch.
#[inline]
const fn in_direction(inbound: u16, direction: Direction) -> Delta {
    Delta::from_bits(inbound ^ (direction as u16).wrapping_neg())
}

/// Changes of both checksums by a rewrite (RFC 1624).
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

    /// A packet touches one cache line of an IPv4 conn. Index, timer and local port come on top
    /// (see `table`).
    #[test]
    fn an_ipv4_conn_is_one_cache_line_and_an_ipv6_conn_two() {
        assert_eq!(size_of::<Conn<[u8; 4]>>(), 64);
        assert_eq!(size_of::<Conn<[u8; 16]>>(), 128);
    }
}
