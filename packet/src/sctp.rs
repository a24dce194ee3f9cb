//! SCTP (RFC 9260), as far as a NAT needs it. The checksum covers the ports, but no addresses.

use crate::ports;

/// Bytes of the common header: ports, verification tag, checksum.
pub const HEADER_LEN: usize = 12;
const VERIFICATION_TAG: std::ops::Range<usize> = 4..8;
const CHECKSUM: std::ops::Range<usize> = 8..12;
/// Types of chunks: RFC 9260, 3.2.
const INIT: u8 = 1;
const ABORT: u8 = 6;
const SHUTDOWN_COMPLETE: u8 = 14;

/// What the chunks of a packet do to a conn: RFC 9260, 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// INIT opens a conn. It is the only chunk of its packet (RFC 9260, 6.10), and the packet has
    /// no verification tag (8.5.1).
    Init,
    /// ABORT or SHUTDOWN COMPLETE ends the conn.
    End,
    /// Anything else
    Other,
}

/// Source and destination port. `None` if the packet is shorter than a header.
pub fn ports(sctp: &[u8]) -> Option<(u16, u16)> {
    ports::read(sctp.first_chunk::<HEADER_LEN>()?)
}

/// What the chunks do to a conn. Others may stand before ABORT (RFC 9260, 6.10).
pub fn kind(sctp: &[u8]) -> Kind {
    let mut chunks = chunk_types(sctp);
    if chunks.any(|chunk| matches!(chunk, ABORT | SHUTDOWN_COMPLETE)) {
        return Kind::End;
    }
    let mut chunks = chunk_types(sctp);
    let is_init = chunks.next() == Some(INIT) && chunks.next().is_none();
    match sctp.get(VERIFICATION_TAG) {
        Some([0, 0, 0, 0]) if is_init => Kind::Init,
        _ => Kind::Other,
    }
}

/// The types of the chunks, up to one whose length is wrong. The last one may be cut.
fn chunk_types(sctp: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = sctp.get(HEADER_LEN..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [kind, _, high, low] = *rest.first_chunk()?;
        // Chunks begin at multiples of 4 bytes (RFC 9260, 3.2).
        let len = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4);
        rest = rest.get(len..).filter(|_| len > 0).unwrap_or_default();
        Some(kind)
    })
}

/// Whether the checksum is right (RFC 9260, 6.8 and appendix A). `sctp` is the whole packet.
pub fn is_checksum_right(sctp: &[u8]) -> bool {
    sctp.get(CHECKSUM) == Some(&checksum(sctp).to_le_bytes())
}

/// Writes other ports, and computes the checksum anew if they differ.
pub fn rewrite(sctp: &mut [u8], sport: u16, dport: u16) {
    let Some(header) = sctp.first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    let new = ports::to_be_bytes(sport, dport);
    if header[..4] == new {
        return;
    }
    header[..4].copy_from_slice(&new);
    let sum = checksum(sctp);
    sctp[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
}

/// Writes other ports into the first part of a packet of `whole_len` bytes, and changes the
/// checksum accordingly. The rest of the packet need not be there, since CRC32c is linear. A wrong
/// checksum stays wrong.
///
/// Returns `false`, and changes nothing, if the part is shorter than a header or longer than the
/// packet.
#[must_use]
pub fn rewrite_first_part(part: &mut [u8], whole_len: u16, sport: u16, dport: u16) -> bool {
    if part.len() > usize::from(whole_len) {
        return false;
    }
    let Some(header) = part.first_chunk_mut::<HEADER_LEN>() else {
        return false;
    };
    let [p0, p1, p2, p3, _, _, _, _, s0, s1, s2, s3] = *header;
    let new = ports::to_be_bytes(sport, dport);
    let change = u32::from_le_bytes([p0, p1, p2, p3]) ^ u32::from_le_bytes(new);
    let sum = u32::from_le_bytes([s0, s1, s2, s3]) ^ crc::pushed_on(change, whole_len);
    header[..4].copy_from_slice(&new);
    header[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    true
}

/// Arithmetic of polynomials modulo that of CRC32c, with the bit order of RFC 9260, appendix A: the
/// lowest bit of a word is sent first, and what is sent first is the higher power.
mod crc {
    /// The polynomial of CRC32c without x^32
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    const X_TO_8: u32 = 1 << (31 - 8);
    /// x^8, x^16, x^32, ...: what a number is multiplied by for one more byte, for two, for four,
    /// and so on. Each is the square of the one before.
    const STEPS: [u32; u16::BITS as usize] = {
        let mut steps = [X_TO_8; u16::BITS as usize];
        let mut at = 1;
        while at < steps.len() {
            steps[at] = multiply(steps[at - 1], steps[at - 1]);
            at += 1;
        }
        steps
    };

    /// What the checksum changes by when the first four of `len` bytes change: the change times
    /// x^(8 * len).
    pub(super) fn pushed_on(change: u32, len: u16) -> u32 {
        let is_taken = |bit: &usize| len >> bit & 1 == 1;
        let taken = (0..STEPS.len()).filter(is_taken);
        taken.fold(change, |product, bit| multiply(product, STEPS[bit]))
    }

    const fn multiply(mut a: u32, mut b: u32) -> u32 {
        let mut product = 0;
        while a != 0 {
            // The highest bit is x^0.
            if a >> 31 == 1 {
                product ^= b;
            }
            a <<= 1;
            let carried = if b & 1 == 1 { POLYNOMIAL } else { 0 };
            b = b >> 1 ^ carried;
        }
        product
    }
}

/// CRC32c of the packet, with the checksum field taken as 0.
fn checksum(sctp: &[u8]) -> u32 {
    let (before, rest) = sctp.split_at(CHECKSUM.start.min(sctp.len()));
    let after = rest.get(CHECKSUM.len()..).unwrap_or_default();
    let sum = crc32c::crc32c(before);
    let sum = crc32c::crc32c_append(sum, &[0; CHECKSUM.end - CHECKSUM.start]);
    crc32c::crc32c_append(sum, after)
}

/// Bytes of a packet that has nothing but an ABORT without causes (RFC 9260, 3.3.7).
pub const ABORT_LEN: usize = HEADER_LEN + 4;

/// The verification tag: the one that the receiver has chosen (RFC 9260, 8.5).
pub fn verification_tag(sctp: &[u8]) -> Option<u32> {
    sctp.get(4..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

/// The tag that the sender of an INIT has chosen (RFC 9260, 3.3.2). `None` for other packets.
pub fn tag_of_init(sctp: &[u8]) -> Option<u32> {
    initiate_tag(sctp, 1)
}

/// The same for an INIT ACK (RFC 9260, 3.3.3).
pub fn tag_of_init_ack(sctp: &[u8]) -> Option<u32> {
    initiate_tag(sctp, 2)
}

fn initiate_tag(sctp: &[u8], chunk: u8) -> Option<u32> {
    let [kind, _, _, _, tag @ ..] = *sctp.get(HEADER_LEN..)?.first_chunk::<8>()?;
    (kind == chunk).then_some(u32::from_be_bytes(tag))
}

/// Whether a packet that begins with ABORT or SHUTDOWN COMPLETE has the T bit: its verification
/// tag is the one that its sender's peer has got, since the sender does not know its own (RFC
/// 9260, 8.5.1).
pub fn is_tag_reflected(sctp: &[u8]) -> bool {
    matches!(sctp.get(HEADER_LEN..), Some([6 | 14, flags, ..]) if flags & 1 == 1)
}

/// Writes a whole packet with an ABORT for the association of this tag.
pub fn write_abort(packet: &mut [u8; ABORT_LEN], (sport, dport): (u16, u16), tag: u32) {
    packet[..4].copy_from_slice(&ports::to_be_bytes(sport, dport));
    packet[4..8].copy_from_slice(&tag.to_be_bytes());
    packet[HEADER_LEN..].copy_from_slice(&[6, 0, 0, 4]);
    let sum = checksum(packet);
    packet[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An INIT as Linux sends it (ports 32836 and 80). Its checksum is computed bit by bit by the
    /// polynomial of RFC 9260, appendix A.
    fn init() -> Vec<u8> {
        let mut packet = vec![0x80, 0x44, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20];
        packet.extend([
            0x3b, 0xb9, 0x9c, 0x46, 0, 1, 0xa0, 0, 0, 10, 0xff, 0xff, 0x2b, 0x2d, 0x7e, 0xb2,
        ]);
        let mut crc = u32::MAX;
        for byte in &packet {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ 0x82F6_3B78
                } else {
                    crc >> 1
                };
            }
        }
        packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
        packet
    }

    #[test]
    fn the_checksum_is_the_rfc_s() {
        let mut packet = init();
        assert!(is_checksum_right(&packet));
        packet[20] ^= 1;
        assert!(!is_checksum_right(&packet));
        assert!(!is_checksum_right(&[]));
    }

    #[test]
    fn new_ports_make_a_new_checksum() {
        let mut packet = init();
        rewrite(&mut packet, 1025, 8080);
        assert_eq!(ports(&packet), Some((1025, 8080)));
        assert!(is_checksum_right(&packet));
        // Ports that stay the same do not repair a wrong checksum.
        packet[8] ^= 1;
        rewrite(&mut packet, 1025, 8080);
        assert!(!is_checksum_right(&packet));
    }

    /// A packet with a right checksum, which the crc32c crate alone computed.
    fn packet_of(len: usize, ports: u32, seed: u8) -> Vec<u8> {
        let bytes = (0..len).map(|at| (at as u8).wrapping_mul(31) ^ seed);
        let mut packet: Vec<u8> = bytes.collect();
        packet[..4].copy_from_slice(&ports.to_be_bytes());
        packet[CHECKSUM].fill(0);
        let sum = crc32c::crc32c(&packet);
        packet[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        packet
    }

    proptest! {
        #[test]
        fn a_first_part_gets_the_checksum_of_the_whole(
            len in HEADER_LEN..=usize::from(u16::MAX), part in any::<prop::sample::Index>(),
            old in any::<u32>(), new in any::<[u16; 2]>(),
            seed in any::<u8>(), flipped in any::<u32>(),
        ) {
            let mut packet = packet_of(len, old, seed);
            let part = HEADER_LEN + part.index(len - HEADER_LEN + 1);
            prop_assert!(rewrite_first_part(&mut packet[..part], len as u16, new[0], new[1]));
            let expected = packet_of(len, u32::from(new[0]) << 16 | u32::from(new[1]), seed);
            prop_assert!(packet == expected);
            // If the old checksum was wrong, the new one is.
            let mut wrong = packet_of(len, old, seed);
            let spoil = |packet: &mut [u8]| for at in CHECKSUM {
                packet[at] ^= flipped.to_le_bytes()[at - CHECKSUM.start];
            };
            spoil(&mut wrong);
            prop_assert!(rewrite_first_part(&mut wrong[..part], len as u16, new[0], new[1]));
            spoil(&mut wrong);
            prop_assert!(wrong == expected);
        }
    }

    /// All lengths up to where several steps are taken, and the longest.
    #[test]
    fn every_length_has_its_own_change() {
        for len in (HEADER_LEN..=2100).chain([4095, 4096, 65_534, 65_535]) {
            let mut packet = packet_of(len, 0x8044_0050, 7);
            let part = &mut packet[..HEADER_LEN];
            assert!(rewrite_first_part(part, len as u16, 1025, 8080));
            assert!(is_checksum_right(&packet), "{len} bytes");
        }
    }

    #[test]
    fn a_part_that_the_whole_cannot_have_is_left_alone() {
        let packet = init();
        for (part, whole_len) in [(32, 31), (32, 0), (11, 32), (0, 32)] {
            let mut changed = packet.clone();
            assert!(!rewrite_first_part(&mut changed[..part], whole_len, 1, 2));
            assert_eq!(changed, packet);
        }
    }

    /// RFC 9260, 3.3.2, 3.3.7 and 8.5.1
    #[test]
    fn tags_are_read_and_written() {
        let packet = init();
        assert_eq!(verification_tag(&packet), Some(0));
        assert_eq!(tag_of_init(&packet), Some(0x3bb9_9c46));
        assert_eq!(tag_of_init_ack(&packet), None);
        assert_eq!(tag_of_init(&packet[..19]), None);
        let mut abort = [0; ABORT_LEN];
        write_abort(&mut abort, (80, 32_836), 0x3bb9_9c46);
        assert!(is_checksum_right(&abort));
        assert_eq!(ports(&abort), Some((80, 32_836)));
        assert_eq!((kind(&abort), is_tag_reflected(&abort)), (Kind::End, false));
        assert_eq!(verification_tag(&abort), Some(0x3bb9_9c46));
        abort[13] = 1;
        assert!(is_tag_reflected(&abort));
        abort[12] = 0;
        assert!(!is_tag_reflected(&abort), "the E bit of DATA");
    }

    #[test]
    fn chunks_are_told_apart() {
        let mut packet = init();
        assert_eq!(kind(&packet), Kind::Init);
        for (chunk, expected) in [(6, Kind::End), (14, Kind::End), (10, Kind::Other)] {
            packet[12] = chunk;
            assert_eq!(kind(&packet), expected);
        }
        let with = |chunks: &[[u8; 4]]| [&init()[..HEADER_LEN], &chunks.concat()].concat();
        let (abort, ack) = ([ABORT, 0, 0, 4], [3, 0, 0, 4]);
        let init = [INIT, 0, 0, 4];
        for (chunks, expected) in [
            (&[ack, abort][..], Kind::End),
            (&[[3, 0, 0, 5], [0, 0, 0, 0], abort], Kind::End),
            (&[[3, 0, 0, 0], abort], Kind::Other),
            (&[[3, 0, 0, 99], abort], Kind::Other),
            (&[init], Kind::Init),
            (&[init, ack], Kind::Other),
            (&[ack, init], Kind::Other),
        ] {
            assert_eq!(kind(&with(chunks)), expected, "{chunks:?}");
        }
        let mut tagged = with(&[init]);
        tagged[VERIFICATION_TAG].copy_from_slice(&[0, 0, 0, 1]);
        assert_eq!(kind(&tagged), Kind::Other);
        assert_eq!(kind(&packet[..12]), Kind::Other);
        assert_eq!(ports(&packet[..11]), None);
    }
}
