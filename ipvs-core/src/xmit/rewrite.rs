//! The slow path's rewrite: addresses, ports, numbers, and what the conn learns from the packet.

use packet::PacketBuf;

use crate::config::Protocol;
use crate::conn::{Conn, ConnFlags, ConnId, Found};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::state::WorkerStats;
use crate::tcp_state::{SegmentKind, TcpState};
use crate::wire::{Family, Flow, Segment, Toa, tcp};
use crate::xmit::headers::{rewrite_datagram, rewrite_network};
use crate::xmit::too_long::Limit;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Rewrites a packet of a conn that takes the slow path, or whose next hop is not cached yet.
    #[inline(always)]
    pub(super) fn rewrite(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        limit: Limit,
    ) -> Result<(), DropReason> {
        let flags = self.family.conns.get(found.id).flags;
        if flags.has(ConnFlags::DR_TUNNEL) {
            self.rewrite_dr_tunnel(packet, flow, found, limit.longest)
        } else {
            self.rewrite_any(packet, flow, found, limit)
        }
    }

    /// Rewrites a packet with every step that its conn may need: NAT64, edits of the payload, UOA.
    #[inline(never)]
    fn rewrite_any(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        Limit { mtu, longest }: Limit,
    ) -> Result<(), DropReason> {
        let flags = self.family.conns.get(found.id).flags;
        if A::ttl(packet.bytes()) <= 1 {
            return Err(DropReason::TtlExpired);
        }
        let came = flow;
        let mut flow = *came;
        let is_nat64 = A::HAS_NAT64 && flags.has(ConnFlags::NAT64);
        if is_nat64 {
            flow = self.replace_network(packet, &flow, found, longest)?;
        }
        if flags.has(ConnFlags::EDITED) {
            flow = match self.edit(packet, &flow, found, longest) {
                // An ICMP error would have to quote the packet as it came, and its IP header is
                // already replaced.
                Err(DropReason::MtuExceeded) if is_nat64 => {
                    return Err(DropReason::NoRoomForHeader);
                }
                edited => edited?,
            };
        }
        if flow.total_len > longest {
            return Err(DropReason::MtuExceeded);
        }
        let dest = self.family.conns.get(found.id).dest();
        self.shared
            .stats
            .count_packet(dest, found.direction, flow.total_len);
        match flow.protocol() {
            Protocol::Udp => {
                let conn = self.family.conns.get_mut(found.id);
                conn.touch(self.shared.now.tick());
                let identifications = &self.shared.identifications;
                let direction = found.direction;
                rewrite_datagram(packet.bytes_mut(), &flow, conn, direction, identifications);
                self.note_first_answer(found);
            }
            Protocol::Tcp => self.rewrite_segment(packet, &flow, found, mtu)?,
            _ => self.rewrite_rest(packet, &flow, found)?,
        }
        if is_nat64 {
            self.complete_replaced(packet, &flow, found);
        } else if flow.is_fragment {
            self.renumber_first_fragment(packet, &came.tuple);
        }
        if flags.has(ConnFlags::EDITED) {
            self.put_uoa(packet, &flow, found, mtu);
        }
        Ok(())
    }

    /// Rewrites SCTP and echo.
    #[cold]
    #[inline(never)]
    pub(super) fn rewrite_rest(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
    ) -> Result<(), DropReason> {
        match flow.protocol() {
            Protocol::Sctp => self.rewrite_sctp(packet, flow, found),
            _ => {
                self.rewrite_echo(packet, flow, found);
                Ok(())
            }
        }
    }

    #[inline(always)]
    pub(super) fn rewrite_segment(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let frame = packet.bytes_mut();
        let l4 = flow.l4_mut(frame);
        let segment = Segment::read(l4)?;
        if segment.opens() && self.family.conns.get(found.id).tcp_state().is_over() {
            self.reopen(flow, found, segment);
        }
        let conn = self.family.conns.get_mut(found.id);
        if found.direction == Direction::Inbound && !conn.is_settled() {
            tcp::strip_toa(l4);
        }
        let has_payload = tcp::has_payload(l4);
        tcp::rewrite_tcp(
            l4,
            segment,
            conn,
            found.direction,
            conn.l4_delta(found.direction),
        )?;
        rewrite_network(frame, conn, found.direction, &self.shared.identifications);
        conn.touch(self.shared.now.tick());
        // Most segments of either direction change nothing else.
        if segment.only_acknowledges() && conn.is_settled() {
            conn.acks[found.direction as usize] = segment.ack;
            return Ok(());
        }
        let state = conn.tcp_state();
        if segment.has_rst() && !self.may_reset(segment, found.id, found.direction) {
            return Ok(());
        }
        let has_data = flow.data_len(packet.bytes()) > 0;
        let goes_on = state.is_half_closed_towards(found.direction) && has_data;
        let conn = self.family.conns.get_mut(found.id);
        let next = state.next(found.direction, segment.kind());
        match found.direction {
            Direction::Inbound => {
                if next == TcpState::SynSent {
                    note_syn(segment, conn);
                }
                inbound_segment(packet, flow, segment, conn, mtu, &self.shared.stats)
            }
            Direction::Outbound => self.outbound_segment(segment, has_payload, found.id),
        }
        if next != state {
            self.set_tcp_state(found.id, next);
        } else if goes_on {
            self.keep_half_closed(found.id);
        }
        Ok(())
    }

    /// What a segment to the client changes in its conn.
    fn outbound_segment(&mut self, segment: Segment, has_payload: bool, id: ConnId) {
        let has_header = self.family.has_proxy_header(id);
        let conn = self.family.conns.get_mut(id);
        if conn.flags.has(ConnFlags::HANDSHAKE) {
            let is_answer = segment.ack != conn.acks[Direction::Outbound as usize];
            // A dest that awaits the end of the handshake answers what is out of its window by an
            // ACK of the client's SYN alone (RFC 9293, 3.10.7.4).
            let says_more = is_answer || has_payload || segment.has_fin();
            let is_over =
                says_more && segment.has_ack() && !segment.has_syn() && !segment.has_rst();
            conn.flags.put(ConnFlags::HANDSHAKE, !is_over);
        }
        if segment.has_ack() {
            conn.acks[Direction::Outbound as usize] = segment.ack;
        }
        let is_handshake = matches!(conn.tcp_state(), TcpState::SynSent | TcpState::SynRecv);
        if is_handshake && segment.kind() == SegmentKind::Syn {
            conn.acks[Direction::Inbound as usize] = segment.seq.wrapping_add(1);
            // No TOA where a PROXY header tells the dest who the client is.
            let has_toa = conn.flags.is_full_nat() && !has_header;
            conn.flags.put(ConnFlags::TOA_PENDING, has_toa);
            conn.flags.put(ConnFlags::HANDSHAKE, true);
        }
    }

    /// A SYN for a conn in TIME_WAIT or CLOSE.
    #[cold]
    #[inline(never)]
    fn reopen(&mut self, flow: &Flow<A>, found: Found, segment: Segment) {
        match found.direction {
            Direction::Inbound => self.renumber(found.id, segment),
            Direction::Outbound => self.reopen_active_call(flow, found.id),
        }
    }

    /// The client opens the conn again, with a new initial sequence number. The dest may remember
    /// the old one.
    fn renumber(&mut self, id: ConnId, segment: Segment) {
        if !self.family.conns.get(id).flags.is_full_nat() {
            return;
        }
        let conn = self.family.conns.get(id);
        let acknowledged = conn.acks[Direction::Outbound as usize];
        let isn = self.sequence_beyond(conn, acknowledged);
        let conn = self.family.conns.get_mut(id);
        conn.seq_delta = isn.wrapping_sub(segment.seq);
        conn.flags.put(ConnFlags::TOA_PENDING, false);
    }
}

/// The client's SYN says what the dest will acknowledge first.
#[inline]
const fn note_syn<A: Family>(segment: Segment, conn: &mut Conn<A>) {
    if segment.opens() {
        let isn = segment.seq.wrapping_add(conn.seq_delta);
        conn.acks[Direction::Outbound as usize] = isn.wrapping_add(1);
    }
}

/// What a segment to the dest changes in its conn. As DPVS does, segments carry TOA until the
/// client acknowledges more than the dest's SYN. Before the dest has sent more, such a number is
/// made up.
#[inline]
fn inbound_segment<A: Family, B: PacketBuf>(
    packet: &mut B,
    flow: &Flow<A>,
    segment: Segment,
    conn: &mut Conn<A>,
    mtu: u16,
    stats: &WorkerStats,
) {
    if !segment.has_ack() || segment.has_syn() || segment.has_rst() {
        return;
    }
    if conn.flags.has(ConnFlags::TOA_PENDING) {
        let is_first_ack = segment.ack == conn.acks[Direction::Inbound as usize];
        if is_first_ack || conn.flags.has(ConnFlags::HANDSHAKE) {
            // An option moves the data, and the offsets of later fragments would not fit.
            if flow.is_fragment {
                stats.toa_no_space.add(1);
                return;
            }
            let count = match tcp::insert_toa(packet, usize::from(flow.l4_at), conn, mtu) {
                Toa::Inserted => &stats.toa_sent,
                Toa::NoSpace => &stats.toa_no_space,
                Toa::OverMtu => &stats.toa_over_mtu,
            };
            count.add(1);
            return;
        }
        conn.flags.put(ConnFlags::TOA_PENDING, false);
    }
    if !conn.flags.has(ConnFlags::HANDSHAKE) {
        conn.acks[Direction::Inbound as usize] = segment.ack;
    }
}
