//! Overloaded dests, which have reached their upper threshold and take no new conns.

use std::cell::Cell;

use super::Load;
use crate::config::{Dest, DestId};
use crate::time::Tick;

/// For each dest whether it was overloaded, and when that was found. The result is valid for the
/// rest of the tick, so that a flood of new conns to overloaded dests does not read their counters
/// each time.
#[derive(Debug)]
pub(super) struct Overload {
    /// 0 if the dest takes conns, else the latest tick when it was found overloaded.
    since: Box<[Cell<u32>]>,
}

impl Overload {
    pub(crate) fn new(max_dests: usize) -> Self {
        Self {
            since: vec![Cell::new(0); max_dests].into(),
        }
    }

    /// Bytes of memory for so many dests.
    pub(super) const fn bytes_for(max_dests: usize) -> usize {
        max_dests * size_of::<Cell<u32>>()
    }

    /// Whether the thresholds of a dest forbid new conns. That begins at the upper threshold, and
    /// ends when the conns are below the lower one; without a lower one, below three quarters of
    /// the upper one, as in IPVS.
    pub(super) fn keeps_away(
        &self,
        dest: &Dest,
        now: Tick,
        load_of: &impl Fn(DestId) -> Load,
    ) -> bool {
        let upper = u64::from(dest.upper_threshold);
        let Some(since) = self.since.get(dest.id.0 as usize).filter(|_| upper != 0) else {
            return false;
        };
        let (was, seen) = (since.get() != 0, now.0.max(1));
        if was && since.get() == seen {
            return true;
        }
        let load = load_of(dest.id);
        let conns = load.active + load.inactive;
        let is_below = match dest.lower_threshold {
            0 => conns * 4 < upper * 3,
            lower => conns < u64::from(lower),
        };
        let is = conns >= upper || (was && !is_below);
        since.set(if is { seen } else { 0 });
        is
    }
}
