//! The SYN proxy: the director shakes hands with the client by a cookie, and with the dest only once the client has
//! shown that it is there. A flood of SYNs costs neither conns nor the dests' backlog.
//!
//! Until the dest has answered, the client is told to wait by a window of 0. From then on the dest's numbers are
//! translated into those of the cookie. All other code sees the dest's numbers.

use packet::PacketBuf;
use packet::checksum;
use packet::ipv4::L2_LEN;

use crate::classify::Flow;
use crate::conn::{ConnFlags, ConnId, Direction, Found};
use crate::drop_reason::DropReason;
use crate::extra::Extra;
use crate::family::{self, Family};
use crate::io::Io;
use crate::lane::{Forwarder, Lane};
use crate::limits;
use crate::new_segment::NewSegment;
use crate::open;
use crate::proxy_protocol;
use crate::segment::{self, Segment};
use crate::service::{FwdMode, Protocol, Service};
use crate::service_options::SynProxy;
use crate::syn_cookie::{CookieJar, SynOffer};
use crate::tcp_options::{self, HEADER_LEN, Timestamps};
use crate::tcp_state::TcpState;
use crate::time::Now;

/// The shift of windows that clients are told (RFC 7323, 2.2): Linux's own for buffers of 6 MB.
const OUR_SCALE: u8 = 7;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// Where a TCP header has its flags and its window.
const FLAGS: usize = 13;
const WINDOW: std::ops::Range<usize> = 14..16;

/// What became of a packet without a conn.
pub(crate) enum Handshake<A, B> {
    /// It has nothing to do with cookies.
    Plain(B),
    /// It was answered with a cookie, or is of no use.
    Over,
    /// The client is there: this is its SYN again, to be taken like any other, and what its conn remembers.
    Shaken(B, Flow<A>, Extra),
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A TCP segment to a service that may have a SYN proxy.
    #[cold]
    #[inline(never)]
    pub(crate) fn shake_hands(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Handshake<A, B> {
        let services = &self.shared.snapshot.services;
        let of_vip = services.of_vip(flow.protocol, flow.tuple.dst, flow.tuple.dport);
        let Some(service) = of_vip.filter(|service| service.options.syn_proxy.is_some()) else {
            return Handshake::Plain(packet);
        };
        let service = std::sync::Arc::clone(service);
        let l4 = packet.bytes().get(usize::from(flow.l4_at)..);
        let Ok(segment) = Segment::read(l4.unwrap_or_default()) else {
            return Handshake::Plain(packet);
        };
        if segment.opens() {
            if !self.is_proxied(&service) || flow.is_fragment {
                return Handshake::Plain(packet);
            }
            self.answer_with_cookie(packet, flow, segment, &service, io);
            return Handshake::Over;
        }
        if segment.has_ack() && !segment.has_syn() && !segment.has_rst() {
            let has_timestamps = self.offers_timestamps(&service);
            return self.take_cookie(packet, flow, segment, has_timestamps);
        }
        Handshake::Plain(packet)
    }

    /// Whether SYNs are answered with cookies now.
    fn is_proxied(&mut self, service: &Service) -> bool {
        match service.options.syn_proxy {
            None => false,
            Some(SynProxy::Always) => true,
            Some(SynProxy::Above(per_s)) => {
                self.shared.stats.service(service.id).syns.add(1);
                let all_stats = &self.shared.all_stats;
                let syns = limits::of_all(all_stats, service.id, |stats| stats.syns.get());
                let now = self.shared.now;
                let rate = &mut self.shared.turn_of(service).syn_rate;
                !rate.allows(now, syns, per_s)
            }
        }
    }

    /// Whether its clients and dests may have timestamps (RFC 7323). FullNAT takes them out of SYNs, and what one dest
    /// does without, clients are not offered: some believe no segment that comes without them.
    fn offers_timestamps(&mut self, service: &Service) -> bool {
        // The first stands for all: a flood of SYNs must not cost more the more dests there are.
        let first = service.dests.first();
        let is_nat = first.is_some_and(|dest| dest.fwdmode == FwdMode::Nat);
        is_nat && !self.shared.turn_of(service).is_without_timestamps
    }

    /// The SYN becomes the answer to itself.
    fn answer_with_cookie(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        segment: Segment,
        service: &Service,
        io: &mut impl Io<B>,
    ) {
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        if let Err(reason) = open::verify_checksum(flow, l4) {
            return self.shared.drop(packet, reason);
        }
        if let Err(reason) = service.access.check(flow.tuple.src) {
            return self.shared.drop(packet, reason);
        }
        let offer = tcp_options::read_syn(options_of(l4));
        let theirs = tcp_options::timestamps_of(options_of(l4));
        let timestamps = theirs.map(|theirs| Timestamps {
            value: clock(self.shared.now),
            echo: theirs.value,
        });
        let timestamps = timestamps.filter(|_| self.offers_timestamps(service));
        let jar = CookieJar::new(&self.shared.config.keys.sequence);
        let cookie = jar.make(self.shared.now, &flow.tuple, segment.seq, offer);
        let mss = self.mss_for(&packet, flow, service);
        let mut answer = flow.tuple.reversed();
        answer.protocol = flow.tuple.protocol;
        let ours = NewSegment {
            seq: cookie,
            ack: segment.seq.wrapping_add(1),
            flags: SYN | ACK,
            window: 0,
            offer: Some(SynOffer {
                mss,
                scale: offer.scale.map(|_| OUR_SCALE),
                sack: offer.sack,
            }),
            timestamps,
        };
        if !ours.write(&mut packet, &answer, family::DEFAULT_TTL) {
            return self.shared.drop(packet, DropReason::NoHeadroom);
        }
        swap_macs(packet.bytes_mut());
        self.shared.stats.syn_cookies_sent.add(1);
        self.shared.stats.transmitted.add(1);
        io.transmit(packet.port(), packet);
    }

    /// The largest segment for clients: as large as their link takes, with room for what is put into it.
    fn mss_for(&self, packet: &B, flow: &Flow<A>, service: &Service) -> u16 {
        let device = self.shared.snapshot.net.device_of(packet.port());
        let mtu = device.map_or(1280, |device| device.mtu);
        let headers = family::header_len(flow.tuple.src) + HEADER_LEN;
        // Whatever this client's conn will need: a PROXY header or TOA, and a longer IP header.
        let told = match service.options.proxy_protocol {
            Some(_) => usize::from(proxy_protocol::LONGEST_HEADER),
            None => tcp_options::TOA_V6_LEN,
        };
        let longer = if service.is_mixed() { 20 } else { 0 };
        mtu.saturating_sub((headers + told + longer) as u16)
    }

    /// An acknowledgment of what may be a cookie.
    fn take_cookie(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        segment: Segment,
        may_have_timestamps: bool,
    ) -> Handshake<A, B> {
        let client_isn = segment.seq.wrapping_sub(1);
        let cookie = segment.ack.wrapping_sub(1);
        let jar = CookieJar::new(&self.shared.config.keys.sequence);
        let Some(offer) = jar.read(self.shared.now, &flow.tuple, client_isn, cookie) else {
            self.shared.stats.syn_cookies_wrong.add(1);
            return Handshake::Plain(packet);
        };
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        if let Err(reason) = open::verify_checksum(flow, l4) {
            self.shared.drop(packet, reason);
            return Handshake::Over;
        }
        let window = window_of(l4);
        // RFC 7323, 3.2: once they are agreed on, all segments have them.
        let timestamps = tcp_options::timestamps_of(options_of(l4)).filter(|_| may_have_timestamps);
        let extra = Extra {
            has_timestamps: u8::from(timestamps.is_some()),
            client_timestamp: timestamps.map_or(0, |theirs| theirs.value),
            first_data: segment.seq,
            cookie,
            client_window: window,
            client_scale: offer.scale.unwrap_or(0),
            has_scale: u8::from(offer.scale.is_some()),
            ..Extra::default()
        };
        let ttl = A::ttl(packet.bytes());
        if !syn_again(&extra, offer).write(&mut packet, &flow.tuple, ttl) {
            self.shared.drop(packet, DropReason::NoHeadroom);
            return Handshake::Over;
        }
        self.shared.stats.syn_cookies_taken.add(1);
        let flow = flow_of(&packet, flow);
        Handshake::Shaken(packet, flow, extra)
    }

    /// A packet of a conn whose client shook hands with the director.
    #[cold]
    #[inline(never)]
    pub(crate) fn forward_shaken(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        let segment = match Segment::read(l4) {
            Ok(segment) => segment,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        match found.direction {
            Direction::Inbound => self.shaken_inbound(packet, flow, segment, found, io),
            Direction::Outbound => self.shaken_outbound(packet, flow, segment, found, io),
        }
    }

    fn shaken_inbound(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        segment: Segment,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let state = self.lane.conns.get(found.id).tcp_state();
        let extra = *self.lane.extras.get(found.id);
        let is_first = segment.opens() && segment.seq == extra.first_data.wrapping_sub(1);
        let is_over = matches!(state, TcpState::TimeWait | TcpState::Close);
        if segment.opens() && is_over && !is_first {
            // The client begins anew: with a cookie again.
            self.end(found.id, io);
            return self.connect_anew(packet, flow, io);
        }
        if extra.is_dest_known == 0 && !segment.opens() && !segment.has_rst() {
            // It asks again; the dest may not have heard of it.
            let cookie = segment.ack.wrapping_sub(1);
            if cookie != extra.cookie || flow.is_fragment {
                return self.shared.drop(packet, DropReason::TcpNotSyn);
            }
            let offer = SynOffer::of_cookie(cookie);
            let ttl = A::ttl(packet.bytes());
            if !syn_again(&extra, offer).write(&mut packet, &flow.tuple, ttl) {
                return self.shared.drop(packet, DropReason::NoHeadroom);
            }
            let flow = flow_of(&packet, flow);
            return self.forward_by_way(packet, &flow, found, io);
        }
        let l4_at = usize::from(flow.l4_at);
        if segment.has_ack() {
            let delta = extra.dest_delta;
            let frame = packet.bytes_mut();
            segment::put_number(
                frame,
                l4_at,
                segment::ACK_NUMBER,
                segment.ack.wrapping_sub(delta),
            );
            segment::shift_sack(frame, l4_at, delta);
        }
        if extra.has_timestamps != 0 && !segment.opens() {
            let echo = extra.timestamp_delta.wrapping_neg();
            segment::shift_timestamps(packet.bytes_mut(), l4_at, 0, echo);
        }
        if extra.dest_has_no_scale != 0 && extra.has_scale != 0 && !segment.opens() {
            rescale(packet.bytes_mut(), l4_at, extra.client_scale, 0);
        }
        self.forward_by_way(packet, flow, found, io);
    }

    fn shaken_outbound(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        segment: Segment,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        if !(segment.has_syn() && segment.has_ack()) {
            return self.forward_by_way(packet, flow, found, io);
        }
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        let scale = tcp_options::read_syn(options_of(l4)).scale;
        let timestamps = tcp_options::timestamps_of(options_of(l4));
        let extra = self.lane.extras.get_mut(found.id);
        extra.dest_delta = extra.cookie.wrapping_sub(segment.seq);
        extra.dest_scale = scale.unwrap_or(0).min(14);
        extra.dest_has_no_scale = u8::from(scale.is_none());
        extra.is_dest_known = 1;
        let is_without_timestamps = extra.has_timestamps != 0 && timestamps.is_none();
        match timestamps {
            Some(theirs) => {
                extra.timestamp_delta = clock(self.shared.now).wrapping_sub(theirs.value)
            }
            None => extra.has_timestamps = 0,
        }
        if is_without_timestamps {
            self.do_without_timestamps(found.id);
        }
        let port = packet.port();
        self.forward_by_way(packet, flow, found, io);
        self.acknowledge_dest(port, found.id, io);
    }

    /// The conn's service has a dest that does not know them.
    #[cold]
    fn do_without_timestamps(&mut self, id: ConnId) {
        let dest = self.lane.conns.get(id).dest();
        let service = self.shared.dest_notes.service(dest);
        // Its first conn made the turn.
        if let Some(turn) = self.shared.turns.get_mut(service.0 as usize) {
            turn.is_without_timestamps = true;
        }
    }

    /// The client's part of the handshake with the dest, which the client believes to be over long ago.
    fn acknowledge_dest(&mut self, port: packet::PortId, id: ConnId, io: &mut impl Io<B>) {
        let tuple = self.lane.conns.get(id).tuple(Direction::Inbound);
        let extra = *self.lane.extras.get(id);
        let len = L2_LEN + family::header_len(tuple.src) + HEADER_LEN;
        self.shared.stats.received.add(1);
        self.shared.stats.originated.add(1);
        let Some(mut packet) = io.allocate(port, len) else {
            return self.shared.stats.drops_by(DropReason::NoMbuf).add(1);
        };
        let ours = NewSegment {
            seq: extra.first_data,
            ack: extra.cookie.wrapping_add(1),
            flags: ACK,
            window: extra.client_window,
            offer: None,
            timestamps: (extra.has_timestamps != 0).then_some(Timestamps {
                value: extra.client_timestamp,
                // As the client would echo it: the dest's own, once translated.
                echo: clock(self.shared.now),
            }),
        };
        if !ours.write(&mut packet, &tuple, family::DEFAULT_TTL) {
            return self.shared.drop(packet, DropReason::NoHeadroom);
        }
        let flow = Flow {
            tuple,
            protocol: Protocol::Tcp,
            l4_at: (len - HEADER_LEN) as u8,
            is_fragment: false,
            total_len: (packet.bytes().len() - L2_LEN) as u16,
        };
        let direction = Direction::Inbound;
        self.forward_shaken(packet, &flow, Found { id, direction }, io);
    }

    /// What is left to do on the dest's segments when all else is rewritten: the client's numbers and windows, and
    /// instead of a SYN, which it has had, that it may send now.
    pub(crate) fn finish_shaken(&mut self, packet: &mut B, l4_at: usize, id: ConnId) {
        let extra = *self.lane.extras.get(id);
        let frame = packet.bytes_mut();
        let Ok(segment) = Segment::read(frame.get(l4_at..).unwrap_or_default()) else {
            return;
        };
        if extra.is_dest_known == 0 {
            // A refusal: the client believes only one with the number that it expects (RFC 5961, 3.2).
            let seq = extra.cookie.wrapping_add(1);
            return segment::put_number(frame, l4_at, segment::SEQ, seq);
        }
        let has_timestamps = extra.has_timestamps != 0;
        if has_timestamps {
            segment::shift_timestamps(frame, l4_at, extra.timestamp_delta, 0);
        }
        let seq = segment.seq.wrapping_add(extra.dest_delta);
        if segment.has_syn() {
            segment::put_number(frame, l4_at, segment::SEQ, seq.wrapping_add(1));
            make_ack(frame, l4_at, has_timestamps);
            // A SYN's window is not scaled: RFC 7323, 2.2.
            if extra.has_scale != 0 {
                rescale(frame, l4_at, 0, OUR_SCALE);
            }
        } else {
            segment::put_number(frame, l4_at, segment::SEQ, seq);
            if extra.has_scale != 0 && extra.dest_scale != OUR_SCALE {
                rescale(frame, l4_at, extra.dest_scale, OUR_SCALE);
            }
        }
    }
}

impl<A: Family, B> Lane<A, B> {
    /// What is added to the dest's numbers for the client.
    pub(crate) fn dest_delta(&self, id: ConnId) -> u32 {
        if self.conns.get(id).flags.has(ConnFlags::SYN_PROXIED) {
            self.extras.get(id).dest_delta
        } else {
            0
        }
    }
}

/// The client's SYN, as it was but for what a cookie does not hold.
fn syn_again(extra: &Extra, offer: SynOffer) -> NewSegment {
    NewSegment {
        seq: extra.first_data.wrapping_sub(1),
        ack: 0,
        flags: SYN,
        window: extra.client_window,
        offer: Some(offer),
        timestamps: (extra.has_timestamps != 0).then_some(Timestamps {
            value: extra.client_timestamp,
            echo: 0,
        }),
    }
}

/// The director's clock for timestamps, in milliseconds: RFC 7323, 5.4.
const fn clock(now: Now) -> u32 {
    (now.ns / 1_000_000) as u32
}

/// What a packet is after it was written anew.
fn flow_of<A: Family, B: PacketBuf>(packet: &B, flow: &Flow<A>) -> Flow<A> {
    Flow {
        l4_at: (L2_LEN + family::header_len(flow.tuple.src)) as u8,
        total_len: (packet.bytes().len() - L2_LEN) as u16,
        ..*flow
    }
}

fn options_of(tcp: &[u8]) -> &[u8] {
    let header_len = tcp.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    tcp.get(HEADER_LEN..header_len).unwrap_or_default()
}

fn window_of(tcp: &[u8]) -> u16 {
    tcp.get(WINDOW)
        .map_or(0, |window| u16::from_be_bytes([window[0], window[1]]))
}

fn swap_macs(frame: &mut [u8]) {
    if let Some(macs) = frame.first_chunk_mut::<12>() {
        macs.rotate_left(6);
    }
}

/// The answer to a SYN becomes the acknowledgment that follows it. Of the options timestamps alone mean something there.
fn make_ack(frame: &mut [u8], l4_at: usize, has_timestamps: bool) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    let options_len = options_of(tcp).len();
    let mut words = [0; tcp_options::LONGEST_HEADER];
    let changed = 12..HEADER_LEN + options_len;
    let (Some(old), Some(now)) = (words.get_mut(..changed.len()), tcp.get_mut(changed)) else {
        return;
    };
    old.copy_from_slice(now);
    now[FLAGS - 12] = ACK;
    tcp_options::clear(&mut now[HEADER_LEN - 12..], has_timestamps);
    let delta = checksum::Delta::replace(old, now);
    segment::apply_delta(tcp, delta);
}

/// A window counts in units of 2^from bytes, and is to in those of 2^to.
fn rescale(frame: &mut [u8], l4_at: usize, from: u8, to: u8) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    let old = window_of(tcp);
    let bytes = u32::from(old) << from.min(14);
    let new = u16::try_from(bytes >> to.min(14)).unwrap_or(u16::MAX);
    if let Some(field) = tcp.get_mut(WINDOW) {
        field.copy_from_slice(&new.to_be_bytes());
        segment::apply_delta(tcp, checksum::Delta::of_u16(old, new));
    }
}
