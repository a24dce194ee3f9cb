//! Dests whose conns a worker is to end.

use crate::config::DestId;

/// Dests whose conns are to end. One walk through the conn table, from `cursor`, ends the conns of
/// all dests in `walking`. Dests that control names during the walk are in `waiting` for the next
/// walk.
#[derive(Debug, Default)]
pub(crate) struct DestRemovals {
    pub(crate) walking: Vec<DestRemoval>,
    pub(crate) waiting: Vec<DestRemoval>,
    pub(crate) cursor: u32,
}

/// A dest whose conns are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DestRemoval {
    pub(crate) dest: DestId,
    /// Whether the dest was removed. If so, control waits until its last conn has ended.
    pub(crate) is_removed: bool,
}

impl DestRemovals {
    pub(crate) fn add(&mut self, closed: DestRemoval) {
        self.waiting.push(closed);
    }
}
