//! Hashes that are the same on every worker and every director, so that all choose the same dest.

use std::net::IpAddr;

/// Mixes all bits: the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
#[inline]
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The hash of an address and a port.
#[inline]
pub(crate) fn of_endpoint(addr: IpAddr, port: u16) -> u64 {
    let port = u64::from(port);
    match addr {
        IpAddr::V4(addr) => mix(u64::from(u32::from(addr)) << 16 | port),
        IpAddr::V6(addr) => {
            let bits = u128::from(addr);
            mix(mix(mix((bits >> 64) as u64) ^ bits as u64) ^ port)
        }
    }
}

/// The hash of a sequence of octets.
#[inline]
pub(crate) fn of_octets(octets: &[u8]) -> u64 {
    octets.chunks(8).fold(octets.len() as u64, |hash, chunk| {
        let word = chunk
            .iter()
            .fold(0, |word, octet| word << 8 | u64::from(*octet));
        mix(hash ^ word)
    })
}

/// Maps a hash to an index below `places`, uniformly.
#[inline]
pub(crate) const fn place(hash: u64, places: usize) -> usize {
    ((hash as u128 * places as u128) >> 64) as usize
}
