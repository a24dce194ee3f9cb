//! Free ports in classes by the hash of the reply, for a director with several workers.

use std::sync::Arc;

use crate::layout::Layout;
use crate::port_map::Index;

const BITS: usize = u64::BITS as usize;

/// Entries of the redirection table that are tried one by one before all are searched at once.
const TRIED: usize = 4;

/// For each class of dests, the free ports in the order of [`crate::port_map::PortMap`].
///
/// A port may be taken if the reply to it comes to this worker. Which ports those are differs from
/// dest to dest: the entry of the redirection table is the base of the pair of addresses, XOR the
/// class of the port. So for each entry of this worker there is one class of ports to take from.
#[derive(Debug)]
pub(crate) struct ClassedPorts {
    layout: Arc<Layout>,
    /// The entry of this worker, by its place in `Layout::entries`, whose turn it is.
    turns: Box<[u16]>,
    /// Where the search in a class goes on. A port that was given back is reused late.
    positions: Box<[u16]>,
    /// Whether a class has free ports, a bit for each class.
    has_free: Box<[u64]>,
    free: Box<[u64]>,
}

impl ClassedPorts {
    /// All ports free but those below `first_port`.
    pub(crate) fn new(layout: Arc<Layout>, first_port: u16) -> Self {
        let (sets, classes) = (layout.sets(), layout.classes());
        let mut free = vec![u64::MAX; sets << 16 >> 6].into_boxed_slice();
        for set in 0..sets {
            for port in 0..first_port {
                let bit = set << 16 | usize::from(layout.map.index(port));
                free[bit / BITS] &= !(1 << (bit % BITS));
            }
        }
        let has_free = vec![of_classes(classes); sets * classes.div_ceil(BITS)];
        Self {
            turns: vec![0; sets].into_boxed_slice(),
            positions: vec![0; sets * classes].into_boxed_slice(),
            has_free: has_free.into_boxed_slice(),
            free,
            layout,
        }
    }

    /// Bytes of memory of ports in this layout.
    pub(crate) const fn bytes_for(layout: &Layout) -> usize {
        let (sets, classes) = (layout.sets(), layout.classes());
        let of_classes = classes * size_of::<u16>() + classes.div_ceil(BITS) * size_of::<u64>();
        size_of::<Self>() + sets * (size_of::<u16>() + of_classes + (1 << 16) / 8)
    }

    /// References into the cache lines that nearly every [`Self::take`] touches.
    pub(crate) fn lines(&self) -> ([&u64; 2], &u16) {
        ([&self.has_free[0], &self.free[0]], &self.turns[0])
    }

    /// Takes a free port whose reply comes to this worker. `base` is the entry of the redirection
    /// table without the port.
    pub(crate) fn take(&mut self, set: usize, base: u16) -> Option<u16> {
        let class = self.next_class(set, base)?;
        let index = self.take_of_class(set, class)?;
        Some(self.layout.map.port(index))
    }

    /// The class to take from: that of the entry whose turn it is, or of the next one that has a
    /// free port.
    fn next_class(&mut self, set: usize, base: u16) -> Option<usize> {
        let layout = &*self.layout;
        let entries = &layout.entries[..];
        let turn = usize::from(self.turns[set]);
        for tried in 0..TRIED.min(entries.len()) {
            let at = (turn + tried) % entries.len();
            let class = usize::from(entries[at] ^ base);
            if self.has_free[set * layout.class_words() + class / BITS] >> (class % BITS) & 1 == 1 {
                self.turns[set] = ((at + 1) % entries.len()) as u16;
                return Some(class);
            }
        }
        self.any_class(set, usize::from(base))
    }

    /// Any class of this worker's that has a free port, in as many steps as there are words of
    /// classes.
    #[cold]
    fn any_class(&self, set: usize, base: usize) -> Option<usize> {
        let words = self.layout.class_words();
        let free = &self.has_free[set * words..(set + 1) * words];
        (0..words).find_map(|word| {
            // Entry e is reached by the class e ^ base: the bits of the word change places.
            let owned = self.layout.owned[word ^ (base / BITS)];
            let found = free[word] & exchanged(owned, base % BITS);
            (found != 0).then(|| word * BITS + found.trailing_zeros() as usize)
        })
    }

    /// Takes the next free port of a class, going around at its end.
    fn take_of_class(&mut self, set: usize, class: usize) -> Option<Index> {
        let class_len = self.layout.class_len();
        let at = set * self.layout.classes() + class;
        let first_word = ((set << 16) + class * class_len) / BITS;
        let words = class_len / BITS;
        let position = usize::from(self.positions[at]);
        let start = position / BITS;
        // The first word once more at the end, for its part before the position.
        for step in 0..=words {
            let word = (start + step) % words;
            let mut found = self.free[first_word + word];
            if step == 0 {
                found &= u64::MAX << (position % BITS);
            }
            if found != 0 {
                let bit = found.trailing_zeros() as usize;
                let index = word * BITS + bit;
                self.free[first_word + word] &= !(1 << bit);
                self.positions[at] = ((index + 1) % class_len) as u16;
                self.note_if_empty(set, class);
                return Some((class * class_len + index) as Index);
            }
        }
        None
    }

    /// The class has no free port any more, if so.
    fn note_if_empty(&mut self, set: usize, class: usize) {
        let class_len = self.layout.class_len();
        let first = ((set << 16) + class * class_len) / BITS;
        let words = &self.free[first..first + class_len / BITS];
        if words.iter().all(|word| *word == 0) {
            let word = set * self.layout.class_words() + class / BITS;
            self.has_free[word] &= !(1 << (class % BITS));
        }
    }

    /// Makes a port free. `false` if it was free already.
    pub(crate) fn put(&mut self, set: usize, port: u16) -> bool {
        if self.is_free(set, port) {
            return false;
        }
        let index = usize::from(self.layout.map.index(port));
        let bit = set << 16 | index;
        self.free[bit / BITS] |= 1 << (bit % BITS);
        let class = index / self.layout.class_len();
        let word = set * self.layout.class_words() + class / BITS;
        self.has_free[word] |= 1 << (class % BITS);
        true
    }

    /// Whether a port is free.
    pub(crate) fn is_free(&self, set: usize, port: u16) -> bool {
        let bit = set << 16 | usize::from(self.layout.map.index(port));
        self.free[bit / BITS] >> (bit % BITS) & 1 == 1
    }

    /// Takes this port, which is free.
    pub(crate) fn clear(&mut self, set: usize, port: u16) {
        let index = usize::from(self.layout.map.index(port));
        let bit = set << 16 | index;
        self.free[bit / BITS] &= !(1 << (bit % BITS));
        self.note_if_empty(set, index / self.layout.class_len());
    }

    /// Whether the two have the same layout.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.layout, &other.layout)
    }
}

/// A word whose lowest bits are set, as many as there are classes.
const fn of_classes(classes: usize) -> u64 {
    if classes >= BITS {
        u64::MAX
    } else {
        (1 << classes) - 1
    }
}

/// The word in which bit `i ^ with` is bit `i` of `word`. `with` is below 64.
const fn exchanged(mut word: u64, with: usize) -> u64 {
    /// The bits whose number has bit 0, 1, 2, ... clear.
    const LOWER: [u64; 6] = [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0f0f_0f0f_0f0f_0f0f,
        0x00ff_00ff_00ff_00ff,
        0x0000_ffff_0000_ffff,
        0x0000_0000_ffff_ffff,
    ];
    let mut bit = 0;
    while bit < LOWER.len() {
        if with >> bit & 1 == 1 {
            let shift = 1 << bit;
            word = (word & LOWER[bit]) << shift | word >> shift & LOWER[bit];
        }
        bit += 1;
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exchanged_bits_have_the_number_that_the_exclusive_or_gives(word: u64, with in 0..64_usize) {
            for bit in 0..64 {
                prop_assert_eq!(exchanged(word, with) >> (bit ^ with) & 1, word >> bit & 1);
            }
        }
    }
}
