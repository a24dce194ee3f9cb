//! Workers, by number.

/// A worker, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// Its place in an array with an entry per worker.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The worker after it; after the last of `workers` comes the first. `workers` is not 0.
    #[inline]
    pub const fn next(self, workers: u16) -> Self {
        Self((self.0 + 1) % workers)
    }
}
