//! Dests whose conns have to end.

use crate::config::DestId;

/// Dests that are being closed: those of this walk, and those that came after it began.
#[derive(Debug, Default)]
pub(crate) struct DestRemovals {
    pub(crate) walking: Vec<DestRemoval>,
    pub(crate) waiting: Vec<DestRemoval>,
    pub(crate) cursor: u32,
}

/// A dest whose conns end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DestRemoval {
    pub(crate) dest: DestId,
    /// It was removed: control waits for the last conn's end.
    pub(crate) is_removed: bool,
}

impl DestRemovals {
    pub(crate) fn add(&mut self, closed: DestRemoval) {
        self.waiting.push(closed);
    }
}
