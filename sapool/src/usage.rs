//! The counters of a pool. Its worker alone writes them, and control reads them in place.

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

    /// How often no port was free. `dpip addr show` calls it `sa_miss`.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    // There is one writer, so a plain load and store do, and no locked instruction is needed.
    pub(crate) fn count_taken(&self) {
        self.used.store(self.used().wrapping_add(1), Relaxed);
    }

    pub(crate) fn count_given_back(&self) {
        self.used.store(self.used().wrapping_sub(1), Relaxed);
    }

    /// Swaps the numbers of ports in use with `old`. The misses stay.
    pub(crate) fn take_over(&self, old: &Self) {
        let used = self.used();
        self.used.store(old.used(), Relaxed);
        old.used.store(used, Relaxed);
    }

    pub(crate) fn count_miss(&self) {
        self.missed.store(self.missed().wrapping_add(1), Relaxed);
    }
}
