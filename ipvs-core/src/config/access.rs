//! Which clients a service serves: its deny list and its allow list.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use inet::hash::MixHasher;
use inet::{Prefix, Sharded};

use crate::drop_reason::DropReason;
use crate::tuple::Address;

/// Number of shards of an [`AddrSet`].
const SHARDS: usize = 256;

/// Bits before an IPv4 address that is mapped into IPv6: RFC 4291, 2.5.5.2.
const IPV4_IN_IPV6: u8 = 96;

/// A prefix, mapped into IPv6 if it is IPv4: its bits and its length.
type Bits = (u128, u8);
type Shard = HashSet<Bits, BuildHasherDefault<MixHasher>>;

/// A set of addresses and prefixes of any size. A look-up costs one hash look-up for each prefix
/// length that occurs. Cloning copies pointers; a change copies one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddrSet {
    shards: Sharded<Shard, SHARDS>,
    /// The prefix lengths that occur, with the number of prefixes of each.
    lengths: Vec<(u8, u32)>,
}

impl AddrSet {
    /// Whether the set contains an address or a prefix that it belongs to.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let bits = bits_of(addr);
        // IPv4 addresses are mapped into IPv6, but ::/0 must not match them.
        let least = if addr.is_ipv4() { IPV4_IN_IPV6 } else { 0 };
        let mut lengths = self.lengths.iter().filter(|(len, _)| *len >= least);
        lengths.any(|(len, _)| self.has(&(bits & mask(*len), *len)))
    }

    /// Adds a prefix. `false` if the set contains it already.
    pub fn insert(&mut self, prefix: Prefix) -> bool {
        let bits = of_prefix(prefix);
        let is_new = !self.has(&bits) && self.shard_mut(&bits).insert(bits);
        if is_new {
            match self.lengths.iter_mut().find(|(len, _)| *len == bits.1) {
                Some((_, count)) => *count += 1,
                None => self.lengths.push((bits.1, 1)),
            }
        }
        is_new
    }

    /// Removes a prefix. `false` if the set does not contain it.
    pub fn remove(&mut self, prefix: Prefix) -> bool {
        let bits = of_prefix(prefix);
        let was_there = self.has(&bits) && self.shard_mut(&bits).remove(&bits);
        if was_there {
            for (len, count) in &mut self.lengths {
                *count -= u32::from(*len == bits.1);
            }
            self.lengths.retain(|(_, count)| *count > 0);
        }
        was_there
    }

    /// Whether the set is empty.
    pub const fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.lengths.iter().map(|(_, count)| *count as usize).sum()
    }

    /// All prefixes, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Prefix> {
        let all = self.shards.iter().flatten();
        all.filter_map(|bits| to_prefix(*bits))
    }

    fn has(&self, bits: &Bits) -> bool {
        self.shards.of(hash_of(bits)).contains(bits)
    }

    fn shard_mut(&mut self, bits: &Bits) -> &mut Shard {
        self.shards.of_mut(hash_of(bits))
    }
}

/// The deny list and the allow list of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Clients that get no conn, and whose packets of conns they have are dropped.
    pub deny: Option<AddrSet>,
    /// If set, only these clients get conns and may use those they have.
    pub allow: Option<AddrSet>,
}

impl Access {
    /// Checks whether a client may have a conn.
    ///
    /// # Errors
    ///
    /// The reason to drop the packet.
    #[inline]
    pub(crate) fn check(&self, client: impl Address) -> Result<(), DropReason> {
        // The fast path: most services have no lists.
        if self.deny.is_none() && self.allow.is_none() {
            return Ok(());
        }
        self.check_lists(client.to_ip())
    }

    #[inline(never)]
    fn check_lists(&self, client: IpAddr) -> Result<(), DropReason> {
        let is_on = |list: &AddrSet| list.contains(client);
        if self.deny.as_ref().is_some_and(is_on) {
            return Err(DropReason::Denied);
        }
        if self.allow.as_ref().is_some_and(|list| !is_on(list)) {
            return Err(DropReason::NotAllowed);
        }
        Ok(())
    }
}

fn bits_of(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

const fn mask(len: u8) -> u128 {
    match u128::MAX.checked_shl(128 - len as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

fn of_prefix(prefix: Prefix) -> Bits {
    let longer = if prefix.addr().is_ipv4() {
        IPV4_IN_IPV6
    } else {
        0
    };
    (bits_of(prefix.addr()), prefix.prefix_len() + longer)
}

fn to_prefix((bits, len): Bits) -> Option<Prefix> {
    match std::net::Ipv6Addr::from_bits(bits).to_canonical() {
        addr @ IpAddr::V4(_) => Prefix::new(addr, len.checked_sub(IPV4_IN_IPV6)?),
        addr @ IpAddr::V6(_) => Prefix::new(addr, len),
    }
}

fn hash_of((bits, len): &Bits) -> usize {
    let folded = (*bits as u64) ^ (*bits >> 64) as u64 ^ u64::from(*len) << 56;
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(addr: &str, len: u8) -> Prefix {
        Prefix::new(addr.parse().unwrap(), len).unwrap()
    }

    #[test]
    fn addresses_and_prefixes_of_both_families_are_found() {
        let mut set = AddrSet::default();
        for (addr, len) in [
            ("10.1.0.0", 16),
            ("192.0.2.7", 32),
            ("2001:db8::", 32),
            ("::", 1),
        ] {
            assert!(set.insert(prefix(addr, len)));
            assert!(!set.insert(prefix(addr, len)));
        }
        let has = |set: &AddrSet, addr: &str| set.contains(addr.parse().unwrap());
        for addr in ["10.1.255.9", "192.0.2.7", "2001:db8:1::1", "1::1"] {
            assert!(has(&set, addr), "{addr}");
        }
        for addr in ["10.2.0.1", "192.0.2.8", "ff00::1"] {
            assert!(!has(&set, addr), "{addr}");
        }
        let before = set.clone();
        assert!(set.remove(prefix("10.1.0.0", 16)) && !set.remove(prefix("10.1.0.0", 16)));
        assert!(!has(&set, "10.1.255.9") && has(&before, "10.1.255.9"));
        assert_eq!((set.len(), set.iter().count()), (3, 3));
    }

    #[test]
    fn a_list_may_be_long() {
        let mut set = AddrSet::default();
        for number in 0..100_000u32 {
            set.insert(Prefix::host(std::net::Ipv4Addr::from_bits(number).into()));
        }
        assert_eq!((set.len(), set.lengths.len()), (100_000, 1), "one look-up");
        let copy = set.clone();
        set.insert(prefix("10.0.0.1", 32));
        let shared = copy.shards.iter().zip(set.shards.iter());
        let copied = shared.filter(|(a, b)| !std::ptr::eq(*a, *b)).count();
        assert_eq!(copied, 1, "of {SHARDS}");
    }

    #[test]
    fn clients_that_are_denied_or_not_allowed_get_no_conn() {
        let list = |addr: &str| {
            let mut set = AddrSet::default();
            set.insert(prefix(addr, 24));
            Some(set)
        };
        let access = Access {
            deny: list("10.0.1.0"),
            allow: list("10.0.2.0"),
        };
        let check = |addr: [u8; 4]| access.check(addr);
        assert_eq!(check([10, 0, 1, 1]), Err(DropReason::Denied));
        assert_eq!(check([10, 0, 2, 1]), Ok(()));
        assert_eq!(check([10, 0, 3, 1]), Err(DropReason::NotAllowed));
        assert_eq!(Access::default().check([1; 4]), Ok(()));
    }
}
