//! The one clock of the packet path: the time stamp counter, read once per burst.

use ipvs_core::Now;

/// Turns the counter into nanoseconds, by a multiplication instead of a division.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The counter when the clock started.
    start: u64,
    /// Nanoseconds per count, times 2^32.
    scale: u64,
}

impl Clock {
    /// A clock that starts now, for a counter of `hz` counts per second.
    pub(super) fn new(hz: u64) -> Self {
        Self {
            start: dpdk::tsc::rdtsc(),
            scale: ((1_000_000_000u128 << 32) / u128::from(hz.max(1))) as u64,
        }
    }

    /// Nanoseconds since the clock started.
    #[inline]
    pub(super) fn now(&self) -> Now {
        let counts = dpdk::tsc::rdtsc().wrapping_sub(self.start);
        Now {
            ns: ((u128::from(counts) * u128::from(self.scale)) >> 32) as u64,
        }
    }
}
