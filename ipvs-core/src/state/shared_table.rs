//! Tables that one worker writes and all workers read in place, with plain loads and stores and no
//! lock.
//!
//! The writer stores the key of a slot last, and a reader loads it first. After reading the rest,
//! the reader looks whether the slot was freed in between: each time, its generation changes. The
//! key alone would not tell, since the same key may have been removed and stored again.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::atomics::{AtomicU32, AtomicU64, Zeroed, fence, zeroed};
use crate::time::Tick;

/// Slots in a bucket, which are those where a key can be.
const WAYS: usize = 8;

/// An entry of a table. All bytes are zero when it is free.
pub(crate) trait Entry: Zeroed {
    /// The key; 0 if the entry is free.
    fn key(&self) -> &AtomicU64;
    /// The [`Tick`] when the entry expires. When a bucket is full, the entry with the least time
    /// left is replaced.
    fn expires(&self) -> &AtomicU32;
    /// Counts how often the entry was freed. Only the table changes it.
    fn generation(&self) -> &AtomicU32;
}

/// The table of one worker.
#[derive(Debug)]
pub(super) struct SharedTable<S> {
    slots: Box<[S]>,
    /// Number of slots in use. It is 0 for most workers.
    used: AtomicU32,
}

impl<S: Entry> SharedTable<S> {
    /// Room for `capacity` entries, rounded up to a power of two. Memory is touched only when it is
    /// used.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: zeroed(Self::slots_for(capacity)),
            used: AtomicU32::new(0),
        }
    }

    fn slots_for(capacity: usize) -> usize {
        capacity.max(WAYS).next_power_of_two()
    }

    /// Bytes of memory of a table with room for so many entries.
    pub(super) fn bytes_for(capacity: usize) -> usize {
        Self::slots_for(capacity) * size_of::<S>()
    }

    /// Number of slots.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The slot with this key, which must not be 0. Called by any worker.
    pub(crate) fn find(&self, key: u64) -> Option<&S> {
        let mut slots = self.bucket(key).iter();
        slots.find(|slot| slot.key().load(Acquire) == key)
    }

    /// What `read` returns for the slot with this key. `None` if the slot was freed in the
    /// meantime. Called by any worker.
    pub(crate) fn read<T>(&self, key: u64, read: impl FnOnce(&S) -> T) -> Option<T> {
        let slot = self.find(key)?;
        // Pairs with the store in `clear`: with the new generation, the old key is not seen.
        let generation = slot.generation().load(Acquire);
        if slot.key().load(Acquire) != key {
            return None;
        }
        let value = read(slot);
        // Pairs with the fence in `clear`: a reader that has seen data of a later entry also sees
        // that the generation has changed.
        fence(Acquire);
        (slot.generation().load(Relaxed) == generation).then_some(value)
    }

    /// A slot for a new key: a free one, or the one with the least time left.
    pub(super) fn place_for(&self, key: u64, now: Tick) -> &S {
        let time_left = |slot: &&S| match slot.key().load(Relaxed) {
            0 => 0,
            _ => 1 + Tick(slot.expires().load(Relaxed)).since(now).0,
        };
        let bucket = self.bucket(key);
        bucket.iter().min_by_key(time_left).unwrap_or(&bucket[0])
    }

    /// Makes a slot visible to readers. All of it but the key must have been written.
    pub(super) fn publish(&self, slot: &S, key: u64) {
        slot.key().store(key, Release);
        self.count(1);
    }

    /// Frees a slot. Returns whether it was in use. The data stay, so the writer can still read
    /// them.
    pub(crate) fn clear(&self, slot: &S) -> bool {
        let was_used = slot.key().load(Relaxed) != 0;
        if was_used {
            slot.key().store(0, Relaxed);
            let generation = slot.generation().load(Relaxed).wrapping_add(1);
            slot.generation().store(generation, Release);
            // Both must be stored before the next entry is written into the slot.
            fence(Release);
            self.count(u32::MAX);
        }
        was_used
    }

    /// The slots in use among the next `reach` slots after `cursor`. Moves `cursor` on. Looks at
    /// none if the table is empty.
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

    /// The slots in use among the next `reach` slots from `from` on, and where to go on; `None` at
    /// the end.
    pub(crate) fn scan(
        &self,
        from: usize,
        reach: usize,
    ) -> (impl Iterator<Item = &S>, Option<usize>) {
        let len = match self.used.load(Relaxed) {
            0 => 0,
            _ => self.slots.len(),
        };
        let end = from.saturating_add(reach).min(len);
        let slots = self.slots[from.min(end)..end].iter();
        let in_use = slots.filter(|slot| slot.key().load(Relaxed) != 0);
        (in_use, (end < len).then_some(end))
    }

    /// Adds to the number of slots in use. Called by the owner only.
    fn count(&self, change: u32) {
        let used = self.used.load(Relaxed).wrapping_add(change);
        self.used.store(used, Relaxed);
    }

    fn bucket(&self, key: u64) -> &[S] {
        let at = (key >> 32) as usize % (self.slots.len() / WAYS) * WAYS;
        &self.slots[at..at + WAYS]
    }
}
