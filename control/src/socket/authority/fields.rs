//! The fields of a header block: HPACK, RFC 7541 section 6.

use super::host::{Huffman, plain};

/// The name in question: plain, in Huffman code, and its place in the static table (RFC 7541
/// appendices A and B).
const AUTHORITY: &[u8] = b":authority";
const AUTHORITY_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];
const AUTHORITY_INDEX: usize = 1;

/// What a number or a string is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A number that no string follows: a whole field, or the size of the dynamic table
    Indexed,
    /// The number of a name, 0 if the name is written out
    Literal,
    /// A name, or the number of its bytes
    Name,
    /// A value, or the number of its bytes
    Value,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// The first byte of a field comes next.
    #[default]
    Field,
    /// The length of a string comes next.
    Length(Part),
    /// More of a number: RFC 7541 section 5.1.
    Number { of: Part, value: usize, shift: u32 },
    /// The bytes of a string.
    Text { of: Part, left: usize },
}

/// A header block while it passes. Broken ones do no harm: h2 refuses them.
#[derive(Debug, Default)]
pub(super) struct Fields {
    state: State,
    /// Whether the string is in Huffman code.
    is_huffman: bool,
    /// How much of the name is that of the authority so far; `None` if it is another name.
    matched: Option<usize>,
    /// Whether the value belongs to the authority.
    is_authority: bool,
    huffman: Huffman,
}

impl Fields {
    /// The byte that stands for the next one.
    pub(super) fn rewritten(&mut self, byte: u8) -> u8 {
        match self.state {
            State::Field => self.begin_field(byte),
            State::Length(of) => {
                self.is_huffman = byte & 0x80 != 0;
                self.begin_number(of, byte, 7);
            }
            State::Number { of, value, shift } => {
                let more = usize::from(byte & 0x7f).checked_shl(shift);
                let value = value.saturating_add(more.unwrap_or(usize::MAX));
                if byte & 0x80 == 0 {
                    self.end_number(of, value);
                } else {
                    let shift = shift.saturating_add(7);
                    self.state = State::Number { of, value, shift };
                }
            }
            State::Text { of, left } => {
                let rewritten = self.text(of, byte);
                if left > 1 {
                    let left = left - 1;
                    self.state = State::Text { of, left };
                } else {
                    self.end_text(of);
                }
                return rewritten;
            }
        }
        byte
    }

    fn begin_field(&mut self, byte: u8) {
        let (of, prefix) = match byte.leading_zeros() {
            0 => (Part::Indexed, 7),
            1 => (Part::Literal, 6),
            2 => (Part::Indexed, 5),
            _ => (Part::Literal, 4),
        };
        self.begin_number(of, byte, prefix);
    }

    fn begin_number(&mut self, of: Part, byte: u8, prefix: u32) {
        let most = (1 << prefix) - 1;
        let value = usize::from(byte) & most;
        if value < most {
            self.end_number(of, value);
        } else {
            self.state = State::Number {
                of,
                value,
                shift: 0,
            };
        }
    }

    fn end_number(&mut self, of: Part, value: usize) {
        match (of, value) {
            (Part::Indexed, _) => self.state = State::Field,
            (Part::Literal, 0) => self.state = State::Length(Part::Name),
            (Part::Literal, index) => {
                self.is_authority = index == AUTHORITY_INDEX;
                self.state = State::Length(Part::Value);
            }
            (Part::Name | Part::Value, left) => {
                self.matched = Some(0);
                self.huffman = Huffman::default();
                self.state = State::Text { of, left };
                if left == 0 {
                    self.end_text(of);
                }
            }
        }
    }

    fn text(&mut self, of: Part, byte: u8) -> u8 {
        match of {
            Part::Value if self.is_authority && self.is_huffman => self.huffman.rewritten(byte),
            Part::Value if self.is_authority => plain(byte),
            Part::Name => {
                let next = self.matched.and_then(|matched| self.name().get(matched));
                let is_next = next == Some(&byte);
                self.matched = self.matched.filter(|_| is_next).map(|matched| matched + 1);
                byte
            }
            _ => byte,
        }
    }

    fn end_text(&mut self, of: Part) {
        self.state = match of {
            Part::Name => {
                self.is_authority = self.matched == Some(self.name().len());
                State::Length(Part::Value)
            }
            _ => State::Field,
        };
    }

    const fn name(&self) -> &'static [u8] {
        if self.is_huffman {
            AUTHORITY_HUFFMAN
        } else {
            AUTHORITY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(block: &[u8]) -> Vec<u8> {
        let mut fields = Fields::default();
        block.iter().map(|byte| fields.rewritten(*byte)).collect()
    }

    /// The examples of RFC 7541 appendix C.3 and C.4: www.example.com, plain and in Huffman code.
    #[test]
    fn the_examples_of_the_rfc_pass_unchanged() {
        for block in [
            b"\x82\x86\x84\x41\x0fwww.example.com".as_slice(),
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
        ] {
            assert_eq!(rewritten(block), block);
        }
    }

    /// A name in Huffman code, then a path in it: `/run/dpvsd.sock`.
    #[test]
    fn names_and_values_may_be_in_huffman_code() {
        let path = b"\x62\xcb\x6a\x62\x4a\xfb\xa2\x45\xd0\x72\x75";
        let path = &path[..];
        let name = [&[0x40, 0x88], AUTHORITY_HUFFMAN].concat();
        let block = [&name, &[0x80 | path.len() as u8][..], path].concat();
        assert_ne!(rewritten(&block), block);
        let other = [&[0x44, 0x80 | path.len() as u8][..], path].concat();
        assert_eq!(rewritten(&other), other);
    }

    /// 300 bytes: the length takes three bytes.
    #[test]
    fn long_values_are_measured_right() {
        let path = "%2Frun".repeat(50);
        let block = |path: &str| {
            let tail = b"\x40\x01x\x01%";
            [b"\x41\x7f\xad\x01", path.as_bytes(), tail.as_slice()].concat()
        };
        let expected = path.replace('%', "-");
        assert_eq!(rewritten(&block(&path)), block(&expected));
    }
}
