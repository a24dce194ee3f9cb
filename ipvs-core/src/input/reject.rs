//! Answers to packets that nobody serves, so that their senders need not wait for a timeout. They
//! go back by the port and to the MAC address that the packet came from.

use packet::ip::DEFAULT_TTL;
use packet::ipv4::L2_LEN;
use packet::tcp::{DATA_OFFSET_AT, TcpFlags};
use packet::{ChecksumState, PacketBuf};

use crate::config::Protocol;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::lifecycle::create;
use crate::wire::{Family, Flow, NewSegment, Segment, swap_macs};

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
        match reset_for(&packet, flow) {
            Some(reset) if self.shared.allows_reset() => {
                self.answer_by(reset, packet, flow, reason, io);
            }
            _ => self.shared.drop(packet, reason),
        }
    }

    /// Counts a packet as dropped, and turns it into a segment that goes back.
    fn answer_by(
        &self,
        reset: NewSegment,
        mut packet: B,
        flow: &Flow<A>,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        let l4 = flow.l4(packet.bytes());
        if packet.l4_checksum() == ChecksumState::Unknown
            && let Err(reason) = create::verify_checksum(flow, l4)
        {
            return self.shared.drop(packet, reason);
        }
        let back = flow.tuple.reversed();
        if !reset.write(&mut packet, &back, DEFAULT_TTL) {
            return self.shared.drop(packet, reason);
        }
        swap_macs(packet.bytes_mut());
        self.shared.stats.drops_by(reason).add(1);
        self.shared.count_originated();
        self.shared.stats.transmitted.add(1);
        io.transmit(packet.port(), packet);
    }
}

/// The reset that answers a packet. `None` for what gets none: another protocol, a reset, a
/// fragment, whose length is not known, and what was for many (RFC 1122, 4.2.3.10).
fn reset_for<A: Family, B: PacketBuf>(packet: &B, flow: &Flow<A>) -> Option<NewSegment> {
    if flow.protocol() != Protocol::Tcp || flow.is_fragment {
        return None;
    }
    let frame = packet.bytes();
    let is_for_many = frame.first()? & 1 == 1;
    let tcp = flow.l4(frame);
    let segment = Segment::read(tcp).ok()?;
    if segment.has_rst() || is_for_many {
        return None;
    }
    let header_len = usize::from(tcp.get(DATA_OFFSET_AT)? >> 4) * 4;
    let l4_len = usize::from(flow.total_len) + L2_LEN - usize::from(flow.l4_at);
    let data_len = l4_len.saturating_sub(header_len) as u32;
    Some(reset_to(segment, data_len))
}

/// The numbers of a reset for a segment with `data_len` bytes: RFC 9293, 3.10.7.1.
const fn reset_to(segment: Segment, data_len: u32) -> NewSegment {
    let (seq, ack, flags) = if segment.has_ack() {
        (segment.ack, 0, RST)
    } else {
        (
            0,
            segment.seq.wrapping_add(segment.seq_len(data_len)),
            RST_ACK,
        )
    };
    NewSegment {
        seq,
        ack,
        flags,
        window: 0,
        offer: None,
        timestamps: None,
    }
}
