//! Which dests are overloaded, as all workers and control see it.
//!
//! A dest that has reached its upper threshold takes no conns until it is below the lower one,
//! whichever worker sees that. Each worker writes marks of its own and reads those of all, so a
//! mark needs no lock.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::Arc;

use zerocopy::FromZeros;

use crate::config::DestId;
use crate::time::Tick;

/// When a worker last saw that a dest came to its upper threshold, and that it fell below the lower
/// one: ticks, 0 for never.
#[derive(Debug, Default, FromZeros)]
#[repr(C)]
struct Mark {
    reached: AtomicU32,
    left: AtomicU32,
}

/// The marks of one worker, indexed by [`DestId`].
#[derive(Debug)]
pub struct OverloadMarks(Box<[Mark]>);

/// The thresholds of a dest: [`crate::Dest::upper_threshold`] and its lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thresholds {
    /// No new conns from this number on; 0 for no limit.
    pub upper: u32,
    /// New conns again below this number; 0 for three quarters of the upper one.
    pub lower: u32,
}

impl Thresholds {
    /// Whether a dest with so many conns is overloaded. `was` says whether it was before.
    pub(crate) fn forbid(self, conns: u64, was: bool) -> bool {
        let upper = u64::from(self.upper);
        let is_below = match self.lower {
            0 => conns * 4 < upper * 3,
            lower => conns < u64::from(lower),
        };
        upper != 0 && (conns >= upper || was && !is_below)
    }
}

impl OverloadMarks {
    /// No dest is overloaded. Memory is touched as it is used.
    pub(crate) fn new(max_dests: usize) -> Self {
        let marks = <[Mark]>::new_box_zeroed_with_elems(max_dests)
            .expect("less than the dest counters, whose size was checked with the config");
        Self(marks)
    }

    /// Bytes of memory for so many dests.
    pub(crate) const fn bytes_for(max_dests: usize) -> usize {
        max_dests * size_of::<Mark>()
    }

    /// Marks a dest, by the worker that owns the marks. The mark is later than those of `all`, even
    /// within a tick.
    pub(super) fn set<'a>(
        &self,
        all: impl Iterator<Item = &'a Arc<Self>>,
        dest: DestId,
        is_overloaded: bool,
        now: Tick,
    ) {
        let Some(mark) = self.0.get(dest.0 as usize) else {
            return;
        };
        let (reached, left) = latest(all, dest);
        let (which, before) = if is_overloaded {
            (&mark.reached, left)
        } else {
            (&mark.left, reached)
        };
        let is_later = before == 0 || now.0 != before && now.reached(Tick(before));
        let at = if is_later {
            now.0
        } else {
            before.wrapping_add(1)
        };
        which.store(at.max(1), Relaxed);
    }

    /// Whether a dest with so many conns over all workers is overloaded. `all` are the marks of all
    /// workers. Called by anyone.
    pub fn is_overloaded<'a>(
        all: impl Iterator<Item = &'a Arc<Self>>,
        dest: DestId,
        thresholds: Thresholds,
        conns: u64,
    ) -> bool {
        thresholds.forbid(conns, Self::was_overloaded(all, dest))
    }

    /// What the latest mark of all workers says.
    pub(super) fn was_overloaded<'a>(
        all: impl Iterator<Item = &'a Arc<Self>>,
        dest: DestId,
    ) -> bool {
        let (reached, left) = latest(all, dest);
        reached != 0 && (left == 0 || reached != left && Tick(reached).reached(Tick(left)))
    }
}

/// The latest marks of all workers: when the dest reached its threshold, and when it was below
/// again.
fn latest<'a>(all: impl Iterator<Item = &'a Arc<OverloadMarks>>, dest: DestId) -> (u32, u32) {
    let later = |a: u32, b: u32| match (a, b) {
        (0, one) | (one, 0) => one,
        _ if Tick(a).reached(Tick(b)) => a,
        _ => b,
    };
    let marks = all.filter_map(|marks| marks.0.get(dest.0 as usize));
    marks.fold((0, 0), |(reached, left), mark| {
        (
            later(reached, mark.reached.load(Relaxed)),
            later(left, mark.left.load(Relaxed)),
        )
    })
}
