//! What a new conn would cost at a dest, for the schedulers that take the cheapest dest.

use super::Load;
use crate::config::SchedulerKind;

/// An active conn weighs as much as this many inactive ones, as in IPVS.
const ACTIVE_WEIGHT: u64 = 256;

/// A cost: first a class, then a fraction of conns and weight. The lower one is cheaper. It is
/// stored as a number with the same order, whose lowest [`Cost::SPARE_BITS`] bits are free for the
/// tournament.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(u64);

impl Cost {
    /// Number of low bits that are 0 in every cost.
    pub(super) const SPARE_BITS: u32 = 16;
    /// The cost of a dest that gets no conn.
    pub(super) const NEVER: Self = Self(u64::MAX << Self::SPARE_BITS);

    /// Positive floats have the same order as their bits. Without the spare bits, fractions that
    /// differ by less than one part in 2^36 are equal. The fractions of dests with a million conns
    /// differ by more than that, unless the weights are far above a hundred.
    fn new(is_second_class: bool, conns: u64, weight: u16) -> Self {
        let fraction = conns as f64 / f64::from(weight.max(1));
        let ordered = u64::from(is_second_class) << 63 | fraction.to_bits();
        Self(ordered & u64::MAX << Self::SPARE_BITS)
    }

    /// The cost as a number.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// The cost of a conn at a dest. [`Cost::NEVER`] if the scheduler gives the dest no conn.
    pub(super) fn of(kind: SchedulerKind, weight: u16, load: Load) -> Self {
        if weight == 0 {
            return Self::NEVER;
        }
        let conns = |more: u64| (load.active + more) * ACTIVE_WEIGHT + load.inactive;
        let by_rank = Self::new(false, u64::from(u16::MAX - weight), 1);
        match kind {
            SchedulerKind::Lc => Self::new(false, conns(0), 1),
            // IPVS counts active conns only. Here half-open conns break ties. Otherwise a burst of
            // them would go to one dest, and so would all UDP conns, which are never active.
            SchedulerKind::Sed => Self::new(false, conns(1), weight),
            SchedulerKind::Nq => Self::new(load.active > 0, conns(1), weight),
            SchedulerKind::Fo => by_rank,
            // ip_vs_ovf passes a dest over when its active conns exceed its weight.
            SchedulerKind::Ovf if load.active <= u64::from(weight) => by_rank,
            SchedulerKind::Ovf => Self::NEVER,
            _ => Self::new(false, conns(0), weight),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared by cross-multiplication. Costs that are equal must be fractions that are equal
        /// to 36 bits.
        #[test]
        fn costs_are_ordered_as_fractions(
            a in prop_oneof![0..100_000u64, 0..1u64 << 36],
            b in prop_oneof![0..100_000u64, 0..1u64 << 36],
            weights in any::<(u16, u16)>(),
        ) {
            let (c, d) = (weights.0.max(1), weights.1.max(1));
            let crosswise = (u128::from(a) * u128::from(d), u128::from(b) * u128::from(c));
            let costs = (Cost::new(false, a, c), Cost::new(false, b, d));
            if costs.0 == costs.1 {
                let apart = crosswise.0.abs_diff(crosswise.1);
                prop_assert!(apart << 36 <= crosswise.0.max(crosswise.1));
            } else {
                prop_assert_eq!(costs.0 < costs.1, crosswise.0 < crosswise.1);
            }
            prop_assert!(Cost::new(false, a, c) < Cost::new(true, b, d));
            prop_assert!(Cost::new(true, a, c) < Cost::NEVER);
        }
    }

    /// The closest fractions below 1 that weights allow, and one conn more among a million at a
    /// weight of 100.
    #[test]
    fn close_fractions_differ() {
        assert!(Cost::new(false, 65533, 65534) < Cost::new(false, 65534, 65535));
        let million = 1_000_000 * ACTIVE_WEIGHT;
        assert!(Cost::new(false, million - 1, 100) < Cost::new(false, million, 100));
    }
}
