//! The conn's side of the SYN proxy. The director opens the conn to the dest on behalf of the
//! client, and translates the dest's sequence numbers into those of the cookie.

use packet::PacketBuf;
use packet::checksum;
use packet::ipv4::L2_LEN;
use packet::tcp::FLAGS_AT;

use crate::conn::{ConnExt, ConnFlags, ConnId, Found};
use crate::ctx::{FamilyState, Forwarder};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::helper::syn_proxy::cookie_side::{
    ACK, OUR_SCALE, WINDOW, clock, flow_of, options_of, syn_again, window_of,
};
use crate::io::Io;
use crate::wire::{
    Family, Flow, NewSegment, Segment, SynOffer, TCP_HEADER_LEN, Timestamps, family, tcp,
    tcp_options,
};

/// What is to be done with a packet of a conn that the SYN proxy made.
pub(crate) enum SynProxied<A, B> {
    /// Rewrite and send it.
    Forward(B, Flow<A>),
    /// Send the dest's SYN-ACK on, and then acknowledge it to the dest.
    SynAck(B),
    /// The conn is over, and this SYN opens a new one.
    Reopen(B),
    /// Drop it.
    Drop(B, DropReason),
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Translates a packet as far as that comes before the rewrite. Nothing is sent here: the
    /// answer says what is to be done with the packet.
    #[cold]
    #[inline(never)]
    pub(crate) fn translate_syn_proxied(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        found: Found,
    ) -> SynProxied<A, B> {
        let l4 = flow.l4(packet.bytes());
        let segment = match Segment::read(l4) {
            Ok(segment) => segment,
            Err(reason) => return SynProxied::Drop(packet, reason),
        };
        match found.direction {
            Direction::Inbound => self.translate_inbound(packet, flow, segment, found),
            Direction::Outbound => self.translate_outbound(packet, flow, segment, found),
        }
    }

    fn translate_inbound(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        segment: Segment,
        found: Found,
    ) -> SynProxied<A, B> {
        let state = self.family.conns.get(found.id).tcp_state();
        let ext = *self.family.exts.get(found.id);
        let is_first = segment.opens() && segment.seq == ext.first_data.wrapping_sub(1);
        if segment.opens() && state.is_over() && !is_first {
            // The client opens a new conn: it gets a cookie again.
            return SynProxied::Reopen(packet);
        }
        if ext.is_dest_known == 0 && !segment.opens() && !segment.has_rst() {
            return ask_dest_again(packet, flow, segment, &ext);
        }
        let l4_at = usize::from(flow.l4_at);
        if segment.has_ack() {
            let delta = ext.dest_delta;
            let frame = packet.bytes_mut();
            tcp::put_number(
                frame,
                l4_at,
                tcp::ACK_NUMBER,
                segment.ack.wrapping_sub(delta),
            );
            tcp::shift_sack(frame, l4_at, delta);
        }
        if ext.has_timestamps != 0 && !segment.opens() {
            let echo = ext.timestamp_delta.wrapping_neg();
            tcp::shift_timestamps(packet.bytes_mut(), l4_at, 0, echo);
        }
        if ext.dest_has_no_scale != 0 && ext.has_scale != 0 && !segment.opens() {
            rescale(packet.bytes_mut(), l4_at, ext.client_scale, 0);
        }
        SynProxied::Forward(packet, *flow)
    }

    fn translate_outbound(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        segment: Segment,
        found: Found,
    ) -> SynProxied<A, B> {
        if !(segment.has_syn() && segment.has_ack()) {
            return SynProxied::Forward(packet, *flow);
        }
        let l4 = flow.l4(packet.bytes());
        let scale = tcp_options::read_syn(options_of(l4)).scale;
        let timestamps = tcp_options::timestamps_of(options_of(l4));
        let ext = self.family.exts.get_mut(found.id);
        ext.dest_delta = ext.cookie.wrapping_sub(segment.seq);
        ext.dest_scale = scale.unwrap_or(0).min(14);
        ext.dest_has_no_scale = u8::from(scale.is_none());
        ext.is_dest_known = 1;
        let is_without_timestamps = ext.has_timestamps != 0 && timestamps.is_none();
        match timestamps {
            Some(theirs) => ext.timestamp_delta = clock(self.shared.now).wrapping_sub(theirs.value),
            None => ext.has_timestamps = 0,
        }
        if is_without_timestamps {
            self.do_without_timestamps(found.id);
        }
        SynProxied::SynAck(packet)
    }

    /// A dest of the service does not know timestamps, so the service's clients are not offered
    /// them from now on.
    #[cold]
    fn do_without_timestamps(&mut self, id: ConnId) {
        let dest = self.family.conns.get(id).dest();
        let service = self.shared.dest_cache.service(dest);
        // The entry was made by the first conn of the service.
        if let Some(service_state) = self.shared.service_states.get_mut(service.0 as usize) {
            service_state.is_without_timestamps = true;
        }
    }

    /// The ACK that ends the handshake with the dest. The client believes that this handshake is
    /// over. `None` if no mbuf is left.
    pub(crate) fn acknowledgment_for_dest(
        &mut self,
        port: packet::PortId,
        id: ConnId,
        io: &mut impl Io<B>,
    ) -> Option<(B, Flow<A>)> {
        let tuple = self.family.conns.get(id).tuple(Direction::Inbound);
        let ext = *self.family.exts.get(id);
        let len = L2_LEN + family::header_len(tuple.src) + TCP_HEADER_LEN;
        let mut packet = self.shared.originate(port, len, io)?;
        let ours = NewSegment {
            seq: ext.first_data,
            ack: ext.cookie.wrapping_add(1),
            flags: ACK,
            window: ext.client_window,
            offer: None,
            timestamps: (ext.has_timestamps != 0).then_some(Timestamps {
                value: ext.client_timestamp,
                // The value that the client would echo. Translated, it is the dest's own.
                echo: clock(self.shared.now),
            }),
        };
        if !ours.write(&mut packet, &tuple, packet::ip::DEFAULT_TTL) {
            self.shared.drop(packet, DropReason::NoHeadroom);
            return None;
        }
        let flow = Flow {
            tuple,
            l4_at: (len - TCP_HEADER_LEN) as u8,
            is_fragment: false,
            total_len: (packet.bytes().len() - L2_LEN) as u16,
        };
        Some((packet, flow))
    }

    /// The last step on the dest's segments, after the rewrite: sequence numbers and windows become
    /// the client's. The client has had a SYN-ACK, so the dest's becomes an ACK that opens the
    /// window.
    pub(crate) fn finish_syn_proxied(&mut self, packet: &mut B, l4_at: usize, id: ConnId) {
        let ext = *self.family.exts.get(id);
        let frame = packet.bytes_mut();
        let Ok(segment) = Segment::read(frame.get(l4_at..).unwrap_or_default()) else {
            return;
        };
        if ext.is_dest_known == 0 {
            // The dest refuses. The client accepts a RST only with the number that it expects (RFC
            // 5961, 3.2).
            let seq = ext.cookie.wrapping_add(1);
            return tcp::put_number(frame, l4_at, tcp::SEQ, seq);
        }
        let has_timestamps = ext.has_timestamps != 0;
        if has_timestamps {
            tcp::shift_timestamps(frame, l4_at, ext.timestamp_delta, 0);
        }
        let seq = segment.seq.wrapping_add(ext.dest_delta);
        if segment.has_syn() {
            tcp::put_number(frame, l4_at, tcp::SEQ, seq.wrapping_add(1));
            make_ack(frame, l4_at, has_timestamps);
            // The window of a SYN is not scaled: RFC 7323, 2.2.
            if ext.has_scale != 0 {
                rescale(frame, l4_at, 0, OUR_SCALE);
            }
        } else {
            tcp::put_number(frame, l4_at, tcp::SEQ, seq);
            if ext.has_scale != 0 && ext.dest_scale != OUR_SCALE {
                rescale(frame, l4_at, ext.dest_scale, OUR_SCALE);
            }
        }
    }
}

impl<A: Family, B> FamilyState<A, B> {
    /// What is added to the dest's sequence numbers for the client.
    pub(crate) fn dest_delta(&self, id: ConnId) -> u32 {
        if self.conns.get(id).flags.has(ConnFlags::SYN_PROXIED) {
            self.exts.get(id).dest_delta
        } else {
            0
        }
    }
}

/// The client sends data before the dest has answered. The dest may not have got the SYN, so it is
/// sent again.
fn ask_dest_again<A: Family, B: PacketBuf>(
    mut packet: B,
    flow: &Flow<A>,
    segment: Segment,
    ext: &ConnExt,
) -> SynProxied<A, B> {
    let cookie = segment.ack.wrapping_sub(1);
    if cookie != ext.cookie || flow.is_fragment {
        return SynProxied::Drop(packet, DropReason::TcpNotSyn);
    }
    let offer = SynOffer::of_cookie(cookie);
    let ttl = A::ttl(packet.bytes());
    if !syn_again(ext, offer).write(&mut packet, &flow.tuple, ttl) {
        return SynProxied::Drop(packet, DropReason::NoHeadroom);
    }
    let flow = flow_of(&packet, flow);
    SynProxied::Forward(packet, flow)
}

/// Turns a SYN-ACK into an ACK. Of its options only the timestamps stay.
fn make_ack(frame: &mut [u8], l4_at: usize, has_timestamps: bool) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    let options_len = options_of(tcp).len();
    let mut words = [0; tcp_options::LONGEST_HEADER];
    let changed = 12..TCP_HEADER_LEN + options_len;
    let (Some(old), Some(now)) = (words.get_mut(..changed.len()), tcp.get_mut(changed)) else {
        return;
    };
    old.copy_from_slice(now);
    now[FLAGS_AT - 12] = ACK;
    tcp_options::clear(&mut now[TCP_HEADER_LEN - 12..], has_timestamps);
    let delta = checksum::Delta::replace(old, now);
    tcp::apply_delta(tcp, delta);
}

/// Changes the unit of the window from 2^`from` to 2^`to` bytes.
fn rescale(frame: &mut [u8], l4_at: usize, from: u8, to: u8) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    let old = window_of(tcp);
    let bytes = u32::from(old) << from.min(14);
    let new = u16::try_from(bytes >> to.min(14)).unwrap_or(u16::MAX);
    if let Some(field) = tcp.get_mut(WINDOW) {
        field.copy_from_slice(&new.to_be_bytes());
        tcp::apply_delta(tcp, checksum::Delta::of_u16(old, new));
    }
}
