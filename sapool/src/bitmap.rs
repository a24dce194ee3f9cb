//! Sets of free indices: in each, the next free one after the last taken is found in constant time.

const BITS: u32 = u64::BITS;

/// Sets of up to 2^18 indices in three levels of 64-bit words: a bit above says that the word below has one.
///
/// The same word of all sets is in one place: sets that are used alike move on together, and share the lines and pages
/// that they are at.
#[derive(Debug)]
pub(crate) struct Bitmaps<const SETS: usize> {
    leaves: Box<[[u64; SETS]]>,
    middle: Box<[[u64; SETS]]>,
    roots: [u64; SETS],
    /// Where the search in each starts: just after the index taken last, so that reuse comes late.
    next: [u32; SETS],
    len: u32,
}

impl<const SETS: usize> Bitmaps<SETS> {
    /// In every set, all of `0..len` are free.
    pub(crate) fn full(len: u32) -> Self {
        debug_assert!(len <= BITS * BITS * BITS);
        let leaves = words_of_ones(len);
        let middle = words_of_ones(leaves.len() as u32);
        let roots = words_of_ones(middle.len() as u32);
        Self {
            leaves,
            middle,
            roots: roots.first().copied().unwrap_or([0; SETS]),
            next: [0; SETS],
            len,
        }
    }

    /// Bytes of memory of sets of so many indices.
    pub(crate) const fn bytes_for(len: u32) -> usize {
        let leaves = len.div_ceil(BITS);
        let middle = leaves.div_ceil(BITS);
        size_of::<Self>() + (leaves + middle) as usize * size_of::<[u64; SETS]>()
    }

    /// Takes the next free index of a set, going around at the end.
    #[inline]
    pub(crate) fn take(&mut self, set: usize) -> Option<u32> {
        let from = self.next[set];
        let index = self
            .free_from(set, from)
            .or_else(|| self.free_from(set, 0))?;
        self.clear(set, index);
        self.next[set] = if index + 1 < self.len { index + 1 } else { 0 };
        Some(index)
    }

    /// Makes an index of a set free; `false` if it was already, or is out of range.
    #[inline]
    pub(crate) fn put(&mut self, set: usize, index: u32) -> bool {
        if index >= self.len || self.leaves[word(index)][set] & bit(index) != 0 {
            return false;
        }
        let leaf = index / BITS;
        self.leaves[word(index)][set] |= bit(index);
        self.middle[word(leaf)][set] |= bit(leaf);
        self.roots[set] |= bit(leaf / BITS);
        true
    }

    /// Whether an index, which is in range, is free in a set.
    pub(crate) fn is_free(&self, set: usize, index: u32) -> bool {
        self.leaves[word(index)][set] & bit(index) != 0
    }

    /// In how many sets an index, which is in range, is not free.
    pub(crate) fn times_taken(&self, index: u32) -> usize {
        let sets = self.leaves[word(index)].iter();
        sets.filter(|leaf| *leaf & bit(index) == 0).count()
    }

    /// Takes this index, which is in range and free in the set.
    pub(crate) fn clear(&mut self, set: usize, index: u32) {
        let leaf = index / BITS;
        let word_of_index = &mut self.leaves[word(index)][set];
        *word_of_index &= !bit(index);
        if *word_of_index == 0 {
            let word_of_leaf = &mut self.middle[word(leaf)][set];
            *word_of_leaf &= !bit(leaf);
            if *word_of_leaf == 0 {
                self.roots[set] &= !bit(leaf / BITS);
            }
        }
    }

    /// The lowest free index of a set that is not below `from`.
    fn free_from(&self, set: usize, from: u32) -> Option<u32> {
        let leaf = from / BITS;
        let rest = self.leaves.get(leaf as usize)?[set] & not_below(from % BITS);
        if let Some(found) = lowest(rest) {
            return Some(leaf * BITS + found);
        }
        let leaf = self.leaf_after(set, leaf)?;
        lowest(self.leaves[leaf as usize][set]).map(|found| leaf * BITS + found)
    }

    /// The first word of a set's leaves after `leaf` that is not empty.
    fn leaf_after(&self, set: usize, leaf: u32) -> Option<u32> {
        let middle = leaf / BITS;
        if let Some(found) = lowest(self.middle[middle as usize][set] & above(leaf % BITS)) {
            return Some(middle * BITS + found);
        }
        let middle = lowest(self.roots[set] & above(middle % BITS))?;
        lowest(self.middle[middle as usize][set]).map(|found| middle * BITS + found)
    }
}

fn words_of_ones<const SETS: usize>(len: u32) -> Box<[[u64; SETS]]> {
    let mut words = vec![[u64::MAX; SETS]; len.div_ceil(BITS) as usize].into_boxed_slice();
    if let (Some(last), rest @ 1..) = (words.last_mut(), len % BITS) {
        *last = [(1 << rest) - 1; SETS];
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
