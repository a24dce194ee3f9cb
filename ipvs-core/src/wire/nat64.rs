//! What a packet needs in the other address family: a UDP checksum, and addresses that its hosts
//! understand.

use std::net::IpAddr;

use packet::nat64::Nat64Prefix;
use packet::{checksum, ipv4};

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

/// An address as a host of the family of `seer` sees it: itself, or translated by the prefix.
/// `None` if it has no address in that family.
pub(crate) fn in_family_of<A: Family>(seer: IpAddr, addr: A, prefix: Nat64Prefix) -> Option<A> {
    if !A::HAS_NAT64 {
        return Some(addr);
    }
    match (addr.to_ip(), seer) {
        (IpAddr::V4(addr), IpAddr::V6(_)) => A::of(prefix.embed(addr).into()),
        (IpAddr::V6(addr), IpAddr::V4(_)) => {
            let addr = prefix.extract(addr)?;
            A::of(addr.into()).filter(|_| !ipv4::is_martian_source(addr.octets()))
        }
        _ => Some(addr),
    }
}
