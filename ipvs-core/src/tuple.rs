//! The tuple of a packet: both endpoints and the protocol, in the packet's own direction.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;

use rss::{Owners, WorkerId};

/// An IP address as it lies in a header. The code is generic over IPv4 and IPv6.
pub trait Address: Copy + Eq + Hash + Default + fmt::Debug + zerocopy::FromZeros {
    /// Hashes two addresses with a key, as a part of a tuple's hash.
    fn mix_pair(src: Self, dst: Self, key: &HashKey) -> u64;
    /// Whether two pairs of addresses are equal, without a branch.
    #[inline]
    fn same_pair(a: (Self, Self), b: (Self, Self)) -> bool {
        (a.0 == b.0) & (a.1 == b.1)
    }
    /// The address for control and for display. An IPv4 address that is mapped into IPv6 becomes
    /// IPv4 again.
    fn to_ip(self) -> IpAddr;
    /// The address mapped into IPv6: RFC 4291, 2.5.5.2.
    fn to_mapped(self) -> [u8; 16];
    /// Whether it is an IPv4 address that is mapped into IPv6.
    fn is_mapped(&self) -> bool;
    /// The low bits, in which neighbouring dests differ.
    fn low_bits(self) -> u32;
    /// The entry of the redirection table for a packet with the destination port 0.
    fn rss_base(owners: &Owners, src: Self, dst: Self, sport: u16) -> u16;
    /// The worker that owns a packet with these ends.
    fn rss_owner(owners: &Owners, src: (Self, u16), dst: (Self, u16)) -> WorkerId;
}

#[inline]
const fn word_of_pair(src: [u8; 4], dst: [u8; 4]) -> u64 {
    u32::from_ne_bytes(src) as u64 | (u32::from_ne_bytes(dst) as u64) << 32
}

impl Address for [u8; 4] {
    #[inline]
    fn mix_pair(src: Self, dst: Self, key: &HashKey) -> u64 {
        word_of_pair(src, dst) ^ key.0[0]
    }
    #[inline]
    fn same_pair(a: (Self, Self), b: (Self, Self)) -> bool {
        word_of_pair(a.0, a.1) == word_of_pair(b.0, b.1)
    }
    fn to_ip(self) -> IpAddr {
        IpAddr::from(self)
    }
    #[inline]
    fn to_mapped(self) -> [u8; 16] {
        let [a, b, c, d] = self;
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
    }
    #[inline]
    fn is_mapped(&self) -> bool {
        false
    }
    #[inline]
    fn low_bits(self) -> u32 {
        u32::from_be_bytes(self)
    }
    #[inline]
    fn rss_base(owners: &Owners, src: Self, dst: Self, sport: u16) -> u16 {
        owners.base_v4(src, dst, sport)
    }
    #[inline]
    fn rss_owner(owners: &Owners, src: (Self, u16), dst: (Self, u16)) -> WorkerId {
        owners.of_v4(src.0, dst.0, src.1, dst.1)
    }
}

/// The IPv4 addresses of a packet whose tuple is mapped into IPv6. Its NIC hashes those.
fn mapped_pair(src: [u8; 16], dst: [u8; 16]) -> Option<[[u8; 4]; 2]> {
    let last = |addr: [u8; 16]| [addr[12], addr[13], addr[14], addr[15]];
    (src.is_mapped() && dst.is_mapped()).then(|| [last(src), last(dst)])
}

impl Address for [u8; 16] {
    #[inline]
    fn mix_pair(src: Self, dst: Self, key: &HashKey) -> u64 {
        let (src, dst) = (u128::from_ne_bytes(src), u128::from_ne_bytes(dst));
        folded_multiply(src as u64 ^ key.0[0], (src >> 64) as u64 ^ key.0[2])
            ^ folded_multiply(dst as u64 ^ key.0[3], (dst >> 64) as u64 ^ key.0[1])
    }
    fn to_ip(self) -> IpAddr {
        std::net::Ipv6Addr::from(self).to_canonical()
    }
    #[inline]
    fn to_mapped(self) -> [u8; 16] {
        self
    }
    #[inline]
    fn is_mapped(&self) -> bool {
        u128::from_be_bytes(*self) >> 32 == 0xffff
    }
    #[inline]
    fn low_bits(self) -> u32 {
        u32::from_be_bytes([self[12], self[13], self[14], self[15]])
    }
    fn rss_base(owners: &Owners, src: Self, dst: Self, sport: u16) -> u16 {
        match mapped_pair(src, dst) {
            Some([src, dst]) => owners.base_v4(src, dst, sport),
            None => owners.base_v6(src, dst, sport),
        }
    }
    fn rss_owner(owners: &Owners, src: (Self, u16), dst: (Self, u16)) -> WorkerId {
        match mapped_pair(src.0, dst.0) {
            Some([from, to]) => owners.of_v4(from, to, src.1, dst.1),
            None => owners.of_v6(src.0, dst.0, src.1, dst.1),
        }
    }
}

/// The tuple of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Tuple<A> {
    /// Source address
    pub src: A,
    /// Destination address
    pub dst: A,
    /// Source port
    pub sport: u16,
    /// Destination port
    pub dport: u16,
    /// Protocol number of the IP header
    pub protocol: u8,
}

impl<A: Address> Tuple<A> {
    /// The tuple of the packets in the other direction.
    #[inline]
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            sport: self.dport,
            dport: self.sport,
            protocol: self.protocol,
        }
    }

    /// The worker that owns packets with this tuple, by the hash of the NIC.
    #[inline]
    pub fn owner(&self, owners: &Owners) -> WorkerId {
        A::rss_owner(owners, (self.src, self.sport), (self.dst, self.dport))
    }

    /// The tuple with its addresses mapped into IPv6.
    pub fn to_mapped(self) -> Tuple<[u8; 16]> {
        Tuple {
            src: self.src.to_mapped(),
            dst: self.dst.to_mapped(),
            sport: self.sport,
            dport: self.dport,
            protocol: self.protocol,
        }
    }

    /// The hash that the conn index uses.
    #[inline]
    pub fn hash(&self, key: &HashKey) -> u64 {
        let addrs = A::mix_pair(self.src, self.dst, key);
        let rest =
            u64::from(self.sport) | u64::from(self.dport) << 16 | u64::from(self.protocol) << 32;
        let once = folded_multiply(addrs, rest ^ key.0[1]);
        folded_multiply(once ^ key.0[2], key.0[3])
    }
}

/// The key of the hash, random per process, so that nobody can choose tuples that fall into one
/// bucket.
#[derive(Debug, Clone, Copy)]
pub struct HashKey(pub [u64; 4]);

/// Both halves of a 128-bit product: every input bit changes every output bit, as in wyhash.
#[inline]
const fn folded_multiply(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}
