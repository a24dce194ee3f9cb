//! Bytes of a payload replaced by others, so that lengths and checksums fit.

use packet::PacketBuf;
use packet::checksum;
use packet::ipv4::L2_LEN;

use crate::config::Protocol;
use crate::drop_reason::DropReason;
use crate::wire::family::{self, Family};
use crate::wire::flow::Flow;

/// Where a UDP header has its length.
const UDP_LEN: std::ops::Range<usize> = 4..6;

/// Where a frame's packet ends by its own length.
pub(crate) fn end_of<A>(flow: &Flow<A>) -> usize {
    L2_LEN + usize::from(flow.total_len)
}

/// Replaces `stripped` bytes at `at` of the frame by `new`; by how much the packet has grown. If it cannot be,
/// nothing has changed. The packet has its endpoints yet that it came with.
pub(crate) fn splice<A: Family, B: PacketBuf>(
    packet: &mut B,
    flow: &Flow<A>,
    at: usize,
    stripped: usize,
    new: &[u8],
    mtu: u16,
) -> Result<i16, DropReason> {
    // The offsets of later fragments count from the packet as it was.
    if flow.is_fragment {
        return Err(DropReason::Fragment);
    }
    if usize::from(flow.total_len) + new.len() - stripped > usize::from(mtu) {
        return Err(DropReason::MtuExceeded);
    }
    // A checksum that is wrong must not become right.
    check_checksum(packet.bytes(), flow)?;
    // What Ethernet padded a short frame with is not the packet's.
    packet.truncate(end_of(flow));
    if new.len() >= stripped {
        let by = new.len() - stripped;
        if !packet.prepend(by) {
            return Err(DropReason::NoHeadroom);
        }
        packet.bytes_mut().copy_within(by..by + at, 0);
    } else {
        let by = stripped - new.len();
        packet.bytes_mut().copy_within(..at, by);
        packet.trim_front(by);
    }
    let grown = new.len() as i16 - stripped as i16;
    let bytes = packet.bytes_mut();
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
    family::grow(bytes, grown as u16);
    complete(bytes, flow);
    Ok(grown)
}

/// Length and checksum of the edited L4 header.
fn complete<A: Family>(frame: &mut [u8], flow: &Flow<A>) {
    let l4 = flow.l4_mut(frame);
    let len = l4.len() as u16;
    let is_udp = flow.protocol() == Protocol::Udp;
    let checksum_at = if is_udp { 6 } else { 16 };
    if is_udp {
        l4[UDP_LEN].copy_from_slice(&len.to_be_bytes());
        // RFC 768: its sender made none.
        if l4[checksum_at..checksum_at + 2] == [0, 0] {
            return;
        }
    }
    l4[checksum_at..checksum_at + 2].fill(0);
    let sum = !checksum::fold(checksum::sum(l4) + A::pseudo_header(&flow.tuple, len));
    let sum = if is_udp && sum == 0 { u16::MAX } else { sum };
    l4[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn check_checksum<A: Family>(frame: &[u8], flow: &Flow<A>) -> Result<(), DropReason> {
    let l4 = frame.get(usize::from(flow.l4_at)..end_of(flow));
    let l4 = l4.unwrap_or_default();
    let (is_none, reason) = match flow.protocol() {
        Protocol::Udp => (l4.get(6..8) == Some(&[0, 0]), DropReason::UdpBadChecksum),
        _ => (false, DropReason::TcpBadChecksum),
    };
    let pseudo = A::pseudo_header(&flow.tuple, l4.len() as u16);
    if is_none || checksum::fold(checksum::sum(l4) + pseudo) == 0xffff {
        Ok(())
    } else {
        Err(reason)
    }
}
