//! How long a datagram is, and its checksum where it must not be missing. The director's own ones.
//!
//! The IP packet may be longer than the datagram in it (RFC 768; RFC 9868 puts options there). What
//! is behind the datagram goes on as it came, and no checksum of UDP covers it.

use packet::checksum;
use packet::ip::NewHeader;
use packet::udp;

use crate::tuple::Tuple;
use crate::wire::family::{self, Family};

/// Where a UDP header has its checksum: RFC 768.
pub(crate) const UDP_CHECKSUM: std::ops::Range<usize> = 6..8;

/// Where a UDP header has its length: RFC 768.
pub(crate) const UDP_LEN: std::ops::Range<usize> = 4..6;

/// Bytes of the datagram at the start of `l4`, header included. Classification has checked that
/// they are there, except for fragments.
pub(crate) fn datagram_len(l4: &[u8]) -> usize {
    let field = l4.get(UDP_LEN).and_then(|field| field.first_chunk());
    let len = field.map_or(0, |len| u16::from_be_bytes(*len));
    l4.len().min(len.into())
}

/// Computes the checksum of a datagram that has none. Over IPv6 it must have one: RFC 7915, 4.5.
pub(crate) fn give_checksum<A: Family>(frame: &mut [u8], to: &Tuple<A>, l4_at: usize) {
    let l4 = frame.get_mut(l4_at..).unwrap_or_default();
    let len = datagram_len(l4);
    let udp = l4.get_mut(..len).unwrap_or_default();
    if udp.get(UDP_CHECKSUM) != Some(&[0, 0]) {
        return;
    }
    let pseudo = A::pseudo_header(to, udp.len() as u16);
    let sum = match !checksum::fold(checksum::sum(udp) + pseudo) {
        0 => u16::MAX,
        sum => sum,
    };
    udp[UDP_CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// Writes a frame with a UDP datagram, except for the MAC addresses. The frame is as long as that
/// takes, and `l4_at` is the length of the headers in front.
pub(crate) fn write_datagram<A: Family>(
    frame: &mut [u8],
    tuple: &Tuple<A>,
    l4_at: usize,
    payload: &[u8],
) {
    let len = (udp::HEADER_LEN + payload.len()) as u16;
    let header = NewHeader::of_ours(tuple.src, tuple.dst, tuple.protocol, len);
    family::write_header(frame, &header);
    let (udp, rest) = frame[l4_at..].split_at_mut(udp::HEADER_LEN);
    udp[0..2].copy_from_slice(&tuple.sport.to_be_bytes());
    udp[2..4].copy_from_slice(&tuple.dport.to_be_bytes());
    udp[UDP_LEN].copy_from_slice(&len.to_be_bytes());
    udp[UDP_CHECKSUM].fill(0);
    rest.copy_from_slice(payload);
    give_checksum(frame, tuple, l4_at);
}
