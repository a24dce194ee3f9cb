//! A set of free indices: the next free one after the last taken is found in constant time.

const BITS: u32 = u64::BITS;

/// Up to 2^18 indices in three levels of 64-bit words: a bit above says that the word below has one.
#[derive(Debug)]
pub(crate) struct Bitmap {
    leaves: Box<[u64]>,
    middle: Box<[u64]>,
    root: u64,
    /// Where the search starts: just after the index taken last, so that reuse comes late.
    next: u32,
    len: u32,
}

impl Bitmap {
    /// All of `0..len` free.
    pub(crate) fn full(len: u32) -> Self {
        debug_assert!(len <= BITS * BITS * BITS);
        let leaves = words_of_ones(len);
        let middle = words_of_ones(leaves.len() as u32);
        let root = words_of_ones(middle.len() as u32)
            .first()
            .copied()
            .unwrap_or(0);
        Self {
            leaves,
            middle,
            root,
            next: 0,
            len,
        }
    }

    /// Bytes of memory of a set of so many indices.
    pub(crate) const fn bytes_for(len: u32) -> usize {
        let leaves = len.div_ceil(BITS);
        let middle = leaves.div_ceil(BITS);
        size_of::<Self>() + (leaves + middle) as usize * size_of::<u64>()
    }

    /// Takes the next free index, going around at the end.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<u32> {
        let index = self.free_from(self.next).or_else(|| self.free_from(0))?;
        self.clear(index);
        self.next = if index + 1 < self.len { index + 1 } else { 0 };
        Some(index)
    }

    /// Makes an index free; `false` if it was already, or is out of range.
    #[inline]
    pub(crate) fn put(&mut self, index: u32) -> bool {
        if index >= self.len || self.leaves[word(index)] & bit(index) != 0 {
            return false;
        }
        let leaf = index / BITS;
        self.leaves[word(index)] |= bit(index);
        self.middle[word(leaf)] |= bit(leaf);
        self.root |= bit(leaf / BITS);
        true
    }

    /// Whether an index, which is in range, is free.
    pub(crate) fn is_free(&self, index: u32) -> bool {
        self.leaves[word(index)] & bit(index) != 0
    }

    /// Takes this index, which is in range and free.
    pub(crate) fn clear(&mut self, index: u32) {
        let leaf = index / BITS;
        self.leaves[word(index)] &= !bit(index);
        if self.leaves[word(index)] == 0 {
            self.middle[word(leaf)] &= !bit(leaf);
            if self.middle[word(leaf)] == 0 {
                self.root &= !bit(leaf / BITS);
            }
        }
    }

    /// The lowest free index that is not below `from`.
    fn free_from(&self, from: u32) -> Option<u32> {
        let leaf = from / BITS;
        if let Some(found) = lowest(self.leaves.get(leaf as usize)? & not_below(from % BITS)) {
            return Some(leaf * BITS + found);
        }
        let leaf = self.leaf_after(leaf)?;
        lowest(self.leaves[leaf as usize]).map(|found| leaf * BITS + found)
    }

    /// The first word of `leaves` after `leaf` that is not empty.
    fn leaf_after(&self, leaf: u32) -> Option<u32> {
        let middle = leaf / BITS;
        if let Some(found) = lowest(self.middle[middle as usize] & above(leaf % BITS)) {
            return Some(middle * BITS + found);
        }
        let middle = lowest(self.root & above(middle % BITS))?;
        lowest(self.middle[middle as usize]).map(|found| middle * BITS + found)
    }
}

fn words_of_ones(len: u32) -> Box<[u64]> {
    let mut words = vec![u64::MAX; len.div_ceil(BITS) as usize].into_boxed_slice();
    if let (Some(last), rest @ 1..) = (words.last_mut(), len % BITS) {
        *last = (1 << rest) - 1;
    }
    words
}

const fn word(index: u32) -> usize {
    (index / BITS) as usize
}

const fn bit(index: u32) -> u64 {
    1 << (index % BITS)
}

/// Bits `at..64`.
const fn not_below(at: u32) -> u64 {
    u64::MAX << at
}

/// Bits `at + 1..64`.
const fn above(at: u32) -> u64 {
    if at + 1 < BITS {
        u64::MAX << (at + 1)
    } else {
        0
    }
}

const fn lowest(word: u64) -> Option<u32> {
    if word == 0 {
        None
    } else {
        Some(word.trailing_zeros())
    }
}
