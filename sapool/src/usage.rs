//! What a pool counts: written by its worker alone, read by control where it lies.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one worker's pool of one local address.
#[derive(Debug, Default)]
pub struct PoolUsage {
    used: AtomicU64,
    missed: AtomicU64,
}

impl PoolUsage {
    /// Ports in use now.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// How often no port was free: `sa_miss` of `dpip addr show`.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    // One writer: a plain load and store, never a locked instruction.
    pub(crate) fn count_taken(&self) {
        self.used.store(self.used().wrapping_add(1), Relaxed);
    }

    pub(crate) fn count_given_back(&self) {
        self.used.store(self.used().wrapping_sub(1), Relaxed);
    }

    /// Counts from now on what `old` counted.
    pub(crate) fn take_over(&self, old: &Self) {
        let used = self.used();
        self.used.store(old.used(), Relaxed);
        old.used.store(used, Relaxed);
    }

    pub(crate) fn count_miss(&self) {
        self.missed.store(self.missed().wrapping_add(1), Relaxed);
    }
}
