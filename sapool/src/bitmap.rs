//! Bitmaps of free indices, which find the next free index after the last one taken in constant
//! time.

const BITS: u32 = u64::BITS;

/// Sets of up to 2^18 indices, each in three levels of 64-bit words. A bit of an upper level says
/// whether its word in the level below has any bit set.
///
/// The same word of all sets lies together. Sets that are used alike advance together, so they
/// share cache lines and pages.
// The order of the fields matters: from the beginning of a cache line, `ahead` is in two lines and
// `at` in one. `lines` relies on that.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Bitmaps<const SETS: usize> {
    /// For each set, the free indices of the current leaf, as they were when the search reached it.
    /// Nearly all takes touch nothing else. Indices given back since then are in the leaf itself
    /// and wait for the next time around, so that they are reused late.
    ahead: [u64; SETS],
    /// For each set, the number of the current leaf.
    at: [u16; SETS],
    leaves: Box<[[u64; SETS]]>,
    middle: Box<[[u64; SETS]]>,
    roots: [u64; SETS],
    len: u32,
}

impl<const SETS: usize> Bitmaps<SETS> {
    /// Sets in which all of `first..len` are free.
    pub(crate) fn full(first: u32, len: u32) -> Self {
        debug_assert!(first < len && len <= BITS * BITS * BITS);
        let leaves = words_of_ones(len);
        let middle = words_of_ones(leaves.len() as u32);
        let roots = words_of_ones(middle.len() as u32);
        let mut all = Self {
            ahead: [0; SETS],
            // The last leaf, so that the search begins at the first one.
            at: [leaves.len() as u16 - 1; SETS],
            leaves,
            middle,
            roots: roots.first().copied().unwrap_or([0; SETS]),
            len,
        };
        for set in 0..SETS {
            (0..first).for_each(|index| all.clear(set, index));
        }
        all
    }

    /// Bytes of memory of sets of `len` indices.
    pub(crate) const fn bytes_for(len: u32) -> usize {
        let leaves = len.div_ceil(BITS);
        let middle = leaves.div_ceil(BITS);
        size_of::<Self>() + (leaves + middle) as usize * size_of::<[u64; SETS]>()
    }

    /// Takes the next free index of a set, going around at the end.
    #[inline]
    pub(crate) fn take(&mut self, set: usize) -> Option<u32> {
        if self.ahead[set] == 0 {
            self.move_on(set)?;
        }
        let ahead = &mut self.ahead[set];
        let found = ahead.trailing_zeros();
        // Clears the lowest bit, which is the one that was found.
        *ahead &= ahead.wrapping_sub(1);
        Some(u32::from(self.at[set]) * BITS + found)
    }

    /// Moves on to the next leaf that has a free index, going around at the end. `None` if all are
    /// taken.
    #[cold]
    fn move_on(&mut self, set: usize) -> Option<()> {
        let leaf = self.leaf_after(set, u32::from(self.at[set]));
        let leaf = leaf.or_else(|| self.first_leaf(set))?;
        self.ahead[set] = core::mem::take(&mut self.leaves[leaf as usize][set]);
        self.at[set] = leaf as u16;
        self.note_empty(set, leaf);
        Some(())
    }

    /// A reference into each cache line that nearly every [`Self::take`] touches.
    pub(crate) fn lines(&self) -> ([&u64; 2], &u16) {
        ([&self.ahead[0], &self.ahead[SETS / 2]], &self.at[0])
    }

    /// Makes an index of a set free. `false` if it was free already, or is out of range.
    #[inline]
    pub(crate) fn put(&mut self, set: usize, index: u32) -> bool {
        if index >= self.len || self.is_free(set, index) {
            return false;
        }
        let leaf = index / BITS;
        self.leaves[word(index)][set] |= bit(index);
        self.middle[word(leaf)][set] |= bit(leaf);
        self.roots[set] |= bit(leaf / BITS);
        true
    }

    /// Whether an index, which is in range, is free in a set.
    #[inline]
    pub(crate) fn is_free(&self, set: usize, index: u32) -> bool {
        let is_at = u32::from(self.at[set]) == index / BITS;
        is_at && self.ahead[set] & bit(index) != 0
            || self.leaves[word(index)][set] & bit(index) != 0
    }

    /// Takes this index, which is in range and free in the set.
    pub(crate) fn clear(&mut self, set: usize, index: u32) {
        let leaf = index / BITS;
        if u32::from(self.at[set]) == leaf {
            self.ahead[set] &= !bit(index);
        }
        let word_of_index = &mut self.leaves[word(index)][set];
        *word_of_index &= !bit(index);
        if *word_of_index == 0 {
            self.note_empty(set, leaf);
        }
    }

    /// A set's leaf has become empty.
    fn note_empty(&mut self, set: usize, leaf: u32) {
        let word_of_leaf = &mut self.middle[word(leaf)][set];
        *word_of_leaf &= !bit(leaf);
        if *word_of_leaf == 0 {
            self.roots[set] &= !bit(leaf / BITS);
        }
    }

    /// The first word of a set's leaves that is not empty.
    fn first_leaf(&self, set: usize) -> Option<u32> {
        let middle = lowest(self.roots[set])?;
        lowest(self.middle[middle as usize][set]).map(|found| middle * BITS + found)
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
