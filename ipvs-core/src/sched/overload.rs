//! Which dests take no new conns since they reached their upper threshold.

use std::cell::Cell;

use super::Load;
use crate::config::{Dest, DestId};
use crate::time::Tick;

/// Per dest whether it was overloaded, and when that was seen: within the same tick the answer stands,
/// so that a flood at dests that are all overloaded costs no look at their counters.
#[derive(Debug)]
pub(super) struct Overload {
    /// 0: takes conns. Else the tick when it did not.
    since: Box<[Cell<u32>]>,
}

impl Overload {
    pub(crate) fn new(max_dests: usize) -> Self {
        Self {
            since: vec![Cell::new(0); max_dests].into(),
        }
    }

    /// Whether the thresholds keep new conns away: from the upper one on, until the conns are below
    /// the lower one, or below three quarters of the upper if there is none (as IPVS has it).
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
