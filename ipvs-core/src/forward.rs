//! The way of a packet whose conn is known.

use inet::Nexthop;
use packet::PacketBuf;

use crate::classify::Flow;
use crate::conn::{Conn, ConnFlags, ConnId, Direction, Found};
use crate::drop_reason::DropReason;
use crate::family::{self, Family};
use crate::fragments::Part;
use crate::icmp_send::Refusal;
use crate::io::Io;
use crate::lane::Forwarder;
use crate::output::{Way, known_nexthop};
use crate::proxy_protocol;
use crate::segment::{self, Segment, Toa};
use crate::service::Protocol;
use crate::stats::WorkerStats;
use crate::tcp_state::TcpState;
use crate::tunnel;
use packet::ip::IpFacts;
use packet::ipv4::L2_LEN;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Rewrites a packet of a conn and sends it on.
    #[inline(always)]
    pub(crate) fn forward(&mut self, packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        let flags = self.lane.conns.get(found.id).flags;
        if !flags.has(ConnFlags::NOT_PLAIN) {
            self.forward_plain(packet, flow, found, io);
        } else if flags.has(ConnFlags::ONE_WAY) {
            self.forward_one_way(packet, flow, found, io);
        } else {
            self.forward_special(packet, flow, found, io);
        }
    }

    /// What most packets need: addresses, ports, numbers.
    #[inline(never)]
    fn forward_plain(&mut self, mut packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        let conn = self.lane.conns.get_mut(found.id);
        let net = &self.shared.snapshot.net;
        let known = known_nexthop(net, conn, found.direction);
        let Some((&Nexthop { mtu, port, .. }, macs)) = known else {
            return self.forward_first(packet, flow, found, io);
        };
        let frame = packet.bytes_mut();
        if let Err(reason) = check_way::<A>(frame, flow.total_len.into(), mtu) {
            return self.refuse_or_drop(packet, found, reason, io);
        }
        macs.write(frame);
        count_packet(&self.shared.stats, conn, found.direction, flow.total_len);
        let rewritten = match flow.protocol {
            Protocol::Udp => {
                conn.touch(self.shared.now.tick());
                rewrite_datagram(frame, flow, conn, found.direction);
                self.note_first_answer(found);
                Ok(())
            }
            Protocol::Tcp => self.rewrite_segment(&mut packet, flow, found, mtu),
            _ => self.rewrite_rest(&mut packet, flow, found),
        };
        match rewritten {
            Ok(()) => self.shared.send(packet, port, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// The same for conns that need more, or less.
    #[inline(never)]
    pub(crate) fn forward_special(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let conn = self.lane.conns.get(found.id);
        if conn.flags.has(ConnFlags::SYN_PROXIED) {
            return self.forward_shaken(packet, flow, found, io);
        }
        let net = &self.shared.snapshot.net;
        let Some((&nexthop, _)) = known_nexthop(net, conn, found.direction) else {
            return self.forward_first(packet, flow, found, io);
        };
        match self.rewrite(&mut packet, flow, found, nexthop.mtu) {
            Ok(()) => self.shared.transmit(packet, &nexthop, io),
            Err(reason) => self.refuse_or_drop(packet, found, reason, io),
        }
    }

    /// The first packet of a conn in its direction, or after routes changed.
    #[cold]
    #[inline(never)]
    pub(crate) fn forward_first(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let way = match self.way_of(found.id, found.direction) {
            Ok(way) => way,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let conn = self.lane.conns.get(found.id);
        let net = &self.shared.snapshot.net;
        let is_known = known_nexthop(net, conn, found.direction).is_some();
        if is_known && !conn.flags.has(ConnFlags::EDITED) {
            self.forward(packet, flow, found, io);
        } else {
            self.forward_along(packet, flow, found, way, io);
        }
    }

    /// The packets of a client that shook hands with the director, whatever is known of their way.
    pub(crate) fn forward_by_way(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        match self.way_of(found.id, found.direction) {
            Ok(way) => self.forward_along(packet, flow, found, way, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// What goes by routes, the first packets that tell of their client, those that wait, and those of a client that shook hands
    /// with the director.
    #[cold]
    #[inline(never)]
    fn forward_along(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        found: Found,
        way: Way,
        io: &mut impl Io<B>,
    ) {
        match self.rewrite(&mut packet, flow, found, way.mtu()) {
            Ok(()) => {
                let flags = self.lane.conns.get(found.id).flags;
                if flags.has(ConnFlags::SYN_PROXIED) && found.direction == Direction::Outbound {
                    let l4_at = self.l4_at_of(&packet, flow, found);
                    self.finish_shaken(&mut packet, l4_at, found.id);
                }
                if flags.has(ConnFlags::EDITED) {
                    self.tell_ahead(packet.port(), found, way, io);
                }
                self.deliver(packet, way, io);
            }
            Err(reason) => self.refuse_or_drop(packet, found, reason, io),
        }
    }

    /// Some senders are told why.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse_or_drop(
        &mut self,
        mut packet: B,
        found: Found,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        // Nothing of it was changed yet.
        let Ok(ip) = A::check(&mut packet) else {
            return self.shared.drop(packet, reason);
        };
        let refusal = match reason {
            DropReason::TtlExpired => Refusal::TimeExceeded,
            DropReason::MtuExceeded if ip.dont_fragment => {
                match self.way_of(found.id, found.direction) {
                    Ok(way) => Refusal::PacketTooBig {
                        mtu: way
                            .mtu()
                            .saturating_add_signed(-self.growth(&ip, found))
                            .saturating_sub(self.header_room(found)),
                    },
                    Err(_) => return self.shared.drop(packet, reason),
                }
            }
            _ => return self.shared.drop(packet, reason),
        };
        self.refuse(packet, &ip, refusal, reason, io);
    }

    #[inline(always)]
    fn rewrite(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let flags = self.lane.conns.get(found.id).flags;
        if flags.has(ConnFlags::ONE_WAY) {
            self.pass_on(packet, flow, found, mtu)
        } else {
            self.rewrite_any(packet, flow, found, mtu)
        }
    }

    /// A packet whose way may have more stations than most packets'.
    #[inline(never)]
    fn rewrite_any(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let flags = self.lane.conns.get(found.id).flags;
        if A::ttl(packet.bytes()) <= 1 {
            return Err(DropReason::TtlExpired);
        }
        let mut flow = *flow;
        let is_mixed = A::CAN_BE_MIXED && flags.has(ConnFlags::MIXED);
        if is_mixed {
            flow = self.replace_network(packet, &flow, found, mtu)?;
        }
        if flags.has(ConnFlags::EDITED) {
            flow = match self.edit(packet, &flow, found, mtu) {
                // The packet is no longer the one that its sender would have to be told about.
                Err(DropReason::MtuExceeded) if is_mixed => {
                    return Err(DropReason::NoRoomForHeader);
                }
                edited => edited?,
            };
        }
        if flow.total_len > mtu {
            return Err(DropReason::MtuExceeded);
        }
        self.count_packet(found, flow.total_len);
        match flow.protocol {
            Protocol::Udp => {
                let conn = self.lane.conns.get_mut(found.id);
                conn.touch(self.shared.now.tick());
                rewrite_datagram(packet.bytes_mut(), &flow, conn, found.direction);
                self.note_first_answer(found);
            }
            Protocol::Tcp => self.rewrite_segment(packet, &flow, found, mtu)?,
            _ => self.rewrite_rest(packet, &flow, found)?,
        }
        if is_mixed {
            self.complete_replaced(packet, &flow, found);
        }
        if flags.has(ConnFlags::EDITED) {
            self.tell_by_uoa(packet, &flow, found, mtu);
        }
        Ok(())
    }

    /// What is neither TCP nor UDP.
    #[cold]
    #[inline(never)]
    fn rewrite_rest(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
    ) -> Result<(), DropReason> {
        match flow.protocol {
            Protocol::Sctp => self.rewrite_sctp(packet, flow, found),
            _ => {
                self.rewrite_echo(packet, flow, found);
                Ok(())
            }
        }
    }

    /// A fragment that has no L4 header: its addresses alone are rewritten. `options_len` bytes came before that in the
    /// first.
    pub(crate) fn forward_later_fragment(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        found: Found,
        options_len: u16,
        io: &mut impl Io<B>,
    ) {
        if !ip.more_fragments && self.changes_sctp_ports(found) {
            let len = ip.total_len - (u16::from(ip.l4_at) - L2_LEN as u16);
            // RFC 791, 3.2: no whole is longer than its length field can say.
            let Some(end) = ip.fragment_offset.checked_add(len) else {
                return self.shared.drop(packet, DropReason::Fragment);
            };
            self.release_first_fragment(ip, end, io);
        }
        let part = Part::Later { options_len };
        self.forward_fragment(packet, ip, found, part, io);
    }

    /// A fragment by itself.
    pub(crate) fn forward_fragment(
        &mut self,
        mut packet: B,
        ip: &IpFacts<A>,
        found: Found,
        part: Part,
        io: &mut impl Io<B>,
    ) {
        let way = match self.way_of(found.id, found.direction) {
            Ok(way) => way,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        if ip.ttl <= 1 {
            return self.refuse_or_drop(packet, found, DropReason::TtlExpired, io);
        }
        if ip.total_len.saturating_add_signed(self.growth(ip, found)) > way.mtu() {
            return self.refuse_or_drop(packet, found, DropReason::MtuExceeded, io);
        }
        self.count_packet(found, ip.total_len);
        let conn = self.lane.conns.get_mut(found.id);
        conn.touch(self.shared.now.tick());
        match self.rewrite_fragment(&mut packet, ip, found, part) {
            Ok(()) => self.deliver(packet, way, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    fn rewrite_fragment(
        &mut self,
        packet: &mut B,
        ip: &IpFacts<A>,
        found: Found,
        part: Part,
    ) -> Result<(), DropReason> {
        if let Part::FirstOfSctp { whole_len } = part {
            self.rewrite_first_fragment(packet, ip.l4_at, found, whole_len)?;
        }
        let conn = self.lane.conns.get(found.id);
        if conn.flags.has(ConnFlags::ONE_WAY) {
            let tuple = conn.tuple(found.direction);
            return self.shared.pass_on_unchanged(packet, conn, &tuple);
        }
        if A::CAN_BE_MIXED && conn.flags.has(ConnFlags::MIXED) {
            return self.replace_network_of_fragment(packet, ip, found, part);
        }
        rewrite_network(packet.bytes_mut(), conn, found.direction);
        Ok(())
    }

    /// Where the L4 header of a packet of a conn lies once the packet was rewritten.
    fn l4_at_of(&self, packet: &B, flow: &Flow<A>, found: Found) -> usize {
        let conn = self.lane.conns.get(found.id);
        if conn.flags.has(ConnFlags::MIXED) {
            return L2_LEN + family::header_len(conn.rewritten(found.direction).src);
        }
        usize::from(flow.l4_at).min(packet.bytes().len())
    }

    /// Bytes that the first packets of a conn may grow by beyond that: a PROXY header.
    fn header_room(&self, found: Found) -> u16 {
        let is_told = self.lane.conns.get(found.id).flags.has(ConnFlags::EDITED);
        if is_told && found.direction == Direction::Inbound {
            proxy_protocol::LONGEST_HEADER
        } else {
            0
        }
    }

    /// Bytes that a packet of a conn grows by, or shrinks.
    pub(crate) fn growth(&self, ip: &IpFacts<A>, found: Found) -> i16 {
        let conn = self.lane.conns.get(found.id);
        if conn.flags.has(ConnFlags::ONE_WAY) {
            return tunnel::overhead(conn, conn.fwdmode()) as i16;
        }
        if !conn.flags.has(ConnFlags::MIXED) {
            return 0;
        }
        let header_len = ip.l4_at - L2_LEN as u8;
        let to = conn.rewritten(found.direction).src;
        let fragment_header_len = if ip.is_fragment && !to.is_mapped() {
            packet::ipv6::FRAGMENT_HEADER_LEN
        } else {
            0
        };
        (family::header_len(to) + fragment_header_len) as i16 - i16::from(header_len)
    }

    #[inline]
    pub(crate) fn count_packet(&self, found: Found, bytes: u16) {
        let conn = self.lane.conns.get(found.id);
        count_packet(&self.shared.stats, conn, found.direction, bytes);
    }

    /// A packet of a conn without states went its way.
    #[inline(always)]
    fn note_first_answer(&mut self, found: Found) {
        let flags = self.lane.conns.get(found.id).flags;
        // One branch, which is hardly ever taken.
        if (found.direction == Direction::Outbound) & !flags.has(ConnFlags::ANSWERED) {
            self.note_answer(found.id);
        }
    }

    /// The dest of a conn without states has answered.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_answer(&mut self, id: ConnId) {
        let timeout_s = self.quiet_timeout_s(self.lane.conns.get(id), true);
        self.lane
            .conns
            .get_mut(id)
            .flags
            .put(ConnFlags::ANSWERED, true);
        self.set_timeout(id, timeout_s);
        self.set_active(id, true);
    }

    #[inline(always)]
    fn rewrite_segment(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let frame = packet.bytes_mut();
        let l4 = frame.get_mut(usize::from(flow.l4_at)..);
        let l4 = l4.unwrap_or_default();
        let segment = Segment::read(l4)?;
        if segment.opens() && self.is_over(found.id) {
            self.reopen(flow, found, segment);
        }
        let conn = self.lane.conns.get_mut(found.id);
        segment::rewrite_tcp(
            l4,
            segment,
            conn,
            found.direction,
            conn.deltas(found.direction).l4,
        )?;
        rewrite_network(frame, conn, found.direction);
        conn.touch(self.shared.now.tick());
        // Most segments, whichever way they go, change nothing else.
        if segment.only_acknowledges() && conn.is_settled() {
            conn.acks[found.direction as usize] = segment.ack;
            return Ok(());
        }
        let state = conn.tcp_state();
        match found.direction {
            Direction::Inbound => {
                inbound_segment(packet, flow, segment, conn, mtu, &self.shared.stats)
            }
            Direction::Outbound => self.outbound_segment(segment, found.id),
        }
        let next = state.next(found.direction, segment.kind());
        if next != state {
            self.set_tcp_state(found.id, next);
        }
        Ok(())
    }

    /// What is special about a segment to the client.
    fn outbound_segment(&mut self, segment: Segment, id: ConnId) {
        let has_header = self.lane.has_proxy_header(id);
        let conn = self.lane.conns.get_mut(id);
        if segment.has_ack() {
            conn.acks[Direction::Outbound as usize] = segment.ack;
        }
        if segment.has_syn() && matches!(conn.tcp_state(), TcpState::SynSent | TcpState::SynRecv) {
            conn.acks[Direction::Inbound as usize] = segment.seq.wrapping_add(1);
            // Without TOA where the dest learns of the client in another way.
            let has_toa = conn.flags.has(ConnFlags::FULL_NAT) && !has_header;
            conn.flags.put(ConnFlags::TOA_PENDING, has_toa);
        }
    }

    #[inline]
    fn is_over(&self, id: ConnId) -> bool {
        let state = self.lane.conns.get(id).tcp_state();
        matches!(state, TcpState::TimeWait | TcpState::Close)
    }

    /// A SYN hit a conn that is over.
    #[cold]
    #[inline(never)]
    fn reopen(&mut self, flow: &Flow<A>, found: Found, segment: Segment) {
        match found.direction {
            Direction::Inbound => self.renumber(found.id, segment),
            Direction::Outbound => self.call_again(flow, found.id),
        }
    }

    /// The client's conn starts afresh, with numbers of its own (FullNAT design, 4.6.2), which go on from the old ones if
    /// those are ahead (RFC 6191).
    fn renumber(&mut self, id: ConnId, segment: Segment) {
        if !self.lane.conns.get(id).flags.has(ConnFlags::FULL_NAT) {
            return;
        }
        let chosen = self.initial_sequence(self.lane.conns.get(id));
        let conn = self.lane.conns.get_mut(id);
        let continued = segment.seq.wrapping_add(conn.seq_delta);
        let is_ahead = continued.wrapping_sub(chosen) < 1 << 31;
        let isn = if is_ahead { continued } else { chosen };
        conn.seq_delta = isn.wrapping_sub(segment.seq);
        conn.flags.put(ConnFlags::TOA_PENDING, false);
    }
}

/// Whether a packet may go on at all. Nothing of it has been changed yet: its sender may have to be told.
#[inline(always)]
pub(crate) fn check_way<A: Family>(
    frame: &[u8],
    total_len: u32,
    mtu: u16,
) -> Result<(), DropReason> {
    if A::ttl(frame) <= 1 {
        Err(DropReason::TtlExpired)
    } else if total_len > u32::from(mtu) {
        Err(DropReason::MtuExceeded)
    } else {
        Ok(())
    }
}

#[inline(always)]
pub(crate) fn count_packet<A: Family>(
    stats: &WorkerStats,
    conn: &Conn<A>,
    direction: Direction,
    bytes: u16,
) {
    let stats = stats.dest(conn.dest());
    let (packets, all_bytes) = match direction {
        Direction::Inbound => (&stats.in_packets, &stats.in_bytes),
        Direction::Outbound => (&stats.out_packets, &stats.out_bytes),
    };
    packets.add(1);
    all_bytes.add(u64::from(bytes));
}

/// Addresses and ports of a datagram.
#[inline(always)]
fn rewrite_datagram<A: Family>(
    frame: &mut [u8],
    flow: &Flow<A>,
    conn: &Conn<A>,
    direction: Direction,
) {
    rewrite_network(frame, conn, direction);
    segment::rewrite_udp(
        frame.get_mut(usize::from(flow.l4_at)..).unwrap_or_default(),
        &conn.rewritten(direction),
        conn.deltas(direction).l4,
    );
}

/// The network header of a packet of a conn.
#[inline]
pub(crate) fn rewrite_network<A: Family>(bytes: &mut [u8], conn: &Conn<A>, direction: Direction) {
    // That of a mixed conn was replaced before.
    if A::CAN_BE_MIXED && conn.flags.has(ConnFlags::MIXED) {
        return;
    }
    let to = conn.rewritten(direction);
    A::rewrite(bytes, to.src, to.dst, conn.deltas(direction).l3);
}

/// What is special about a segment to the dest: until the client acknowledges more than the dest's
/// SYN, its segments carry its address (DPVS puts TOA there).
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
        if segment.ack == conn.acks[Direction::Inbound as usize] {
            // Data that moves would not fit the offsets of the fragments behind.
            if flow.is_fragment {
                stats.toa_no_space.add(1);
                return;
            }
            let count = match segment::insert_toa(packet, usize::from(flow.l4_at), conn, mtu) {
                Toa::Inserted => &stats.toa_sent,
                Toa::NoSpace => &stats.toa_no_space,
                Toa::OverMtu => &stats.toa_over_mtu,
            };
            count.add(1);
            return;
        }
        conn.flags.put(ConnFlags::TOA_PENDING, false);
    }
    conn.acks[Direction::Inbound as usize] = segment.ack;
}
