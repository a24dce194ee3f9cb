//! The IPv4 header (RFC 791). It is checked once, then read and rewritten at constant offsets.

use crate::checksum::{self, Delta};
use crate::ip::header::{IpFacts, NewHeader};
use crate::{ChecksumState, PacketBuf, eth, options, udp};

/// Bytes of an Ethernet header.
pub const L2_LEN: usize = eth::HEADER_LEN;
/// Bytes of an IPv4 header without options.
pub const HEADER_LEN: usize = 20;

/// What a TTL that is one less changes: it is the high byte of its 16-bit word.
const TTL_DELTA: Delta = Delta::of_u16(0x0100, 0);

const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;
const DONT_FRAGMENT: u16 = 0x4000;

/// Why a frame does not hold a sound IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Error {
    /// The frame ends before the header does.
    Truncated,
    /// The version is not 4, or a length does not fit the other one or the frame.
    Malformed,
    /// The header's checksum is wrong.
    BadChecksum,
}

/// What the packet path needs from a valid IPv4 header.
pub type Ipv4Facts = IpFacts<[u8; 4]>;

/// Checks the header, cuts off padding of the frame, and reads it.
///
/// # Errors
/// If the frame is too short, a length or the version is wrong, or the checksum is wrong, whether
/// the NIC says so or the sum does.
#[inline(always)]
pub fn check<B: PacketBuf>(packet: &mut B) -> Result<Ipv4Facts, Ipv4Error> {
    let bytes = packet.bytes();
    let header = bytes
        .first_chunk::<{ L2_LEN + HEADER_LEN }>()
        .and_then(|frame| frame.last_chunk::<HEADER_LEN>())
        .ok_or(Ipv4Error::Truncated)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = u16::from_be_bytes([header[2], header[3]]);
    let frame_len = L2_LEN + usize::from(total_len);
    if header[0] >> 4 != 4
        || header_len < HEADER_LEN
        || usize::from(total_len) < header_len
        || frame_len > bytes.len()
    {
        return Err(Ipv4Error::Malformed);
    }
    match packet.ip_checksum() {
        ChecksumState::Good => {}
        ChecksumState::Bad => return Err(Ipv4Error::BadChecksum),
        ChecksumState::Unknown | ChecksumState::Missing => {
            let mut sum = native_sum(header);
            if header_len > HEADER_LEN {
                sum += native_sum(&bytes[L2_LEN + HEADER_LEN..L2_LEN + header_len]);
            }
            // A right header sums up to all ones (RFC 1071).
            if checksum::fold(sum) != 0xffff {
                return Err(Ipv4Error::BadChecksum);
            }
        }
    }
    let facts = facts(header, header_len, total_len);
    if frame_len < bytes.len() {
        packet.truncate(frame_len);
    }
    Ok(facts)
}

/// The fast path of [`check`]: reads the header of a packet that is not a fragment, has no IP
/// options and carries at least a UDP header, as nearly all do. Returns the facts and the bytes
/// behind the header. Padding of the frame is not cut off.
///
/// `None` for any other packet, for a wrong IP header, and if the NIC says that the L4 checksum is
/// wrong or missing. Call [`check`] then: it says what is wrong with the header.
#[inline(always)]
pub fn read_plain<B: PacketBuf>(packet: &B) -> Option<(Ipv4Facts, &[u8])> {
    let bytes = packet.bytes();
    let header = bytes
        .first_chunk::<{ L2_LEN + HEADER_LEN }>()?
        .last_chunk::<HEADER_LEN>()?;
    let fragment = u32::from_ne_bytes(word(header, 4));
    let total_len = u16::from_be_bytes([header[2], header[3]]);
    if header[0] != 0x45
        || fragment & u32::from(MORE_FRAGMENTS | FRAGMENT_OFFSET).to_be() != 0
        || usize::from(total_len) < HEADER_LEN + udp::HEADER_LEN
    {
        return None;
    }
    // Both addresses as one number, since they are also hashed and summed up as one.
    let addrs = u64::from_le_bytes(addrs(header));
    let [src, dst] = [addrs as u32, (addrs >> 32) as u32].map(u32::to_le_bytes);
    let facts = IpFacts {
        src,
        dst,
        is_fragment: false,
        ..facts(header, HEADER_LEN, total_len)
    };
    let payload = bytes.get(L2_LEN + HEADER_LEN..L2_LEN + usize::from(total_len))?;
    if matches!(
        packet.l4_checksum(),
        ChecksumState::Bad | ChecksumState::Missing
    ) {
        return None;
    }
    let is_right = match packet.ip_checksum() {
        ChecksumState::Good => true,
        ChecksumState::Bad => false,
        ChecksumState::Unknown | ChecksumState::Missing => {
            checksum::fold(plain_sum(header)) == 0xffff
        }
    };
    is_right.then_some((facts, payload))
}

#[inline(always)]
fn facts(header: &[u8; HEADER_LEN], header_len: usize, total_len: u16) -> Ipv4Facts {
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    IpFacts {
        src: word(header, 12),
        dst: word(header, 16),
        protocol: header[9],
        ttl: header[8],
        l4_at: (L2_LEN + header_len) as u8,
        total_len,
        is_fragment: fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0,
        fragment_offset: (fragment & FRAGMENT_OFFSET) * 8,
        more_fragments: fragment & MORE_FRAGMENTS != 0,
        identification: u32::from(u16::from_be_bytes([header[4], header[5]])),
        dont_fragment: fragment & DONT_FRAGMENT != 0,
    }
}

/// Reads the header that an ICMP error quotes. Most of the quoted packet may be cut off. `l4_at`
/// counts as if an Ethernet header stood in front.
pub fn check_quoted(ip: &[u8]) -> Option<Ipv4Facts> {
    let header = ip.first_chunk::<HEADER_LEN>()?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = u16::from_be_bytes([header[2], header[3]]);
    let is_sound = header[0] >> 4 == 4 && header_len >= HEADER_LEN && header_len <= ip.len();
    is_sound.then(|| facts(header, header_len, total_len))
}

/// Four bytes of a header in one load. Read byte by byte, they would take four registers.
#[inline(always)]
fn word(header: &[u8; HEADER_LEN], at: usize) -> [u8; 4] {
    let mut word = [0; 4];
    word.copy_from_slice(&header[at..at + 4]);
    word
}

/// The time to live of a packet that [`check`] found sound. 0 if the frame is too short.
#[inline]
pub fn ttl(frame: &[u8]) -> u8 {
    frame.get(L2_LEN + 8).copied().unwrap_or(0)
}

/// The sum in the machine's own byte order. Whether it is all ones does not depend on the order
/// (RFC 1071, 2 (B)).
#[inline]
fn native_sum(words: &[u8]) -> u64 {
    let (words, _) = words.as_chunks::<4>();
    words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum()
}

/// [`native_sum`] of a header without options, in fewer steps: it adds eight bytes at a time, and
/// then the carry (RFC 1071, 2 (C)).
#[inline(always)]
fn plain_sum(header: &[u8; HEADER_LEN]) -> u64 {
    let add = |sum: u64, words: u64| {
        let (sum, carry) = sum.overflowing_add(words);
        sum + u64::from(carry)
    };
    let first = header.first_chunk().copied().unwrap_or_default();
    let sum = add(u64::from_ne_bytes(first), u64::from_ne_bytes(addrs(header)));
    add(sum, u32::from_ne_bytes(word(header, 8)).into())
}

/// Both addresses in one load.
#[inline(always)]
fn addrs(header: &[u8; HEADER_LEN]) -> [u8; 8] {
    header.last_chunk().copied().unwrap_or_default()
}

/// Writes other addresses and decrements the TTL, which must be above 1. `delta` is what the
/// addresses change in the checksum. A wrong checksum stays wrong. A whole packet that may be
/// fragmented gets the next `identification`, as by [`renumber`].
#[inline(always)]
pub fn rewrite(
    header: &mut [u8; HEADER_LEN],
    src: [u8; 4],
    dst: [u8; 4],
    delta: Delta,
    identification: impl FnOnce() -> u16,
) {
    header[8] = header[8].wrapping_sub(1);
    if is_whole_and_may_be_fragmented(header) {
        let old = u16::from_be_bytes([header[4], header[5]]);
        let new = identification();
        header[4..6].copy_from_slice(&new.to_be_bytes());
        apply(header, [delta, TTL_DELTA, Delta::of_u16(old, new)]);
    } else {
        apply(header, [delta, TTL_DELTA]);
    }
    header[12..16].copy_from_slice(&src);
    header[16..20].copy_from_slice(&dst);
}

/// Writes other addresses, and changes nothing else but the checksum. `delta` is what the addresses
/// change in it.
pub fn readdress(header: &mut [u8; HEADER_LEN], src: [u8; 4], dst: [u8; 4], delta: Delta) {
    apply(header, [delta]);
    header[12..16].copy_from_slice(&src);
    header[16..20].copy_from_slice(&dst);
}

/// Writes a header without options.
pub fn write(header: &mut [u8; HEADER_LEN], new: &NewHeader<[u8; 4]>) {
    let total_len = new.payload_len.saturating_add(HEADER_LEN as u16);
    let flags = if new.dont_fragment { DONT_FRAGMENT } else { 0 };
    let word = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
    let version = u16::from_be_bytes([0x45, new.traffic_class]);
    let above = u16::from_be_bytes([new.ttl, new.protocol]);
    let mut words = [
        word(version, total_len),
        word(new.identification, flags),
        word(above, 0),
        u32::from_be_bytes(new.src),
        u32::from_be_bytes(new.dst),
    ];
    // The words are summed up before they are written. To load what was just stored in smaller
    // parts would stall (store forwarding).
    let sum = words.iter().fold(0, |sum, word| sum + u64::from(*word));
    words[2] |= u32::from(!checksum::fold(sum));
    for (place, word) in header.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
}

/// What is new in the outer header of a packet in a tunnel.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Bytes of the IP packet with both headers
    pub total_len: u16,
    /// Time to live of the outer header
    pub ttl: u8,
    /// Protocol number of the inner packet
    pub protocol: u8,
    /// Source address of the outer header
    pub src: [u8; 4],
    /// Destination address of the outer header
    pub dst: [u8; 4],
    /// What the checksum changes by if these addresses replace those of the inner header.
    pub delta: Delta,
}

/// Whether the reserved flag is set, which must be 0 (RFC 791, 3.1).
#[inline(always)]
pub fn has_reserved_flag(frame: &[u8]) -> bool {
    frame.get(L2_LEN + 6).is_some_and(|flags| flags & 0x80 != 0)
}

/// Whether the packet must not be fragmented: RFC 791, 3.1.
#[inline(always)]
pub fn has_dont_fragment(frame: &[u8]) -> bool {
    let flag = DONT_FRAGMENT.to_be_bytes()[0];
    frame.get(L2_LEN + 6).is_some_and(|flags| flags & flag != 0)
}

/// Writes the outer header of a tunnel in front of the inner header `inside`, and decrements the
/// inner TTL, which must be above 1.
///
/// The inner packet must not be a fragment, must have neither IP options nor the reserved flag (see
/// [`has_reserved_flag`]), and must be short enough for both headers. Class, identification and
/// "don't fragment" are copied (RFC 2003, 3.1, and RFC 6040, 4.1). The outer checksum is derived
/// from the inner one: if that is wrong, both are.
#[inline(always)]
pub fn wrap_plain([header, inside]: &mut [[u8; HEADER_LEN]; 2], around: &Around) {
    const LONGER: u16 = HEADER_LEN as u16;
    let above = [around.ttl, around.protocol];
    // The outer packet is longer by this much, whatever the inner length is.
    let longer = Delta::of_u16(0, LONGER);
    let changes = [
        longer.plus(Delta::with(above)),
        around.delta,
        Delta::without([inside[8], inside[9]]),
    ];
    let checksum = Delta::apply_all(changes, u16::from_be_bytes([inside[10], inside[11]]));
    header[..8].copy_from_slice(&inside[..8]);
    header[2..4].copy_from_slice(&around.total_len.to_be_bytes());
    header[8..10].copy_from_slice(&above);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header[12..16].copy_from_slice(&around.src);
    header[16..].copy_from_slice(&around.dst);
    decrement_ttl(inside);
}

/// Decrements the TTL, which must be above 1, and changes nothing else but the checksum.
#[inline]
pub fn decrement_ttl(header: &mut [u8; HEADER_LEN]) {
    header[8] = header[8].wrapping_sub(1);
    apply(header, [TTL_DELTA]);
}

/// Makes the header that of a reply to its sender: addresses change places, and the TTL is a new
/// one. A checksum that was wrong stays wrong.
pub fn make_reply(header: &mut [u8; HEADER_LEN], ttl: u8) {
    let old = header[8];
    header[8] = ttl;
    header[12..20].rotate_left(4);
    // The TTL is the upper half of its word, and the order of the addresses does not matter to the
    // sum.
    let delta = Delta::of_u16(u16::from(old) << 8, u16::from(ttl) << 8);
    apply(header, [delta]);
}

/// Makes the packet longer by `by` bytes.
pub fn grow(header: &mut [u8; HEADER_LEN], by: u16) {
    let old = u16::from_be_bytes([header[2], header[3]]);
    let new = old.wrapping_add(by);
    header[2..4].copy_from_slice(&new.to_be_bytes());
    apply(header, [Delta::of_u16(old, new)]);
}

#[inline(always)]
fn apply<const N: usize>(header: &mut [u8; HEADER_LEN], changes: [Delta; N]) {
    let checksum = Delta::apply_all(changes, u16::from_be_bytes([header[10], header[11]]));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Replaces the options of this kind by padding. `ip` begins with the header, which was checked.
pub fn blank_option(ip: &mut [u8], kind: u8) {
    let Some((header, rest)) = ip.split_first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    let options_len = (usize::from(header[0] & 0x0f) * 4).saturating_sub(HEADER_LEN);
    if let Some(options) = rest.get_mut(..options_len) {
        apply(header, [options::blank(options, kind)]);
    }
}

/// Makes the packet a fragment. `offset` is where its payload was in the whole packet, in bytes,
/// and `more` says that it is not the last fragment.
pub fn set_fragment(header: &mut [u8; HEADER_LEN], offset: u16, more: bool) {
    let old = u16::from_be_bytes([header[6], header[7]]);
    let new = fragment_field(offset, more);
    header[6..8].copy_from_slice(&new.to_be_bytes());
    apply(header, [Delta::of_u16(old, new)]);
}

/// Flags and fragment offset of a fragment whose payload was at `offset` bytes: RFC 791, 3.1.
pub(crate) const fn fragment_field(offset: u16, more: bool) -> u16 {
    (offset / 8) | if more { MORE_FRAGMENTS } else { 0 }
}

/// Gives a whole packet that may be fragmented another identification (RFC 6864, 4.3). One that
/// must not be fragmented needs none (RFC 6864, 4.1), and a fragment has that of its packet: both
/// stay as they are.
#[inline(always)]
pub fn renumber(header: &mut [u8; HEADER_LEN], identification: impl FnOnce() -> u16) {
    if is_whole_and_may_be_fragmented(header) {
        set_identification(header, identification());
    }
}

#[inline(always)]
fn is_whole_and_may_be_fragmented(header: &[u8; HEADER_LEN]) -> bool {
    const ANY: u16 = (DONT_FRAGMENT | MORE_FRAGMENTS | FRAGMENT_OFFSET).to_be();
    u16::from_ne_bytes([header[6], header[7]]) & ANY == 0
}

/// Replaces the identification.
#[inline(always)]
pub fn set_identification(header: &mut [u8; HEADER_LEN], identification: u16) {
    let old = u16::from_be_bytes([header[4], header[5]]);
    header[4..6].copy_from_slice(&identification.to_be_bytes());
    apply(header, [Delta::of_u16(old, identification)]);
}

/// Whether no host can have this source address: RFC 1812, 5.3.7.
#[inline]
pub const fn is_martian_source(src: [u8; 4]) -> bool {
    let network = u32::from_be_bytes(src) >> 24;
    network >= 224 || network == 127 || network == 0
}

/// Multicast, or the limited broadcast: RFC 1112, RFC 919.
#[inline]
pub const fn is_multicast_or_broadcast(dst: [u8; 4]) -> bool {
    let dst = u32::from_be_bytes(dst);
    dst >> 28 == 0xe || dst == u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that many textbooks have: checksum b861.
    const HEADER: [u8; HEADER_LEN] = [
        0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199,
    ];

    #[test]
    fn a_rewritten_header_is_right_and_its_time_to_live_one_less() {
        let mut header = HEADER;
        let (src, dst) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let delta = Delta::replace(&HEADER[12..], &[src, dst].concat());
        rewrite(&mut header, src, dst, delta, || 7);
        assert_eq!(checksum::fold(checksum::sum(&header)), 0xffff);
        assert_eq!(
            (header[8], &header[12..]),
            (0x3f, &[10, 0, 0, 1, 10, 0, 0, 2][..])
        );
    }

    /// RFC 2003, 3.1: class, identification and "don't fragment" are the inner packet's. Its TTL is
    /// one less afterwards. The outer packet is 20 bytes longer.
    #[test]
    fn the_header_around_a_plain_packet_is_right() {
        let (src, dst) = ([192, 168, 100, 1], [192, 168, 100, 2]);
        for (class, flags) in [(0, 0x40), (0xb9, 0), (3, 0x40)] {
            let mut inner = HEADER;
            (inner[1], inner[4], inner[5], inner[6]) = (class, 0xca, 0xfe, flags);
            let checksum = checksum::checksum(&[&inner[..10], &[0, 0], &inner[12..]].concat());
            inner[10..12].copy_from_slice(&checksum.to_be_bytes());
            let around = Around {
                total_len: 0x73 + 20,
                ttl: 64,
                protocol: 4,
                src,
                dst,
                delta: Delta::replace(&inner[12..], &[src, dst].concat()),
            };
            let mut headers = [[0; HEADER_LEN], inner];
            wrap_plain(&mut headers, &around);
            let [outer, passed] = headers;
            let expected = [0x45, class, 0, 0x73 + 20, 0xca, 0xfe, flags, 0, 64, 4];
            assert_eq!(outer[..10], expected);
            assert_eq!(outer[12..], [src, dst].concat());
            assert_eq!(checksum::fold(checksum::sum(&outer)), 0xffff);
            decrement_ttl(&mut inner);
            assert_eq!(passed, inner);
        }
    }

    #[test]
    fn the_header_of_a_reply_is_right() {
        let mut header = HEADER;
        make_reply(&mut header, 255);
        assert_eq!(checksum::fold(checksum::sum(&header)), 0xffff);
        let turned = [192, 168, 0, 199, 192, 168, 0, 1];
        assert_eq!((header[8], &header[12..]), (255, &turned[..]));
    }

    #[test]
    fn a_header_that_grows_stays_right() {
        let mut header = HEADER;
        grow(&mut header, 8);
        assert_eq!(checksum::fold(checksum::sum(&header)), 0xffff);
        assert_eq!(header[2..4], [0, 0x7b]);
    }
}
