//! The two ports that the headers of TCP, UDP and SCTP begin with. An ICMP error quotes little more
//! than these.

/// Bytes of both ports.
pub const LEN: usize = 4;

/// Source and destination port. `None` if `l4` is shorter than that.
#[inline]
pub const fn read(l4: &[u8]) -> Option<(u16, u16)> {
    match l4.first_chunk::<LEN>() {
        Some([a, b, c, d]) => Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
        None => None,
    }
}

/// Both ports as they lie in a header, as one word: one write.
#[inline]
pub const fn to_be_bytes(sport: u16, dport: u16) -> [u8; LEN] {
    ((sport as u32) << 16 | dport as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_back_as_they_went() {
        let bytes = to_be_bytes(40_000, 53);
        assert_eq!(bytes, [0x9c, 0x40, 0, 53]);
        assert_eq!(read(&[&bytes[..], &[7; 4]].concat()), Some((40_000, 53)));
        assert_eq!(read(&bytes[..3]), None);
    }
}
