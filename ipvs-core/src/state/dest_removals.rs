//! Dests whose conns a worker is to end.

use crate::config::DestId;

/// Dests whose conns are to end. One walk through the conn table, from `cursor`, ends the conns of
/// all dests in `walking`. Dests that control names during the walk are in `waiting` for the next
/// walk.
#[derive(Debug, Default)]
pub(crate) struct DestRemovals {
    pub(crate) walking: Vec<DestId>,
    pub(crate) waiting: Vec<DestId>,
    pub(crate) cursor: u32,
}

impl DestRemovals {
    pub(crate) fn add(&mut self, dest: DestId) {
        self.waiting.push(dest);
    }
}
