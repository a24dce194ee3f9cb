//! A conn: one session of a client with a dest.

use inet::NexthopId;
use packet::checksum::Delta;
use zerocopy::FromZeros;

use super::flags::ConnFlags;
use crate::config::{DestId, FwdMode};
use crate::direction::Direction;
use crate::tcp_state::TcpState;
use crate::time::Tick;
use crate::tuple::{Address, Tuple};

/// Index of a conn in its worker's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId(pub u32);

/// No next hop known yet, or not any more.
const NO_NEXTHOP: u32 = u32::MAX;

/// Both endpoints of the packets of one direction.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
struct Side<A> {
    src: A,
    dst: A,
    /// The source's port, above it the destination's. One number, since they are compared and hashed as one: what is
    /// written in parts and read as a whole waits until it is in the cache.
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

    /// The source and its port
    const fn from(&self) -> (A, u16) {
        (self.src, self.ports as u16)
    }

    /// The destination and its port
    const fn to(&self) -> (A, u16) {
        (self.dst, (self.ports >> 16) as u16)
    }
}

const fn ports(sport: u16, dport: u16) -> u32 {
    sport as u32 | (dport as u32) << 16
}

/// All that a packet of the conn touches: one cache line for IPv4, two for IPv6.
///
/// Plain data without addresses of this process, so that another process can map the table.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C, align(64))]
pub struct Conn<A> {
    /// Endpoints of its packets as they come in, by [`Direction`].
    sides: [Side<A>; 2],
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
    /// Next hops, by [`Direction`].
    nexthops: [u32; 2],
    dest: u32,
    last_seen: u32,
    /// Seconds without a packet until it expires.
    pub timeout_s: u16,
    /// [`inet::Net::generation`] when the next hops were looked up.
    pub net_generation: u16,
    /// Added to the client's sequence numbers on the way to the dest.
    pub seq_delta: u32,
    /// The latest acknowledgment of each end, by the [`Direction`] it came in. The client's, while TOA is pending, is the dest's
    /// first data byte; the dest's is in its own (translated) numbers.
    pub acks: [u32; 2],
}

/// The endpoints of a conn to be made.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints<A> {
    /// Client to VIP
    pub inbound: Tuple<A>,
    /// Dest to whom it believes to answer: a local address in FullNAT, the client in NAT and DR. In tunnel
    /// mode, the outer packets' addresses the other way round.
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
            timeout_s: 0,
            net_generation: 0,
            seq_delta: 0,
            acks: [0; 2],
        }
    }

    /// The tuple of its packets in a direction.
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

    /// Whether its packets of a direction have this tuple. Compares all before it decides: that is quicker
    /// than to find out early, since the answer is nearly always yes.
    #[inline]
    pub fn has(&self, direction: Direction, tuple: &Tuple<A>) -> bool {
        let side = &self.sides[direction as usize];
        A::same_pair((side.src, side.dst), (tuple.src, tuple.dst))
            & (side.ports == ports(tuple.sport, tuple.dport))
            & (self.protocol == tuple.protocol)
    }

    /// How its inbound packets reach the dest.
    #[inline]
    pub const fn fwdmode(&self) -> FwdMode {
        self.flags.fwdmode(self.real_server().1)
    }

    /// Where its packets of a direction go: what their way is looked up by.
    pub const fn destination(&self, direction: Direction) -> A {
        match direction {
            Direction::Inbound => self.real_server().0,
            Direction::Outbound => self.client().0,
        }
    }

    /// Client and its port
    pub const fn client(&self) -> (A, u16) {
        self.sides[Direction::Inbound as usize].from()
    }

    /// VIP and its port
    pub const fn vip(&self) -> (A, u16) {
        self.sides[Direction::Inbound as usize].to()
    }

    /// Real server and its port
    pub const fn real_server(&self) -> (A, u16) {
        self.sides[Direction::Outbound as usize].from()
    }

    /// Local address and port; the tunnel's own end in tunnel mode; the client otherwise
    pub const fn local(&self) -> (A, u16) {
        self.sides[Direction::Outbound as usize].to()
    }

    /// The tuple its packets leave with.
    #[inline]
    pub const fn rewritten(&self, direction: Direction) -> Tuple<A> {
        self.tuple(direction.opposite()).reversed()
    }

    /// What the rewrite in a direction changes in the IP header's checksum.
    #[inline]
    pub const fn l3_delta(&self, direction: Direction) -> Delta {
        in_direction(self.l3_delta, direction)
    }

    /// What it changes in the checksum of TCP or UDP.
    #[inline]
    pub const fn l4_delta(&self, direction: Direction) -> Delta {
        in_direction(self.l4_delta, direction)
    }

    /// Its TCP state.
    #[inline]
    pub const fn tcp_state(&self) -> TcpState {
        TcpState::from_bits(self.state)
    }

    /// Whether it is established, and the dest knows the client's address if it is to.
    #[inline]
    pub const fn is_settled(&self) -> bool {
        self.state == TcpState::Established as u8 && !self.flags.has(ConnFlags::TOA_PENDING)
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

    /// The next hop of its packets in a direction, if one was found since routes changed last. There is none by this number if
    /// only the other direction's was.
    #[inline]
    pub const fn nexthop(&self, direction: Direction, generation: u16) -> Option<NexthopId> {
        if self.net_generation == generation {
            Some(NexthopId(self.nexthops[direction as usize]))
        } else {
            None
        }
    }

    /// Remembers a next hop. What was known from before routes changed is forgotten.
    pub const fn set_nexthop(&mut self, direction: Direction, generation: u16, id: NexthopId) {
        if self.net_generation != generation {
            self.nexthops = [NO_NEXTHOP; 2];
            self.net_generation = generation;
        }
        self.nexthops[direction as usize] = id.0;
    }
}

/// The way back inverts all bits: the same as [`Delta::inverse`], without a branch.
#[inline]
const fn in_direction(inbound: u16, direction: Direction) -> Delta {
    Delta::from_bits(inbound ^ (direction as u16).wrapping_neg())
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

    /// A packet touches one cache line of an IPv4 conn; index, timer and port come on top (see `table`).
    #[test]
    fn an_ipv4_conn_is_one_cache_line_and_an_ipv6_conn_two() {
        assert_eq!(size_of::<Conn<[u8; 4]>>(), 64);
        assert_eq!(size_of::<Conn<[u8; 16]>>(), 128);
    }
}
