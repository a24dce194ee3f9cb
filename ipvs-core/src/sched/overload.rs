//! Which dests take no new conns since they reached their upper threshold.

use std::cell::Cell;

use super::Load;
use crate::service::Dest;

/// A bit per dest, for a worker that asks again for every new conn.
#[derive(Debug)]
pub(crate) struct Overload {
    bits: Box<[Cell<u64>]>,
}

impl Overload {
    pub(crate) fn new(max_dests: usize) -> Self {
        Self {
            bits: (0..max_dests.div_ceil(64)).map(|_| Cell::new(0)).collect(),
        }
    }

    /// Whether the thresholds keep new conns away: from the upper one on, until the conns are below
    /// the lower one, or below three quarters of the upper if there is none (as IPVS has it).
    pub(crate) fn keeps_away(&self, dest: &Dest, load: Load) -> bool {
        let upper = u64::from(dest.upper_threshold);
        let Some(word) = self.bits.get(dest.id.0 as usize / 64) else {
            return false;
        };
        let bit = 1 << (dest.id.0 % 64);
        let conns = load.active + load.inactive;
        let was = word.get() & bit != 0;
        let is_below = match dest.lower_threshold {
            0 => conns * 4 < upper * 3,
            lower => conns < u64::from(lower),
        };
        let is = upper != 0 && (conns >= upper || (was && !is_below));
        word.set(if is {
            word.get() | bit
        } else {
            word.get() & !bit
        });
        is
    }
}
