//! The bytes of a host name, RFC 3986 section 3.2.2, plain and in HPACK's Huffman code.

/// The byte that stands for `byte` in a host name.
pub(super) const fn plain(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => byte,
        _ => b'-',
    }
}

/// The Huffman code of HPACK, RFC 7541 appendix B: the lengths of its codes up to 15 bits, which
/// all printable characters but one have, and the first number that no code of this length has.
///
/// The code is canonical: sorted by length, its codes are ascending numbers. So a number below the
/// limit of its length is a whole code.
const LIMITS: [(u32, u32); 10] = [
    (5, 0xa),
    (6, 0x2e),
    (7, 0x7c),
    (8, 0xfe),
    (10, 0x3fd),
    (11, 0x7fd),
    (12, 0xffc),
    (13, 0x1ffe),
    (14, 0x3ffe),
    (15, 0x7fff),
];

/// Reads a value in Huffman code and replaces what a path has and a host name has not. The bytes
/// before may be on their way already, so each replacement differs in the bit just read, and its
/// code has the same length.
#[derive(Debug, Default)]
pub(super) struct Huffman {
    code: u32,
    len: u32,
}

impl Huffman {
    /// The byte that stands for the next one.
    pub(super) fn rewritten(&mut self, byte: u8) -> u8 {
        let mut rewritten = byte;
        for bit in (0..u8::BITS).rev() {
            self.code = self.code << 1 | u32::from(byte >> bit & 1);
            self.len = self.len.saturating_add(1);
            if self.is_of_a_path() {
                self.code ^= 1;
                rewritten ^= 1 << bit;
            }
            if LIMITS
                .iter()
                .any(|&(len, limit)| self.len == len && self.code < limit)
            {
                *self = Self::default();
            }
        }
        rewritten
    }

    const fn is_of_a_path(&self) -> bool {
        match (self.len, self.code) {
            // 01010 begins the codes of ' ' and '%', 01011 those of '-' and '.'.
            (5, 0b01010) => true,
            // '/', which becomes '3'
            (6, 0b01_1000) => true,
            // ':', which becomes 'B'
            (7, 0b101_1100) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Coded by another implementation of RFC 7541 (hyper-h2's `hpack`).
    #[test]
    fn a_path_in_huffman_code_becomes_a_host_of_the_same_length() {
        for (path, host) in [
            // %2Ftmp%2Fdpvsd.sock, .2Ftmp.2Fdpvsd.sock
            (
                b"\x54\x58\x53\x4d\x6a\x8b\x0c\x95\xf7\x44\x8b\xa0\xe4\xeb".as_slice(),
                b"\x5c\x58\x53\x4d\x6b\x8b\x0c\x95\xf7\x44\x8b\xa0\xe4\xeb".as_slice(),
            ),
            // /run/dpvsd.sock, 3run3dpvsd.sock
            (
                b"\x62\xcb\x6a\x62\x4a\xfb\xa2\x45\xd0\x72\x75".as_slice(),
                b"\x66\xcb\x6a\x66\x4a\xfb\xa2\x45\xd0\x72\x75".as_slice(),
            ),
            // /run/a b:c/x, 3run3a-bBc3x
            (
                b"\x62\xcb\x6a\x60\x6a\x47\x70\x8c\x79".as_slice(),
                b"\x66\xcb\x6a\x64\x6b\x47\x74\x8c\xf9".as_slice(),
            ),
        ] {
            let mut huffman = Huffman::default();
            let rewritten: Vec<_> = path.iter().map(|byte| huffman.rewritten(*byte)).collect();
            assert_eq!(rewritten, host);
        }
    }
}
