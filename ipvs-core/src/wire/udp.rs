//! The UDP checksum where it must not be missing.

use packet::checksum;

use crate::tuple::Tuple;
use crate::wire::family::Family;

/// Where a UDP header has its checksum: RFC 768.
pub(crate) const UDP_CHECKSUM: std::ops::Range<usize> = 6..8;

/// Computes the checksum of a datagram that has none. Over IPv6 it must have one: RFC 7915, 4.5.
pub(crate) fn give_checksum<A: Family>(frame: &mut [u8], to: &Tuple<A>, l4_at: usize) {
    let udp = frame.get_mut(l4_at..).unwrap_or_default();
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
