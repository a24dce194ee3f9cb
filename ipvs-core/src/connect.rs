//! The first packet of a conn: service, dest, local port, new conn.

use std::sync::Arc;

use packet::checksum;
use packet::{ChecksumState, PacketBuf, sctp};

use crate::choice::{Choice, turn_of};
use crate::classify::Flow;
use crate::conn::{Conn, ConnFlags, ConnId, Direction, Found, Lookup};
use crate::drop_reason::DropReason;
use crate::expected::Expected;
use crate::extra::Extra;
use crate::family::Family;
use crate::ftp::{CONTROL_PORT, DATA_PORT};
use crate::io::Io;
use crate::lane::Forwarder;
use crate::limits;
use crate::matcher::Passing;
use crate::segment::Segment;
use crate::service::{FwdMode, Protocol, Service, ServiceId, ServiceKey};
use crate::snapshot::Snapshot;
use crate::syn_proxy::Handshake;
use crate::tcp_state::TcpState;
use crate::templates;
use crate::time::Now;

/// A packet whose look-up found no conn.
#[derive(Debug)]
pub(crate) struct Unknown<A, B> {
    pub(crate) packet: B,
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
}

/// A packet whose conn is in the table, if only half: its way back is still to be entered.
#[derive(Debug)]
pub(crate) struct Opening<A, B> {
    packet: B,
    flow: Flow<A>,
    lookup: Lookup,
    /// The conn that this packet made, and where its outbound tuple goes; `None` if an earlier packet of the
    /// batch made it.
    made: Option<(ConnId, Lookup)>,
}

/// Why a packet makes no conn.
enum Unserved {
    /// No service has its address and port.
    NoService,
    /// It cannot, or must not.
    Drop(DropReason),
}

impl From<DropReason> for Unserved {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Packets that belong to no conn: to a service, to another worker's conn, or to the kernel. In two steps
    /// for all of them, so that the memory of the way back is there when it is written.
    #[cold]
    pub(crate) fn connect_all(&mut self, now: Now, io: &mut impl Io<B>) {
        let mut unknown = std::mem::take(&mut self.lane.unknown);
        let mut openings = std::mem::take(&mut self.lane.openings);
        for packet in unknown.drain(..) {
            openings.extend(self.begin(now, packet, io));
        }
        for opening in openings.drain(..) {
            self.complete(now, opening, io);
        }
        self.lane.openings = openings;
        self.lane.unknown = unknown;
    }

    /// Both steps for a single packet.
    pub(crate) fn connect(&mut self, now: Now, unknown: Unknown<A, B>, io: &mut impl Io<B>) {
        if let Some(opening) = self.begin(now, unknown, io) {
            self.complete(now, opening, io);
        }
    }

    /// The first step; `None` if the packet has come to its end already.
    fn begin(
        &mut self,
        now: Now,
        unknown: Unknown<A, B>,
        io: &mut impl Io<B>,
    ) -> Option<Opening<A, B>> {
        let Unknown {
            mut packet,
            mut flow,
            lookup,
        } = unknown;
        let mut shaken = None;
        if self.shared.snapshot.services.has_syn_proxy() && flow.protocol == Protocol::Tcp {
            match self.shake_hands_of_unknown(now, packet, &flow, &lookup, io) {
                Handshake::Over => return None,
                Handshake::Plain(same) => packet = same,
                Handshake::Shaken(syn, flow_of_syn, extra) => {
                    (packet, flow, shaken) = (syn, flow_of_syn, Some(extra));
                }
            }
        }
        let made = match self.lane.conns.find_again(&lookup, &flow.tuple) {
            Some(_) => Ok(None),
            None => {
                let expected = self.expected_call(now, &packet, &flow);
                match &expected {
                    Some(expected) if expected.vip != flow.tuple.dst.to_ip() => {
                        self.connect_active(now, packet, &flow, expected, io);
                        return None;
                    }
                    _ => {}
                }
                let expected = expected.as_ref();
                self.open(now, &packet, &flow, &lookup, expected, io)
                    .map(Some)
            }
        };
        match made {
            Ok(made) => {
                if let (Some(extra), Some((id, _))) = (shaken, &made) {
                    self.note_shaken(*id, extra);
                }
                return Some(Opening {
                    packet,
                    flow,
                    lookup,
                    made,
                });
            }
            Err(Unserved::NoService) => self.without_service(packet, &flow, io),
            Err(Unserved::Drop(reason)) => self.shared.drop(packet, reason),
        }
        None
    }

    /// What FTP has announced, if this is it.
    fn expected_call(&self, now: Now, packet: &B, flow: &Flow<A>) -> Option<Expected> {
        if !self.shared.snapshot.services.has_ftp() || flow.protocol != Protocol::Tcp {
            return None;
        }
        let l4 = packet.bytes().get(usize::from(flow.l4_at)..);
        let segment = Segment::read(l4.unwrap_or_default()).ok()?;
        segment.opens().then(|| self.expected(now, flow))?
    }

    /// If the conn is not there by now.
    #[cold]
    fn shake_hands_of_unknown(
        &mut self,
        now: Now,
        packet: B,
        flow: &Flow<A>,
        lookup: &Lookup,
        io: &mut impl Io<B>,
    ) -> Handshake<A, B> {
        match self.lane.conns.find_again(lookup, &flow.tuple) {
            Some(_) => Handshake::Plain(packet),
            None => self.shake_hands(now, packet, flow, io),
        }
    }

    /// What the conn of a client that shook hands with the director remembers.
    fn note_shaken(&mut self, id: ConnId, extra: Extra) {
        let Extra { proxy, is_ftp, .. } = *self.lane.extras.get(id);
        *self.lane.extras.get_mut(id) = Extra {
            proxy,
            is_ftp,
            ..extra
        };
        let flags = &mut self.lane.conns.get_mut(id).flags;
        flags.put(ConnFlags::SYN_PROXIED, true);
    }

    /// A packet whose conn is over: looked up once more.
    pub(crate) fn connect_anew(
        &mut self,
        now: Now,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) {
        let lookup = self.lane.conns.begin(&flow.tuple);
        let flow = *flow;
        let unknown = Unknown {
            packet,
            flow,
            lookup,
        };
        self.connect(now, unknown, io);
    }

    /// The second step: the way back, then the packet goes like any other.
    fn complete(&mut self, now: Now, opening: Opening<A, B>, io: &mut impl Io<B>) {
        let Opening {
            packet,
            flow,
            lookup,
            made,
        } = opening;
        let found = match made {
            Some((id, outbound)) => self.complete_conn(now, id, outbound, &flow, io),
            None => match self.lane.conns.find_again(&lookup, &flow.tuple) {
                Some(found) => Ok(found),
                None => return self.connect_again(now, packet, flow, lookup, io),
            },
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let is_over = self
            .lane
            .conns
            .get(found.id)
            .flags
            .has(ConnFlags::ONE_PACKET);
        self.forward(now, packet, &flow, found, io);
        if is_over {
            self.end(now, found.id, io);
        }
    }

    /// The conn that an earlier packet of the batch made is over already: it was that packet's alone, or gave way to
    /// another.
    fn connect_again(
        &mut self,
        now: Now,
        packet: B,
        flow: Flow<A>,
        lookup: Lookup,
        io: &mut impl Io<B>,
    ) {
        match self.open(now, &packet, &flow, &lookup, None, io) {
            Ok(made) => {
                let made = Some(made);
                let opening = Opening {
                    packet,
                    flow,
                    lookup,
                    made,
                };
                self.complete(now, opening, io);
            }
            Err(Unserved::NoService) => self.without_service(packet, &flow, io),
            Err(Unserved::Drop(reason)) => self.shared.drop(packet, reason),
        }
    }

    /// Enters the way back, if it is free and there is room. Else the conn is out again; a later packet of the
    /// batch may have recycled it already.
    fn complete_conn(
        &mut self,
        now: Now,
        id: ConnId,
        outbound: Lookup,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<Found, DropReason> {
        if !self.lane.conns.holds(id, &flow.tuple) {
            return Err(DropReason::ConnTableFull);
        }
        let conn = *self.lane.conns.get(id);
        let way_back = conn.tuple(Direction::Outbound);
        // FullNAT's way back has a port that is its own, and one-way conns have none.
        if conn.fwdmode() == FwdMode::Nat
            && self.lane.conns.find_again(&outbound, &way_back).is_some()
        {
            self.end(now, id, io);
            return Err(DropReason::NatTupleInUse);
        }
        if self.lane.conns.insert_outbound(id, outbound).is_err() {
            self.settle_end(now, &conn, io);
            return Err(DropReason::ConnTableFull);
        }
        Ok(Found {
            id,
            direction: Direction::Inbound,
        })
    }

    fn without_service(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let to_pool = self
            .shared
            .snapshot
            .net
            .local_addr(flow.tuple.dst.to_ip())
            .is_some_and(|local| local.sapool);
        if !to_pool {
            return self.without_pool(packet, flow, io);
        }
        let owner = sapool::owner_of(flow.tuple.dport, self.shared.config.workers);
        if owner == self.shared.config.worker {
            self.shared.drop(packet, DropReason::NoConn);
        } else if self.shared.hand_overs(&packet) != 0 {
            self.shared.drop(packet, DropReason::RedirectLoop);
        } else {
            self.shared.redirect(packet, owner, io);
        }
    }

    /// A dest's reply in NAT mode may belong to any worker's conn, and so may what belongs to a data conn of FTP: each
    /// is asked. What a dest of NAT says from its service's port never gets out as it is.
    fn without_pool(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let (src, port) = (flow.tuple.src.to_ip(), flow.tuple.sport);
        let services = &self.shared.snapshot.services;
        let is_nat_dest = services.is_nat_dest(flow.protocol, src, port);
        let (worker, workers) = (self.shared.config.worker, self.shared.config.workers);
        let is_last = self.shared.hand_overs(&packet) + 1 >= u32::from(workers);
        if !is_last && (is_nat_dest || self.may_be_ftp_data(flow)) {
            self.shared.redirect(packet, (worker + 1) % workers, io);
        } else if is_nat_dest {
            self.shared.drop(packet, DropReason::NatNoConn);
        } else {
            self.without_anyone(packet, flow, io);
        }
    }

    /// Whether it is from a dest of FTP, or for the port that such a dest calls from.
    fn may_be_ftp_data(&self, flow: &Flow<A>) -> bool {
        let services = &self.shared.snapshot.services;
        let (src, dst) = (flow.tuple.src.to_ip(), flow.tuple.dst.to_ip());
        services.has_ftp()
            && flow.protocol == Protocol::Tcp
            && (services.is_ftp_dest(src)
                || flow.tuple.dport == DATA_PORT && services.is_vip(flow.protocol, dst))
    }

    /// It is the kernel's, unless VIPs are defended.
    fn without_anyone(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let defence = self.shared.snapshot.defence;
        let is_defended = match flow.protocol {
            Protocol::Tcp => defence.tcp_drop,
            Protocol::Udp => defence.udp_drop,
            Protocol::Sctp | Protocol::Icmp | Protocol::IcmpV6 => false,
        };
        let services = &self.shared.snapshot.services;
        if is_defended && services.is_vip(flow.protocol, flow.tuple.dst.to_ip()) {
            self.shared.drop(packet, DropReason::NoService);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }

    /// A conn for a packet: service, dest, local port, and a conn that is found by its inbound tuple.
    fn open(
        &mut self,
        now: Now,
        packet: &B,
        flow: &Flow<A>,
        lookup: &Lookup,
        expected: Option<&Expected>,
        io: &mut impl Io<B>,
    ) -> Result<(ConnId, Lookup), Unserved> {
        let snapshot = &self.shared.snapshot;
        let ftp = expected.map(|expected| {
            let key = ServiceKey::vip(Protocol::Tcp, expected.vip, CONTROL_PORT);
            snapshot.services.get(&key)
        });
        let service = match ftp {
            Some(service) => service,
            None => service_of(snapshot, packet, flow),
        };
        let service = service.ok_or(Unserved::NoService)?;
        let is_ftp = service.is_ftp() && expected.is_none();
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        let opening = match flow.protocol {
            Protocol::Tcp => Some(Segment::read(l4)?),
            Protocol::Sctp if sctp::kind(l4) != sctp::Kind::Init => {
                return Err(DropReason::SctpNotInit.into());
            }
            Protocol::Udp | Protocol::Sctp | Protocol::Icmp | Protocol::IcmpV6 => None,
        };
        if opening.is_some_and(|segment| !segment.opens()) {
            return Err(DropReason::TcpNotSyn.into());
        }
        // A fragment's checksum is over what is not here yet.
        if packet.l4_checksum() == ChecksumState::Unknown && !flow.is_fragment {
            verify_checksum(flow, l4)?;
        }
        let options = service.options;
        let (client, _) = (flow.tuple.src, flow.tuple.sport);
        service.access.check(client.to_ip())?;
        let turn = turn_of(&mut self.shared.turns, service, self.shared.config.worker);
        limits::check(service, &mut turn.rate, &self.shared.all_stats, now)?;
        let service_id = service.id;
        let hash_key = &self.shared.config.keys.conns;
        let template = options.persistence.map(|persistence| {
            let key = templates::key_of(client, &service.key, persistence, hash_key);
            (key, persistence.timeout_s)
        });
        let choice = Choice {
            turn,
            scheduling: &mut self.shared.scheduling,
            all_stats: &self.shared.all_stats,
            laddrs: &mut self.shared.laddrs,
            net: &self.shared.snapshot.net,
            template: template.map(|(key, _)| key),
            expected: expected.map(|expected| expected.dest),
        };
        let mut conn = choice.make_conn(now, flow, l4, service)?;
        let timeouts = &self.shared.snapshot.timeouts;
        let is_one_way = conn.flags.has(ConnFlags::ONE_WAY);
        let timeout_s = match flow.protocol {
            Protocol::Tcp => timeouts.tcp_s[TcpState::SynSent as usize],
            // Nobody will hear the dest answer.
            Protocol::Sctp if is_one_way => options.conn_timeout_s.unwrap_or(timeouts.sctp_s),
            Protocol::Sctp => timeouts.sctp_init_s,
            Protocol::Udp if is_one_way => options.conn_timeout_s.unwrap_or(timeouts.udp_s),
            Protocol::Udp | Protocol::Icmp | Protocol::IcmpV6 => {
                options.conn_timeout_s.unwrap_or(timeouts.udp_oneway_s)
            }
        };
        conn.timeout_s = u16::try_from(timeout_s).unwrap_or(u16::MAX);
        if let Some(segment) = opening
            && conn.flags.has(ConnFlags::FULL_NAT)
        {
            conn.seq_delta = self.initial_sequence(now, &conn).wrapping_sub(segment.seq);
        }
        if is_one_way {
            let has_no_states = flow.protocol != Protocol::Tcp;
            conn.flags.put(ConnFlags::ANSWERED, has_no_states);
        }
        let made = self.insert(now, lookup, conn, service_id, io)?;
        if conn.flags.has(ConnFlags::EDITED) {
            *self.lane.extras.get_mut(made.0) = Extra::of_told(&options, is_ftp);
        }
        if let Some((key, timeout_s)) = template {
            self.shared
                .hold_template(key, conn.dest(), timeout_s, now.tick());
        }
        Ok(made)
    }

    /// Puts the conn into the table, in place of a half-open one if it is full.
    fn insert(
        &mut self,
        now: Now,
        lookup: &Lookup,
        conn: Conn<A>,
        service: ServiceId,
        io: &mut impl Io<B>,
    ) -> Result<(ConnId, Lookup), DropReason> {
        let mut inserted = self.lane.conns.insert_inbound(lookup, conn);
        if inserted.is_err()
            && let Some(victim) = self.lane.conns.recyclable()
        {
            self.shared.stats.conns_recycled.add(1);
            self.end(now, victim, io);
            inserted = self.lane.conns.insert_inbound(lookup, conn);
        }
        let Ok(inserted) = inserted else {
            self.return_port(&conn, io);
            return Err(DropReason::ConnTableFull);
        };
        self.note_made(service, &conn);
        Ok(inserted)
    }

    /// A conn is in the table.
    pub(crate) fn note_made(&mut self, service: ServiceId, conn: &Conn<A>) {
        self.shared.stats.conns.add(1);
        self.shared.stats.conns_made.add(1);
        self.shared.note_conn(service, conn.dest());
        let stats = self.shared.stats.dest(conn.dest());
        stats.conns.add(1);
        stats.inactive_conns.add(1);
        self.shared.scheduling.conn_opened(conn.dest());
    }
}

/// The service of the packet's destination, or one that matches it.
fn service_of<'a, A: Family, B: PacketBuf>(
    snapshot: &'a Snapshot,
    packet: &B,
    flow: &Flow<A>,
) -> Option<&'a Arc<Service>> {
    let tuple = &flow.tuple;
    let (src, dst) = (tuple.src.to_ip(), tuple.dst.to_ip());
    let services = &snapshot.services;
    let of_vip = services.of_vip(flow.protocol, dst, tuple.dport);
    if of_vip.is_some() || !services.has_passing() {
        return of_vip;
    }
    // Replies without a conn are no new ones; what a dest of NAT says goes through a conn, or nowhere.
    let local = snapshot.net.local_addr(dst);
    if local.is_some_and(|local| local.sapool)
        || services.is_nat_dest(flow.protocol, src, tuple.sport)
    {
        return None;
    }
    let is_to_us = local.is_some();
    let hop = snapshot.net.route_to(dst);
    let oif = hop.and_then(|hop| snapshot.net.device(hop.ifindex));
    let passing = Passing {
        src: (src, tuple.sport),
        dst: (dst, tuple.dport),
        iif: &snapshot.net.device_of(packet.port())?.name,
        oif: oif.map_or("", |device| &device.name),
    };
    services
        .matching(flow.protocol, &passing, is_to_us)
        // Nobody gets out where there is no way.
        .filter(|_| is_to_us || oif.is_some())
}

/// The first packet of a conn must be sound: nothing is remembered for the sake of a broken one.
pub(crate) fn verify_checksum<A: Family>(flow: &Flow<A>, l4: &[u8]) -> Result<(), DropReason> {
    let (reason, l4) = match flow.protocol {
        Protocol::Tcp => (DropReason::TcpBadChecksum, l4),
        // It was looked at already: it decided what kind of message this is.
        Protocol::Icmp | Protocol::IcmpV6 => return Ok(()),
        Protocol::Sctp if sctp::is_checksum_right(l4) => return Ok(()),
        Protocol::Sctp => return Err(DropReason::SctpBadChecksum),
        // RFC 768: no checksum at all is legal.
        Protocol::Udp if l4.get(6..8) == Some(&[0, 0]) => return Ok(()),
        Protocol::Udp => {
            let len = l4
                .get(4..6)
                .map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
            (
                DropReason::UdpBadChecksum,
                l4.get(..len).ok_or(DropReason::UdpMalformed)?,
            )
        }
    };
    let pseudo = A::pseudo_header(&flow.tuple, l4.len() as u16);
    if checksum::fold(checksum::sum(l4).wrapping_add(pseudo)) == 0xffff {
        Ok(())
    } else {
        Err(reason)
    }
}
