//! Addresses of one family as hosts of the other one see them, without a conn (RFC 6052).

use std::net::IpAddr;

use packet::ipv4;
use packet::nat64::Nat64Prefix;

use crate::wire::family::Family;

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
