//! Answers to packets that nobody serves, so that their senders need not wait for a timeout. They
//! go back by the port and to the MAC address that the packet came from.

use packet::ip::{DEFAULT_TTL, NewHeader};
use packet::ipv4::L2_LEN;
use packet::tcp::TcpFlags;
use packet::{ChecksumState, PacketBuf, sctp};

use crate::config::{OnUnserved, Protocol};
use crate::conn::ConnExt;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::lifecycle::opening;
use crate::wire::{Family, Flow, NewSegment, Segment, family, swap_macs};
use crate::xmit::Refusal;

const RST: u8 = TcpFlags::RST.0;
const RST_ACK: u8 = TcpFlags::RST_ACK.0;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Drops a packet that belongs to no conn and makes none. A TCP segment is answered by a
    /// reset: its sender believes in a conn that is over (RFC 9293, 3.10.7.1).
    #[cold]
    pub(super) fn reject_stray(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        let reset = reset_for(&packet, flow);
        self.answer_by(reset, packet, flow, reason, io);
    }

    /// Drops a packet of a service that could make no conn for it. Its sender is told, if the
    /// reason is that it cannot be served. `syn_proxied` is the extension of a client that has
    /// shaken hands with the SYN proxy.
    #[cold]
    pub(super) fn reject_unserved(
        &mut self,
        mut packet: B,
        flow: &Flow<A>,
        syn_proxied: Option<&ConnExt>,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        if !is_unserved(reason) {
            return self.shared.drop(packet, reason);
        }
        let refusal = match flow.protocol() {
            Protocol::Tcp => {
                let reset = match syn_proxied {
                    Some(ext) => Some(reset_after_cookie(ext)),
                    None => reset_for(&packet, flow),
                };
                return self.answer_by(reset, packet, flow, reason, io);
            }
            Protocol::Sctp => return self.abort(packet, flow, reason, io),
            Protocol::Udp => Refusal::PortUnreachable,
            Protocol::Icmp | Protocol::IcmpV6 => Refusal::Prohibited,
        };
        match A::check(&mut packet) {
            Ok(ip) if self.tells_unserved() => self.refuse(packet, &ip, refusal, reason, io),
            _ => self.shared.drop(packet, reason),
        }
    }

    /// Whether those whom nobody serves are told so.
    fn tells_unserved(&self) -> bool {
        self.shared.snapshot.defence.unserved == OnUnserved::Reject
    }

    /// Counts a packet as dropped, and turns it into a reset that goes back.
    fn answer_by(
        &mut self,
        reset: Option<NewSegment>,
        mut packet: B,
        flow: &Flow<A>,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        let Some(reset) = reset.filter(|_| self.tells_unserved() && self.shared.allows_reset())
        else {
            return self.shared.drop(packet, reason);
        };
        let l4 = flow.l4(packet.bytes());
        if packet.l4_checksum() == ChecksumState::Unknown
            && let Err(reason) = opening::verify_checksum(flow, l4)
        {
            return self.shared.drop(packet, reason);
        }
        let back = flow.tuple.reversed();
        if !reset.write(&mut packet, &back, DEFAULT_TTL) {
            return self.shared.drop(packet, reason);
        }
        self.send_answer(packet, reason, io);
    }

    /// Drops an INIT, and answers it by an ABORT with the tag of its sender (RFC 9260, 5.1). SCTP
    /// pays no attention to most ICMP errors (RFC 9260, 10).
    fn abort(&mut self, mut packet: B, flow: &Flow<A>, reason: DropReason, io: &mut impl Io<B>) {
        let tag = sctp::tag_of_init(flow.l4(packet.bytes())).filter(|tag| *tag != 0);
        let Some(tag) = tag.filter(|_| self.tells_unserved() && self.shared.allows_reset()) else {
            return self.shared.drop(packet, reason);
        };
        let back = flow.tuple.reversed();
        let l4_at = L2_LEN + family::header_len(back.src);
        packet.truncate(l4_at + sctp::ABORT_LEN);
        let frame = packet.bytes_mut();
        let len = sctp::ABORT_LEN as u16;
        let header = NewHeader::of_ours(back.src, back.dst, back.protocol, len);
        family::write_header(frame, &header);
        let place = frame.get_mut(l4_at..).and_then(<[u8]>::first_chunk_mut);
        let Some(place) = place else {
            return self.shared.drop(packet, reason);
        };
        sctp::write_abort(place, (back.sport, back.dport), tag);
        self.send_answer(packet, reason, io);
    }

    /// Counts a packet as dropped, and sends the answer that it has become to its sender.
    fn send_answer(&self, mut packet: B, reason: DropReason, io: &mut impl Io<B>) {
        swap_macs(packet.bytes_mut());
        self.shared.stats.drops_by(reason).add(1);
        self.shared.count_originated();
        self.shared.stats.transmitted.add(1);
        io.transmit(packet.port(), packet);
    }
}

/// Whether a new conn was refused for want of something that serves it.
const fn is_unserved(reason: DropReason) -> bool {
    use DropReason::{
        ConnLimit, ConnRateLimit, ConnTableFull, Denied, FtpCallInUse, NatTupleInUse, NoDest,
        NoLaddr, NoLocalPort, NoRoute, NoTunnelSource, NotAllowed,
    };
    matches!(
        reason,
        ConnLimit
            | ConnRateLimit
            | ConnTableFull
            | Denied
            | FtpCallInUse
            | NatTupleInUse
            | NoDest
            | NoLaddr
            | NoLocalPort
            | NoRoute
            | NoTunnelSource
            | NotAllowed
    )
}

/// The reset for a client that has shaken hands with the SYN proxy: it expects the number behind
/// the cookie (RFC 5961, 3.2).
const fn reset_after_cookie(ext: &ConnExt) -> NewSegment {
    reset(ext.cookie.wrapping_add(1), ext.first_data, RST_ACK)
}

/// The reset that answers a packet. `None` for what gets none: another protocol, a reset, a
/// fragment, whose length is not known, and what was for many (RFC 1122, 4.2.3.10).
fn reset_for<A: Family, B: PacketBuf>(packet: &B, flow: &Flow<A>) -> Option<NewSegment> {
    if flow.protocol() != Protocol::Tcp || flow.is_fragment {
        return None;
    }
    let frame = packet.bytes();
    let segment = Segment::read(flow.l4(frame)).ok()?;
    if segment.has_rst() {
        return None;
    }
    Some(reset_to(segment, flow.data_len(frame)))
}

/// The numbers of a reset for a segment with `data_len` bytes: RFC 9293, 3.10.7.1.
const fn reset_to(segment: Segment, data_len: u32) -> NewSegment {
    if segment.has_ack() {
        return reset(segment.ack, 0, RST);
    }
    let end = segment.seq.wrapping_add(segment.seq_len(data_len));
    reset(0, end, RST_ACK)
}

const fn reset(seq: u32, ack: u32, flags: u8) -> NewSegment {
    NewSegment {
        seq,
        ack,
        flags,
        window: 0,
        offer: None,
        timestamps: None,
    }
}
