//! Tables that one worker writes and all workers read where they lie: plain loads and stores, no lock.
//!
//! A slot's key is stored last and read first. A reader looks at the key again after the rest, since
//! the slot may have been taken for another key in between. It does not notice a key that went and
//! came back between both looks: then it may have read a part of the old entry and a part of the new.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::atomics::{AtomicU32, AtomicU64, Zeroed, fence, zeroed};
use crate::time::Tick;

/// Slots that a key may be in.
const WAYS: usize = 8;

/// One entry: zero when it is free.
pub(crate) trait Entry: Zeroed {
    /// By which it is found; 0 if it is free
    fn key(&self) -> &AtomicU64;
    /// A [`Tick`]: of those that a new one may take the place of, the one with the least time left goes
    fn expires(&self) -> &AtomicU32;
}

/// A table of one worker.
#[derive(Debug)]
pub(super) struct SharedTable<S> {
    slots: Box<[S]>,
    /// How many are in use: mostly none
    used: AtomicU32,
}

impl<S: Entry> SharedTable<S> {
    /// Room for so many, rounded up to a power of two. Memory is touched as it is used.
    pub(crate) fn new(capacity: usize) -> Self {
        let count = capacity.max(WAYS).next_power_of_two();
        Self {
            slots: zeroed(count),
            used: AtomicU32::new(0),
        }
    }

    /// How many entries there is room for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The slot with this key, which is not 0. Called by any worker.
    pub(crate) fn find(&self, key: u64) -> Option<&S> {
        let mut slots = self.bucket(key).iter();
        slots.find(|slot| slot.key().load(Acquire) == key)
    }

    /// What `read` makes of the slot with this key. Called by any worker.
    pub(crate) fn read<T>(&self, key: u64, read: impl FnOnce(&S) -> T) -> Option<T> {
        let slot = self.find(key)?;
        let value = read(slot);
        // Pairs with the one in `clear`: who has read what came after sees that the key is another.
        fence(Acquire);
        (slot.key().load(Relaxed) == key).then_some(value)
    }

    /// A slot for a key that has none: a free one, or that of who has least time left.
    pub(super) fn place_for(&self, key: u64, now: Tick) -> &S {
        let time_left = |slot: &&S| match slot.key().load(Relaxed) {
            0 => 0,
            _ => 1 + Tick(slot.expires().load(Relaxed)).since(now),
        };
        let bucket = self.bucket(key);
        bucket.iter().min_by_key(time_left).unwrap_or(&bucket[0])
    }

    /// What is in a slot, free till now, is complete.
    pub(super) fn publish(&self, slot: &S, key: u64) {
        slot.key().store(key, Release);
        self.count(1);
    }

    /// Makes a slot free; whether it was in use. What is in it stays to be read by its writer.
    pub(crate) fn clear(&self, slot: &S) -> bool {
        let was_used = slot.key().load(Relaxed) != 0;
        if was_used {
            slot.key().store(0, Relaxed);
            // Before whatever is written into it next
            fence(Release);
            self.count(u32::MAX);
        }
        was_used
    }

    /// The next slots in use after `cursor`, which moves on: looks at no more than `reach`, and at none if none is used.
    pub(crate) fn walk<'a>(
        &'a self,
        cursor: &'a mut usize,
        reach: usize,
    ) -> impl Iterator<Item = &'a S> {
        let reach = match self.used.load(Relaxed) {
            0 => 0,
            _ => reach.min(self.slots.len()),
        };
        (0..reach).filter_map(move |_| {
            *cursor = (*cursor + 1) % self.slots.len();
            let slot = &self.slots[*cursor];
            (slot.key().load(Relaxed) != 0).then_some(slot)
        })
    }

    /// Adds to the number of those in use, by the worker that owns them.
    fn count(&self, change: u32) {
        let used = self.used.load(Relaxed).wrapping_add(change);
        self.used.store(used, Relaxed);
    }

    fn bucket(&self, key: u64) -> &[S] {
        let at = (key >> 32) as usize % (self.slots.len() / WAYS) * WAYS;
        &self.slots[at..at + WAYS]
    }
}
