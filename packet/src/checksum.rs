//! The Internet checksum (RFC 1071) and what a rewrite changes in it (RFC 1624).
//!
//! A *checksum* is what stands in a header, as `u16::from_be_bytes` reads it. A *sum* is the one's
//! complement sum of 16-bit words before the final complement, not yet folded, in 64 bits.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The one's complement sum of the 16-bit words of `bytes`. An odd last byte counts as if a zero
/// byte followed it.
///
/// Sums of parts can be added with `+` if all parts but the last have even lengths. Each is below
/// 2^48 for any packet, so nothing overflows.
#[inline]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut wide: u128 = 0;
    for word in words {
        wide += u128::from(u64::from_be_bytes(*word));
    }
    // Any grouping of 16-bit words has the same sum modulo 0xffff.
    let (high, low) = ((wide >> 64) as u64, wide as u64);
    (low & 0xffff_ffff) + (low >> 32) + high + sum_of_rest(rest)
}

/// The sum of the last, fewer than eight, bytes. They are read in parts of four, two and one. To
/// copy them into eight zeroed bytes first would stall the load that follows (store forwarding).
#[inline]
fn sum_of_rest(rest: &[u8]) -> u64 {
    let (fours, rest) = rest.as_chunks::<4>();
    let (twos, rest) = rest.as_chunks::<2>();
    let four = fours.first().map_or(0, |four| u32::from_be_bytes(*four));
    let two = twos.first().map_or(0, |two| u16::from_be_bytes(*two));
    let one = rest.first().map_or(0, |one| u16::from_be_bytes([*one, 0]));
    u64::from(four) + u64::from(two) + u64::from(one)
}

/// Folds a sum to 16 bits. The result is all ones for a header whose checksum is right.
#[inline]
pub const fn fold(sum: u64) -> u16 {
    // As in fold_u32: the high half also gets the carry out of the low half.
    fold_u32((sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32)
}

/// Adds two words, and adds the carry at the low end (RFC 1071, 2). The sum is 0 only if both words
/// are.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// [`fold`] for a sum that fits into 32 bits, in three instructions. Each half is added to the
/// other, so the high half also gets the carry out of the low half.
#[inline]
const fn fold_u32(sum: u32) -> u16 {
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// The checksum to write into a header whose checksum field is zero.
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The sum of the pseudo header of TCP and UDP over IPv4 (RFC 9293, 3.1). `len` is that of the L4
/// header and its payload.
#[inline]
pub fn pseudo_header_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> u64 {
    sum(&src.octets()) + sum(&dst.octets()) + u64::from(protocol) + u64::from(len)
}

/// The sum of the pseudo header over IPv6 (RFC 8200, 8.1).
#[inline]
pub fn pseudo_header_v6(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, len: u32) -> u64 {
    sum(&src.octets()) + sum(&dst.octets()) + u64::from(protocol) + u64::from(len)
}

/// What a checksum changes by when 16-bit words under it are replaced: the sum of `~old + new` (RFC
/// 1624). A checksum that was wrong stays wrong.
///
/// It is kept in network byte order, which sums up just as well (RFC 1071, 2 (B)). So the checksum
/// need not be byte-swapped when it is read and again when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta(u16);

impl Delta {
    /// Nothing was replaced.
    pub const ZERO: Self = Self(0);

    /// The words `old` became `new`. Both have the same length and begin at an even offset in what
    /// the checksum covers.
    #[inline]
    pub fn replace(old: &[u8], new: &[u8]) -> Self {
        debug_assert_eq!(old.len(), new.len());
        Self::of_u16(fold(sum(old)), fold(sum(new)))
    }

    /// One word was replaced.
    #[inline]
    pub const fn of_u16(old: u16, new: u16) -> Self {
        Self(add(!old, new).to_be())
    }

    /// A word is gone. `old` is as it was in the header.
    #[inline]
    pub const fn without(old: [u8; 2]) -> Self {
        Self(!u16::from_ne_bytes(old))
    }

    /// A word was added. `new` is as it is in the header.
    #[inline]
    pub const fn with(new: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(new))
    }

    /// Two words were replaced.
    #[inline]
    pub const fn of_u32(old: u32, new: u32) -> Self {
        Self(fold(!old as u64 + new as u64).to_be())
    }

    /// Both changes together.
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }

    /// The change that undoes this one.
    #[inline]
    pub const fn inverse(self) -> Self {
        Self(!self.0)
    }

    /// The checksum after the change: RFC 1624, equation 3.
    #[inline]
    pub fn apply(self, checksum: u16) -> u16 {
        Self::apply_all([self], checksum)
    }

    /// The checksum after several changes.
    #[inline(always)]
    pub fn apply_all<const N: usize>(changes: [Self; N], checksum: u16) -> u16 {
        let mut sum = !checksum.to_be();
        for change in changes {
            sum = add(sum, change.0);
        }
        u16::from_be(!sum)
    }

    /// The change as a number, to be stored.
    #[inline]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The change from a number that [`Self::to_bits`] gave.
    #[inline]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071, 3: the sum of these words is ddf2.
    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(
            fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])),
            0xddf2
        );
    }

    /// RFC 1624, 4: checksum dd2f, word 5555 becomes 3285, new checksum 0000.
    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(Delta::of_u16(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    /// 0 and all ones are the same number in one's complement.
    fn same(a: u16, b: u16) -> bool {
        a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0)
    }

    fn naive(bytes: &[u8]) -> u16 {
        let words = bytes
            .chunks(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
        fold(words.sum())
    }

    proptest! {
        /// RFC 1624, 3: two changes one after the other are the same as both at once.
        #[test]
        fn several_changes_at_once_are_one_after_the_other(
            checksum: u16, first: [u16; 2], then: [[u8; 2]; 2],
        ) {
            let first = Delta::of_u16(first[0], first[1]);
            let [old, new] = then;
            let then = Delta::of_u16(u16::from_be_bytes(old), u16::from_be_bytes(new));
            let both = Delta::apply_all([first, then], checksum);
            prop_assert_eq!(both, then.apply(first.apply(checksum)));
            prop_assert_eq!(both, first.plus(then).apply(checksum));
            let halves = [first, Delta::without(old), Delta::with(new)];
            prop_assert_eq!(both, Delta::apply_all(halves, checksum));
        }

        #[test]
        fn the_sum_is_that_of_the_words_one_by_one(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert!(same(fold(sum(&bytes)), naive(&bytes)));
        }

        #[test]
        fn a_delta_leads_to_what_a_full_sum_says(
            mut bytes in prop::collection::vec(any::<u8>(), 40..=40),
            new in any::<[u8; 8]>(),
            at in 0usize..16,
        ) {
            let before = checksum(&bytes);
            let old: [u8; 8] = *bytes[at * 2..].first_chunk().unwrap();
            bytes[at * 2..at * 2 + 8].copy_from_slice(&new);
            let delta = Delta::replace(&old, &new);
            prop_assert!(same(delta.apply(before), checksum(&bytes)));
            prop_assert!(same(delta.inverse().apply(delta.apply(before)), before));
        }

        #[test]
        fn a_wrong_checksum_stays_wrong_by_as_much(
            right in any::<u16>(), off in 1u16..0xffff, old in any::<u32>(), new in any::<u32>(),
        ) {
            let delta = Delta::of_u32(old, new);
            let wrong = right.wrapping_add(off);
            prop_assume!(!same(right, wrong));
            prop_assert!(!same(delta.apply(right), delta.apply(wrong)));
        }
    }
}
