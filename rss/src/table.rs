//! The hash of a tuple's bytes by tables, for the packet path.

use crate::key::Key;

/// For each byte of an input of `BYTES` bytes, what each of its values adds to the hash. Only the
/// low bits that choose an entry of the redirection table are kept.
#[derive(Debug)]
pub(crate) struct Table<const BYTES: usize>(Box<[[u16; 256]; BYTES]>);

impl<const BYTES: usize> Table<BYTES> {
    pub(crate) fn new(key: &Key, mask: u16) -> Self {
        let mut table = Box::new([[0; 256]; BYTES]);
        for (at, values) in table.iter_mut().enumerate() {
            for (value, part) in values.iter_mut().enumerate() {
                let bits = (0..8).filter(|bit| value >> (7 - bit) & 1 == 1);
                let windows = bits.map(|bit| key.window(at * 8 + bit) as u16);
                *part = windows.fold(0, |all, window| all ^ window) & mask;
            }
        }
        Self(table)
    }

    /// What these bytes, which begin at the byte `AT` of the input, add to the hash.
    #[inline]
    pub(crate) fn part<const AT: usize, const LEN: usize>(&self, bytes: [u8; LEN]) -> u16 {
        const { assert!(AT + LEN <= BYTES) };
        let mut part = 0;
        for (at, byte) in bytes.into_iter().enumerate() {
            part ^= self.0[AT + at][usize::from(byte)];
        }
        part
    }
}
