//! The fast path: packets that change nothing in their conn but its last-seen tick. Nearly all
//! packets are such.

use inet::{MacPair, Nexthop};
use packet::PacketBuf;
use packet::udp;

use crate::config::Protocol;
use crate::conn::{Conn, ConnFlags};
use crate::ctx::Shared;
use crate::direction::Direction;
use crate::io::Io;
use crate::wire::{Family, Flow, Segment, tcp};
use crate::xmit::nexthop::{check_way, known_nexthop};

impl<B: PacketBuf> Shared<B> {
    /// Rewrites and sends a packet, if the fast path can do that. Otherwise the packet comes back
    /// unchanged, for the slow path ([`crate::ctx::Forwarder::forward`]).
    #[inline(always)]
    pub(crate) fn forward_fast<A: Family>(
        &self,
        conn: &mut Conn<A>,
        packet: B,
        flow: &Flow<A>,
        direction: Direction,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        if !conn.flags.has(ConnFlags::SLOW_PATH) {
            self.rewrite_fast(conn, packet, flow, direction, io)
        } else if conn.flags.has(ConnFlags::DR_TUNNEL) {
            self.forward_dr_tunnel_fast(conn, packet, flow, io)
        } else {
            self.forward_back_fast(conn, packet, flow, direction, io)
        }
    }

    /// The fast path of conns whose answers go back to where the client's packets come from.
    #[inline(never)]
    fn forward_back_fast<A: Family>(
        &self,
        conn: &mut Conn<A>,
        packet: B,
        flow: &Flow<A>,
        direction: Direction,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        if !conn.flags.is_slow_by_way_back_only()
            || !self.follows_way_back(conn, &packet, direction)
        {
            return Err(packet);
        }
        let known = known_nexthop(&self.snapshot.net, &self.ways_back, conn, direction);
        self.rewrite_known(known, conn, packet, flow, direction, io)
    }

    #[inline(never)]
    fn rewrite_fast<A: Family>(
        &self,
        conn: &mut Conn<A>,
        packet: B,
        flow: &Flow<A>,
        direction: Direction,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        let net = &self.snapshot.net;
        let id = conn.nexthop(direction, net.generation);
        let known = id.and_then(|id| net.resolved(id));
        self.rewrite_known(known, conn, packet, flow, direction, io)
    }

    /// Has a compiled copy for each of its two callers.
    #[inline(always)]
    fn rewrite_known<A: Family>(
        &self,
        known: Option<(&Nexthop, &MacPair)>,
        conn: &mut Conn<A>,
        mut packet: B,
        flow: &Flow<A>,
        direction: Direction,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        let Some((nexthop, macs)) = known else {
            return Err(packet);
        };
        let Some((network, l4)) = split(packet.bytes_mut(), flow) else {
            return Err(packet);
        };
        if check_way::<A>(network, flow.total_len.into(), nexthop.mtu).is_err() {
            return Err(packet);
        }
        let to = conn.rewritten(direction);
        match flow.protocol() {
            Protocol::Udp if is_nothing_new(conn, direction) => {
                tcp::rewrite_udp(l4, &to, conn.l4_delta(direction));
            }
            Protocol::Tcp => match Segment::read(l4) {
                Ok(segment) if segment.only_acknowledges() && conn.is_settled() => {
                    conn.acks[direction as usize] = segment.ack;
                    let delta = conn.l4_delta(direction);
                    if let Err(reason) = tcp::rewrite_tcp(l4, segment, conn, direction, delta) {
                        self.drop(packet, reason);
                        return Ok(());
                    }
                }
                _ => return Err(packet),
            },
            _ => return Err(packet),
        }
        let (l3, identifications) = (conn.l3_delta(direction), &self.identifications);
        A::rewrite_whole(network, to.src, to.dst, l3, identifications);
        macs.write(network);
        self.stats
            .count_packet(conn.dest(), direction, flow.total_len);
        conn.touch(self.now.tick());
        self.send(packet, nexthop.port, io);
        Ok(())
    }
}

/// Splits a plain packet before its L4 header, of which at least 8 bytes are there. `None` for any
/// other packet.
#[inline(always)]
fn split<'f, A: Family>(
    frame: &'f mut [u8],
    flow: &Flow<A>,
) -> Option<(&'f mut [u8], &'f mut [u8])> {
    if frame.len() < A::PLAIN_L4_AT + udp::HEADER_LEN || !flow.is_plain() {
        return None;
    }
    Some(frame.split_at_mut(A::PLAIN_L4_AT))
}

/// Whether a datagram changes nothing in its conn: it goes to the dest, or the dest has answered
/// before.
#[inline(always)]
fn is_nothing_new<A: Family>(conn: &Conn<A>, direction: Direction) -> bool {
    (direction == Direction::Inbound) | conn.flags.has(ConnFlags::ANSWERED)
}
