//! SCTP, RFC 9260: what a NAT needs of it. Its checksum covers no addresses, but the ports.

/// Ports, verification tag, checksum.
pub const HEADER_LEN: usize = 12;
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// What the first chunk of a packet means for a conn: RFC 9260, 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// INIT, which stands alone (3.3.2): opens
    Init,
    /// ABORT, or SHUTDOWN COMPLETE: it is over
    End,
    /// Anything else
    Other,
}

/// The ports, if a packet is long enough to be one.
pub fn ports(sctp: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d, ..] = *sctp.first_chunk::<HEADER_LEN>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// What the first chunk means.
pub fn kind(sctp: &[u8]) -> Kind {
    match sctp.get(HEADER_LEN) {
        Some(1) => Kind::Init,
        Some(6 | 14) => Kind::End,
        _ => Kind::Other,
    }
}

/// Whether the checksum is right (RFC 9260, 6.8 and appendix A). `sctp` is the whole packet.
pub fn is_checksum_right(sctp: &[u8]) -> bool {
    sctp.get(CHECKSUM) == Some(&checksum(sctp).to_le_bytes())
}

/// Puts other ports in, and the checksum that they make.
pub fn rewrite(sctp: &mut [u8], sport: u16, dport: u16) {
    let Some(header) = sctp.first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    let new = (u32::from(sport) << 16 | u32::from(dport)).to_be_bytes();
    if header[..4] == new {
        return;
    }
    header[..4].copy_from_slice(&new);
    let sum = checksum(sctp);
    sctp[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
}

/// CRC32c over the packet, whose own field counts as 0.
fn checksum(sctp: &[u8]) -> u32 {
    let (before, rest) = sctp.split_at(CHECKSUM.start.min(sctp.len()));
    let after = rest.get(CHECKSUM.len()..).unwrap_or_default();
    let sum = crc32c::crc32c(before);
    let sum = crc32c::crc32c_append(sum, &[0; CHECKSUM.end - CHECKSUM.start]);
    crc32c::crc32c_append(sum, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An INIT as Linux sends it (ports 32836 and 80), its checksum worked out bit by bit by the polynomial of
    /// RFC 9260, appendix A.
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
        // The same ports leave even a wrong one alone.
        packet[8] ^= 1;
        rewrite(&mut packet, 1025, 8080);
        assert!(!is_checksum_right(&packet));
    }

    #[test]
    fn chunks_are_told_apart() {
        let mut packet = init();
        assert_eq!(kind(&packet), Kind::Init);
        for (chunk, expected) in [(6, Kind::End), (14, Kind::End), (10, Kind::Other)] {
            packet[12] = chunk;
            assert_eq!(kind(&packet), expected);
        }
        assert_eq!(kind(&packet[..12]), Kind::Other);
        assert_eq!(ports(&packet[..11]), None);
    }
}
