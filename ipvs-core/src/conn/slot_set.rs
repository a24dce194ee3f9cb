//! A set of the wheel's slots that finds the next one in constant time: two levels of bits.

/// Slots of the wheel.
pub(super) const SLOTS: u32 = 8192;

const WORDS: usize = (SLOTS / u64::BITS) as usize;
/// A bit for each word that is not 0.
const _: () = assert!(WORDS == u128::BITS as usize);

/// A set of slots.
#[derive(Debug, Clone)]
pub(super) struct SlotSet {
    words: [u64; WORDS],
    summary: u128,
}

impl SlotSet {
    pub(super) const EMPTY: Self = Self {
        words: [0; WORDS],
        summary: 0,
    };

    const fn split(slot: u32) -> (usize, u32) {
        ((slot / u64::BITS) as usize % WORDS, slot % u64::BITS)
    }

    pub(super) const fn insert(&mut self, slot: u32) {
        let (word, bit) = Self::split(slot);
        self.words[word] |= 1 << bit;
        self.summary |= 1 << word;
    }

    pub(super) const fn remove(&mut self, slot: u32) {
        let (word, bit) = Self::split(slot);
        self.words[word] &= !(1 << bit);
        if self.words[word] == 0 {
            self.summary &= !(1 << word);
        }
    }

    /// The first slot of the set from `slot` on, going round the wheel.
    pub(super) fn next_from(&self, slot: u32) -> Option<u32> {
        let (word, bit) = Self::split(slot);
        let of_word = |word: usize, bits: u64| word as u32 * u64::BITS + bits.trailing_zeros();
        let here = self.words[word] & (u64::MAX << bit);
        if here != 0 {
            return Some(of_word(word, here));
        }
        let behind = self.summary & u128::MAX.checked_shl(word as u32 + 1).unwrap_or(0);
        let words = if behind == 0 { self.summary } else { behind };
        // The word of `slot` itself is the last one on the way round.
        let word = (words != 0).then(|| words.trailing_zeros() as usize)?;
        Some(of_word(word, self.words[word]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_sorted_set_would(
            changes in prop::collection::vec((any::<bool>(), 0..SLOTS), 0..50),
            from in 0..SLOTS,
        ) {
            let (mut set, mut model) = (SlotSet::EMPTY, BTreeSet::new());
            for (is_insert, slot) in changes {
                if is_insert {
                    set.insert(slot);
                    model.insert(slot);
                } else {
                    set.remove(slot);
                    model.remove(&slot);
                }
            }
            let expected = model.range(from..).next().or_else(|| model.first());
            prop_assert_eq!(set.next_from(from), expected.copied());
        }
    }
}
