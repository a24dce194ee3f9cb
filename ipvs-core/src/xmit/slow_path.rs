//! The slow path: packets that change their conn, need more than a rewrite, or have no next hop
//! yet.

use inet::Nexthop;
use packet::ip::IpFacts;
use packet::ipv4::L2_LEN;
use packet::ipv6;
use packet::{PacketBuf, PortId};

use crate::config::Protocol;
use crate::conn::{ConnFlags, Found};
use crate::ctx::{Forwarder, Miss};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::helper::SynProxied;
use crate::io::Io;
use crate::wire::{Family, Flow, family, tunnel};
use crate::xmit::headers::rewrite_datagram;
use crate::xmit::icmp_error::Refusal;
use crate::xmit::nexthop::{Way, check_way, known_nexthop};
use crate::xmit::too_long::Limit;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Forwards any packet of a conn.
    #[inline(always)]
    pub(crate) fn forward(&mut self, packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        if found.direction == Direction::Inbound && self.gives_way(&packet, flow, found.id) {
            return self.open_anew(packet, flow);
        }
        let flags = self.family.conns.get(found.id).flags;
        if flags.has(ConnFlags::SLOW_PATH) {
            self.forward_special(packet, flow, found, io);
        } else {
            self.forward_common(packet, flow, found, io);
        }
    }

    /// Treats a packet of a conn that gives way as one without a conn.
    #[cold]
    #[inline(never)]
    fn open_anew(&mut self, packet: B, flow: &Flow<A>) {
        let lookup = self.family.conns.begin(&flow.tuple);
        self.family.misses.push(Miss::new(packet, *flow, lookup));
    }

    /// Forwards a packet of a NAT conn that needs addresses, ports and numbers rewritten, and no
    /// more.
    #[inline(never)]
    fn forward_common(&mut self, mut packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        let conn = self.family.conns.get_mut(found.id);
        let net = &self.shared.snapshot.net;
        let known = known_nexthop(net, &self.shared.ways_back, conn, found.direction);
        let Some((&Nexthop { mtu, port, .. }, macs)) = known else {
            return self.forward_first(packet, flow, found, io);
        };
        let frame = packet.bytes_mut();
        match check_way::<A>(frame, flow.total_len.into(), mtu) {
            Ok(()) => {}
            Err(DropReason::MtuExceeded) => return self.forward_by_way(packet, flow, found, io),
            Err(reason) => return self.refuse_or_drop(packet, found, reason, io),
        }
        macs.write(frame);
        self.shared
            .stats
            .count_packet(conn.dest(), found.direction, flow.total_len);
        let rewritten = match flow.protocol() {
            Protocol::Udp => {
                conn.touch(self.shared.now.tick());
                let identifications = &self.shared.identifications;
                rewrite_datagram(frame, flow, conn, found.direction, identifications);
                self.note_first_answer(found);
                Ok(())
            }
            Protocol::Tcp => self.rewrite_segment(&mut packet, flow, found, mtu),
            _ => self.rewrite_rest(&mut packet, flow, found),
        };
        match rewritten {
            Ok(()) => {
                if flow.is_fragment {
                    self.renumber_first_fragment(&mut packet, &flow.tuple);
                }
                self.shared.send(packet, port, io);
            }
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// Forwards a packet of a conn with a flag of [`ConnFlags::SLOW_PATH`].
    #[inline(never)]
    fn forward_special(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let flags = self.family.conns.get(found.id).flags;
        if flags.has(ConnFlags::BY_WAY_BACK) && found.direction == Direction::Inbound {
            self.note_way_back(found.id, &packet);
        }
        if flags.has(ConnFlags::SYN_PROXIED) {
            return self.forward_syn_proxied(packet, flow, found, io);
        }
        // Whether such a packet may be cut is asked before its IP header is replaced.
        // A datagram may have to let its PROXY header go ahead.
        let is_edited = flags.has(ConnFlags::EDITED);
        if is_edited && (flags.has(ConnFlags::NAT64) || self.family.awaits_header(flow, found)) {
            return self.forward_by_way(packet, flow, found, io);
        }
        let (net, ways_back) = (&self.shared.snapshot.net, &self.shared.ways_back);
        let conn = self.family.conns.get(found.id);
        let Some((&nexthop, _)) = known_nexthop(net, ways_back, conn, found.direction) else {
            return self.forward_first(packet, flow, found, io);
        };
        let limit = Limit::strict(self.mtu_for(&packet, found, nexthop.mtu));
        match self.rewrite(&mut packet, flow, found, limit) {
            Ok(()) => self.shared.transmit(packet, &nexthop, io),
            Err(DropReason::MtuExceeded) => self.forward_by_way(packet, flow, found, io),
            Err(reason) => self.refuse_or_drop(packet, found, reason, io),
        }
    }

    /// The first packet of a conn in its direction, or the first one after routes changed: the next
    /// hop is looked up.
    #[cold]
    #[inline(never)]
    fn forward_first(&mut self, packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        if found.direction == Direction::Inbound {
            self.note_way_back(found.id, &packet);
        }
        let way = match self.way_of(found.id, found.direction) {
            Ok(way) => way,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let conn = self.family.conns.get(found.id);
        let (net, ways_back) = (&self.shared.snapshot.net, &self.shared.ways_back);
        let is_known = known_nexthop(net, ways_back, conn, found.direction).is_some();
        if is_known && !conn.flags.has(ConnFlags::EDITED) {
            self.forward(packet, flow, found, io);
        } else {
            self.forward_along(packet, flow, found, way, io);
        }
    }

    /// Forwards a packet of a conn that the SYN proxy made.
    #[cold]
    #[inline(never)]
    fn forward_syn_proxied(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        match self.translate_syn_proxied(packet, flow, found) {
            SynProxied::Forward(packet, flow) => self.forward_by_way(packet, &flow, found, io),
            SynProxied::SynAck(packet) => {
                let port = packet.port();
                self.forward_by_way(packet, flow, found, io);
                if let Some((packet, flow)) = self.acknowledgment_for_dest(port, found.id, io) {
                    let direction = Direction::Inbound;
                    let found = Found { direction, ..found };
                    self.forward_syn_proxied(packet, &flow, found, io);
                }
            }
            SynProxied::Reopen(packet) => {
                self.end(found.id);
                let lookup = self.family.conns.begin(&flow.tuple);
                self.family.misses.push(Miss::new(packet, *flow, lookup));
            }
            SynProxied::Drop(packet, reason) => self.shared.drop(packet, reason),
        }
    }

    /// Forwards a packet by the route, whether the conn has cached its next hop or not.
    fn forward_by_way(&mut self, packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        match self.way_of(found.id, found.direction) {
            Ok(way) => self.forward_along(packet, flow, found, way, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    /// Rewrites a packet and sends it to a next hop that was looked up, or queues it for its
    /// neighbour.
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
        if !self.has_room_for_header(flow, found, way) {
            return self.shared.drop(packet, DropReason::NeighbourQueueFull);
        }
        let limit = self.limit_of(&mut packet, found, way);
        match self.rewrite(&mut packet, flow, found, limit) {
            Ok(()) => {
                let flags = self.family.conns.get(found.id).flags;
                if flags.has(ConnFlags::SYN_PROXIED) && found.direction == Direction::Outbound {
                    let l4_at = self.l4_at_of(&packet, flow, found);
                    self.finish_syn_proxied(&mut packet, l4_at, found.id);
                }
                let is_edited = flags.has(ConnFlags::EDITED);
                if is_edited && !self.send_ahead(packet.port(), found, way, io) {
                    return self.shared.drop(packet, DropReason::BeforeHeader);
                }
                self.deliver_or_cut(packet, way, limit.mtu, io);
            }
            Err(reason) => self.refuse_or_drop(packet, found, reason, io),
        }
    }

    /// Whether a datagram, in as many fragments as it may need, and its PROXY header find room in
    /// the queue of their neighbour. What is dropped there would use the header up.
    fn has_room_for_header(&self, flow: &Flow<A>, found: Found, way: Way) -> bool {
        let is_edited = self.family.conns.get(found.id).flags.has(ConnFlags::EDITED);
        let packets = 2 + flow.total_len / way.mtu().max(1);
        !(is_edited && self.family.awaits_header(flow, found)) || self.shared.has_room(way, packets)
    }

    /// If a datagram had no room for UOA or for the PROXY header, another one with that goes ahead
    /// of it. `false` if the datagram must not go, since its header could not.
    fn send_ahead(&mut self, port: PortId, found: Found, way: Way, io: &mut impl Io<B>) -> bool {
        if let Some(packet) = self.uoa_datagram(port, found, way.mtu(), io) {
            self.deliver(packet, way, io);
        }
        if !self.family.owes_header(found) {
            return true;
        }
        let Some(packet) = self.header_datagram(port, found, io) else {
            return false;
        };
        self.deliver(packet, way, io);
        true
    }

    /// Drops a packet. If it was too long or its time to live ran out, its sender gets an ICMP
    /// error.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_or_drop(
        &mut self,
        mut packet: B,
        found: Found,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        // The packet is still as it came.
        let Ok(ip) = A::check(&mut packet) else {
            return self.shared.drop(packet, reason);
        };
        let refusal = match reason {
            DropReason::TtlExpired => Refusal::TimeExceeded,
            DropReason::MtuExceeded if ip.dont_fragment => {
                match self.way_of(found.id, found.direction) {
                    Ok(way) => Refusal::PacketTooBig {
                        mtu: self.mtu_for_sender(way, &ip, found),
                    },
                    Err(_) => return self.shared.drop(packet, reason),
                }
            }
            _ => return self.shared.drop(packet, reason),
        };
        self.refuse(packet, &ip, refusal, reason, io);
    }

    /// The longest packet of the sender that its way takes.
    fn mtu_for_sender(&self, way: Way, ip: &IpFacts<A>, found: Found) -> u16 {
        let mtu = way
            .mtu()
            .saturating_add_signed(-self.growth(ip, found))
            .saturating_sub(self.header_room(found));
        if ip.src.to_ip().is_ipv4() {
            mtu
        } else {
            // Senders of IPv6 ignore less (RFC 8201, 4). What is that long is cut instead.
            mtu.max(ipv6::LEAST_MTU)
        }
    }

    /// Offset of the L4 header once the packet was rewritten.
    fn l4_at_of(&self, packet: &B, flow: &Flow<A>, found: Found) -> usize {
        let conn = self.family.conns.get(found.id);
        if conn.flags.has(ConnFlags::NAT64) {
            let to = conn.rewritten(found.direction).src;
            return L2_LEN + family::header_len(to) + fragment_header_len(flow.is_fragment, to);
        }
        usize::from(flow.l4_at).min(packet.bytes().len())
    }

    /// Bytes that the PROXY header may add to the first packets of a conn.
    fn header_room(&self, found: Found) -> u16 {
        let is_told = self.family.conns.get(found.id).flags.has(ConnFlags::EDITED);
        if is_told && found.direction == Direction::Inbound {
            packet::proxy::LONGEST_V1 as u16
        } else {
            0
        }
    }

    /// Bytes by which the rewrite makes a packet longer, or shorter if negative.
    pub(crate) fn growth(&self, ip: &IpFacts<A>, found: Found) -> i16 {
        let conn = self.family.conns.get(found.id);
        if conn.flags.has(ConnFlags::DR_TUNNEL) {
            return tunnel::overhead(conn, conn.fwdmode()) as i16;
        }
        if !conn.flags.has(ConnFlags::NAT64) {
            return 0;
        }
        let header_len = ip.l4_at - L2_LEN as u8;
        let to = conn.rewritten(found.direction).src;
        let fragment_header_len = fragment_header_len(ip.is_fragment, to);
        (family::header_len(to) + fragment_header_len) as i16 - i16::from(header_len)
    }
}

/// The length of the fragment header of a packet of NAT64 that leaves from `to`.
fn fragment_header_len<A: Family>(is_fragment: bool, to: A) -> usize {
    if is_fragment && !to.is_mapped() {
        ipv6::FRAGMENT_HEADER_LEN
    } else {
        0
    }
}
