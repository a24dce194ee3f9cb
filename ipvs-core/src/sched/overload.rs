//! Overloaded dests, which have reached their upper threshold and take no new conns.

use std::cell::Cell;
use std::sync::Arc;

use super::Load;
use super::overload_marks::{OverloadMarks, Thresholds};
use crate::config::{Dest, DestId};
use crate::time::Tick;

/// What a worker knows of the thresholds of a dest.
#[derive(Debug, Default)]
struct Known {
    /// The latest tick when the dest was found overloaded; 0 if it takes conns. That is valid for
    /// the rest of the tick, so that a flood of new conns to overloaded dests does not read their
    /// counters each time.
    away_at: Cell<u32>,
    /// The thresholds when it got a conn last. A conn that ends does not know its dest.
    thresholds: Cell<Thresholds>,
}

/// Which dests are overloaded, for one worker.
#[derive(Debug)]
pub(super) struct Overload {
    known: Box<[Known]>,
    own: Arc<OverloadMarks>,
    /// The marks of all workers
    all: Box<[Arc<OverloadMarks>]>,
}

impl Overload {
    pub(super) fn new(
        max_dests: usize,
        own: Arc<OverloadMarks>,
        all: Box<[Arc<OverloadMarks>]>,
    ) -> Self {
        Self {
            known: (0..max_dests).map(|_| Known::default()).collect(),
            own,
            all,
        }
    }

    /// Bytes of memory for so many dests.
    pub(super) const fn bytes_for(max_dests: usize) -> usize {
        max_dests * size_of::<Known>()
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
        let known = self.known.get(dest.id.0 as usize);
        let Some(known) = known.filter(|_| dest.upper_threshold != 0) else {
            return false;
        };
        let seen = now.0.max(1);
        if known.away_at.get() == seen {
            return true;
        }
        let is = self.judge(dest.id, thresholds_of(dest), load_of(dest.id), now);
        known.away_at.set(if is { seen } else { 0 });
        is
    }

    /// A dest with thresholds gets a conn, which `load` does not have yet. IPVS marks the dest at
    /// this moment, too, and not when the next conn asks for it.
    pub(super) fn conn_opens(&self, dest: &Dest, now: Tick, load: Load) {
        let thresholds = thresholds_of(dest);
        if let Some(known) = self.known.get(dest.id.0 as usize) {
            known.thresholds.set(thresholds);
        }
        let inactive = load.inactive + 1;
        self.judge(dest.id, thresholds, Load { inactive, ..load }, now);
    }

    /// Whether a dest had thresholds when this worker made a conn to it last.
    pub(super) fn is_limited(&self, dest: DestId) -> bool {
        let known = self.known.get(dest.0 as usize);
        known.is_some_and(|known| known.thresholds.get().upper != 0)
    }

    /// A dest with thresholds has lost a conn.
    pub(super) fn conn_closed(&self, dest: DestId, now: Tick, load: Load) {
        if let Some(known) = self.known.get(dest.0 as usize) {
            self.judge(dest, known.thresholds.get(), load, now);
        }
    }

    /// Whether a dest is overloaded now. Marks it when that changes.
    fn judge(&self, dest: DestId, thresholds: Thresholds, load: Load, now: Tick) -> bool {
        let was = OverloadMarks::was_overloaded(self.all.iter(), dest);
        let is = thresholds.forbid(load.active + load.inactive, was);
        if is != was {
            self.own.set(self.all.iter(), dest, is, now);
        }
        is
    }
}

const fn thresholds_of(dest: &Dest) -> Thresholds {
    Thresholds {
        upper: dest.upper_threshold,
        lower: dest.lower_threshold,
    }
}
