//! The cookie side of the SYN proxy: the director answers a SYN by a cookie, and opens a conn to
//! the dest only when the client's ACK brings the cookie back. A flood of SYNs uses up neither
//! conns nor the dests' backlog.
//!
//! Until the dest has answered, a window of 0 keeps the client from sending.

use packet::PacketBuf;
use packet::ipv4::L2_LEN;
use packet::tcp::{CHECKSUM_AT, TcpFlags, WINDOW_AT};

use crate::config::{FwdMode, Service, SynProxy};
use crate::conn::ConnExt;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::lifecycle::opening;
use crate::state::limits;
use crate::time::Now;
use crate::wire::{
    CookieJar, Family, Flow, NewSegment, Segment, SynOffer, TCP_HEADER_LEN, Timestamps, family,
    swap_macs, tcp_options,
};

/// The window scale that clients are offered (RFC 7323, 2.2). Linux uses it for buffers of 6 MB.
pub(in crate::helper) const OUR_SCALE: u8 = 7;
const SYN: u8 = TcpFlags::SYN.0;
pub(crate) const ACK: u8 = TcpFlags::ACK.0;
/// Where a TCP header has its window.
pub(crate) const WINDOW: std::ops::Range<usize> = WINDOW_AT..CHECKSUM_AT;

/// What became of a TCP segment without a conn.
pub(crate) enum Handshake<A, B> {
    /// It has nothing to do with the SYN proxy.
    Unrelated(B),
    /// It has come to its end: answered by a cookie, or dropped.
    Over,
    /// Its client is not served, for this reason.
    Refused(B, DropReason),
    /// It brought a cookie back. It is the client's SYN now, to be treated like any other, with the
    /// extension for its conn.
    Done(B, Flow<A>, ConnExt),
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Takes a TCP segment of a service that has the SYN proxy.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_syn_proxy_packet(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Handshake<A, B> {
        let services = &self.shared.snapshot.services;
        let of_vip = services.of_vip(flow.protocol(), flow.tuple.dst, flow.tuple.dport);
        let Some(service) = of_vip.filter(|service| service.options.syn_proxy.is_some()) else {
            return Handshake::Unrelated(packet);
        };
        let service = std::sync::Arc::clone(service);
        let l4 = flow.l4(packet.bytes());
        let Ok(segment) = Segment::read(l4) else {
            return Handshake::Unrelated(packet);
        };
        if segment.opens() {
            if !self.is_proxied(&service) {
                return Handshake::Unrelated(packet);
            }
            if let Err(reason) = service.access.check(flow.tuple.src) {
                return Handshake::Refused(packet, reason);
            }
            self.answer_with_cookie(packet, flow, segment, &service, io);
            return Handshake::Over;
        }
        if segment.has_ack() && !segment.has_syn() && !segment.has_rst() {
            let has_timestamps = self.offers_timestamps(&service);
            return self.take_cookie(packet, flow, segment, has_timestamps);
        }
        Handshake::Unrelated(packet)
    }

    /// Whether SYNs are answered by cookies now.
    fn is_proxied(&mut self, service: &Service) -> bool {
        match service.options.syn_proxy {
            None => false,
            Some(SynProxy::Always) => true,
            Some(SynProxy::Above(per_s)) => {
                self.shared.stats.service(service.id).syns.add(1);
                let all_stats = &self.shared.all_stats;
                let syns = limits::of_all(all_stats, service.id, |stats| stats.syns.get());
                let now = self.shared.now;
                let rate = &mut self.shared.service_state(service).syn_rate;
                !rate.allows(now, syns, per_s)
            }
        }
    }

    /// Whether clients of the service may be offered timestamps (RFC 7323). FullNAT removes them
    /// from SYNs. If one dest does without them, no client may have them: some drop all segments
    /// that lack them.
    fn offers_timestamps(&mut self, service: &Service) -> bool {
        // The first dest stands for all: a SYN must not cost more the more dests there are.
        let first = service.dests.first();
        let is_nat = first.is_some_and(|dest| dest.fwdmode == FwdMode::Nat);
        is_nat && !self.shared.service_state(service).is_without_timestamps
    }

    /// Turns the SYN into a SYN-ACK with a cookie.
    fn answer_with_cookie(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        segment: Segment,
        service: &Service,
        io: &mut impl Io<B>,
    ) {
        let l4 = flow.l4(packet.bytes());
        if let Err(reason) = check(flow, l4) {
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
        if !ours.write(&mut packet, &answer, packet::ip::DEFAULT_TTL) {
            return self.shared.drop(packet, DropReason::NoHeadroom);
        }
        swap_macs(packet.bytes_mut());
        self.shared.stats.syn_cookies_sent.add(1);
        self.shared.stats.transmitted.add(1);
        io.transmit(packet.port(), packet);
    }

    /// The MSS for clients: what their link takes, less what is inserted into their segments.
    fn mss_for(&self, packet: &B, flow: &Flow<A>, service: &Service) -> u16 {
        let device = self.shared.snapshot.net.device_of(packet.port());
        let mtu = device.map_or(1280, |device| device.mtu);
        let headers = family::header_len(flow.tuple.src) + TCP_HEADER_LEN;
        // TOA or a PROXY header, and the longer IP header of NAT46.
        let inserted = match service.options.proxy_protocol {
            Some(_) => packet::proxy::LONGEST_V1,
            None => tcp_options::TOA_V6_LEN,
        };
        let longer = if service.is_nat64() { 20 } else { 0 };
        mtu.saturating_sub((headers + inserted + longer) as u16)
    }

    /// Takes an ACK that may bring a cookie back.
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
            return Handshake::Unrelated(packet);
        };
        let l4 = flow.l4(packet.bytes());
        if let Err(reason) = check(flow, l4) {
            self.shared.drop(packet, reason);
            return Handshake::Over;
        }
        let window = window_of(l4);
        // RFC 7323, 3.2: once agreed on, every segment has timestamps.
        let timestamps = tcp_options::timestamps_of(options_of(l4)).filter(|_| may_have_timestamps);
        let ext = ConnExt {
            has_timestamps: u8::from(timestamps.is_some()),
            client_timestamp: timestamps.map_or(0, |theirs| theirs.value),
            first_data: segment.seq,
            cookie,
            client_window: window,
            client_scale: offer.scale.unwrap_or(0),
            has_scale: u8::from(offer.scale.is_some()),
            ..ConnExt::default()
        };
        let ttl = A::ttl(packet.bytes());
        if !syn_again(&ext, offer).write(&mut packet, &flow.tuple, ttl) {
            self.shared.drop(packet, DropReason::NoHeadroom);
            return Handshake::Over;
        }
        self.shared.stats.syn_cookies_taken.add(1);
        let flow = flow_of(&packet, flow);
        Handshake::Done(packet, flow, ext)
    }
}

/// Checks a segment of the handshake. The checksum of a first fragment covers data that is not here
/// yet; such a SYN is answered all the same, or a flood of them would pass the SYN proxy.
fn check<A: Family>(flow: &Flow<A>, l4: &[u8]) -> Result<(), DropReason> {
    if flow.is_fragment {
        return Ok(());
    }
    opening::verify_checksum(flow, l4)
}

/// The client's SYN again, with the options that the cookie holds.
pub(in crate::helper) fn syn_again(ext: &ConnExt, offer: SynOffer) -> NewSegment {
    NewSegment {
        seq: ext.first_data.wrapping_sub(1),
        ack: 0,
        flags: SYN,
        window: ext.client_window,
        offer: Some(offer),
        timestamps: (ext.has_timestamps != 0).then_some(Timestamps {
            value: ext.client_timestamp,
            echo: 0,
        }),
    }
}

/// The director's clock for timestamps, in milliseconds: RFC 7323, 5.4.
pub(in crate::helper) const fn clock(now: Now) -> u32 {
    (now.ns / 1_000_000) as u32
}

/// What a packet is after it was written anew.
pub(in crate::helper) fn flow_of<A: Family, B: PacketBuf>(packet: &B, flow: &Flow<A>) -> Flow<A> {
    Flow {
        l4_at: (L2_LEN + family::header_len(flow.tuple.src)) as u8,
        total_len: (packet.bytes().len() - L2_LEN) as u16,
        is_fragment: false,
        tuple: flow.tuple,
    }
}

pub(in crate::helper) fn options_of(tcp: &[u8]) -> &[u8] {
    let header_len = tcp.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    tcp.get(TCP_HEADER_LEN..header_len).unwrap_or_default()
}

pub(in crate::helper) fn window_of(tcp: &[u8]) -> u16 {
    tcp.get(WINDOW)
        .map_or(0, |window| u16::from_be_bytes([window[0], window[1]]))
}
