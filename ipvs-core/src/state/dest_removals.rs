//! Dests and local addresses whose conns a worker is to end.

use std::net::IpAddr;

use crate::config::DestId;

/// Dests whose conns are to end. One walk through the conn table, from `cursor`, ends the conns of
/// all dests in `walking`. Dests that control names during the walk are in `waiting` for the next
/// walk.
#[derive(Debug, Default)]
pub(crate) struct DestRemovals {
    pub(crate) walking: Vec<DestId>,
    pub(crate) waiting: Vec<DestId>,
    /// Local addresses whose conns are to end with this walk, and with the next one. These are few.
    pub(crate) walking_laddrs: Vec<IpAddr>,
    pub(crate) waiting_laddrs: Vec<IpAddr>,
    pub(crate) cursor: u32,
    /// The conn tables are done, and the templates of `walking` are next. In the state of IPv6
    /// only.
    pub(crate) is_over: bool,
    /// Where the walk through the templates goes on
    pub(crate) template_cursor: usize,
}

impl DestRemovals {
    pub(crate) fn add(&mut self, dest: DestId) {
        self.waiting.push(dest);
    }
}
