//! Replaces bytes of a payload and makes lengths and checksums fit.

use packet::PacketBuf;
use packet::checksum;
use packet::ipv4::L2_LEN;

use crate::config::Protocol;
use crate::drop_reason::DropReason;
use crate::wire::family::{self, Family};
use crate::wire::flow::Flow;
use crate::wire::udp::{UDP_LEN, datagram_len};

/// Offset of the end of the IP packet in its frame. Padding of Ethernet may follow.
pub(crate) fn end_of<A>(flow: &Flow<A>) -> usize {
    L2_LEN + usize::from(flow.total_len)
}

/// Replaces `stripped` bytes at offset `at` of the frame by `new`. Returns by how much the packet
/// has grown. The packet still has the endpoints that it came with.
///
/// # Errors
///
/// The reason to drop the packet, which is unchanged then.
pub(crate) fn splice<A: Family, B: PacketBuf>(
    packet: &mut B,
    flow: &Flow<A>,
    at: usize,
    stripped: usize,
    new: &[u8],
    mtu: u16,
) -> Result<i16, DropReason> {
    // The offsets of later fragments count from the packet as it was sent.
    if flow.is_fragment {
        return Err(DropReason::Fragment);
    }
    if usize::from(flow.total_len) + new.len() - stripped > usize::from(mtu) {
        return Err(DropReason::MtuExceeded);
    }
    // The checksum is computed anew below: a wrong one must not become right.
    let l4_len = covered_len(packet.bytes(), flow);
    check_checksum(packet.bytes(), flow, l4_len)?;
    // The padding of a short frame does not belong to the packet.
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
    complete(bytes, flow, l4_len.wrapping_add_signed(grown.into()));
    Ok(grown)
}

/// Bytes that the checksum of the L4 header covers: a segment ends with the packet, a datagram may
/// end before.
fn covered_len<A: Family>(frame: &[u8], flow: &Flow<A>) -> usize {
    let l4 = frame.get(usize::from(flow.l4_at)..end_of(flow));
    let l4 = l4.unwrap_or_default();
    match flow.protocol() {
        Protocol::Udp => datagram_len(l4),
        _ => l4.len(),
    }
}

/// Writes the length and the checksum of the edited L4 header, which covers `len` bytes now.
fn complete<A: Family>(frame: &mut [u8], flow: &Flow<A>, len: usize) {
    let Some(l4) = flow.l4_mut(frame).get_mut(..len) else {
        return;
    };
    let len = len as u16;
    let is_udp = flow.protocol() == Protocol::Udp;
    let checksum_at = if is_udp { 6 } else { 16 };
    if is_udp {
        l4[UDP_LEN].copy_from_slice(&len.to_be_bytes());
        // RFC 768: the sender computed no checksum.
        if l4[checksum_at..checksum_at + 2] == [0, 0] {
            return;
        }
    }
    l4[checksum_at..checksum_at + 2].fill(0);
    let sum = !checksum::fold(checksum::sum(l4) + A::pseudo_header(&flow.tuple, len));
    let sum = if is_udp && sum == 0 { u16::MAX } else { sum };
    l4[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn check_checksum<A: Family>(frame: &[u8], flow: &Flow<A>, len: usize) -> Result<(), DropReason> {
    let l4 = flow.l4(frame).get(..len).unwrap_or_default();
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
