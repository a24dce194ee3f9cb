//! What a new conn at a dest would cost, for the schedulers that take the cheapest.

use super::Load;
use crate::service::SchedulerKind;

/// How many inactive conns weigh as much as an active one; as IPVS counts them.
const ACTIVE_WEIGHT: u64 = 256;

/// The least is the cheapest: a class, then a fraction of conns and weight. Written as a number that is ordered as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(u64);

impl Cost {
    /// Of a dest that gets no conn.
    pub(super) const NEVER: Self = Self(u64::MAX - 1);

    /// Positive floats are ordered as their bits are. Two different fractions whose denominators have 16 bits are at least 2^-32
    /// apart, which 53 bits tell as long as no dest has 2^28 conns.
    fn new(is_second_class: bool, conns: u64, weight: u16) -> Self {
        let fraction = conns as f64 / f64::from(weight.max(1));
        Self(u64::from(is_second_class) << 63 | fraction.to_bits())
    }

    /// Whether it is less, or equal if that is enough.
    #[inline]
    pub(super) const fn is_below(self, other: Self, or_equal: bool) -> bool {
        self.0 < other.0 + or_equal as u64
    }

    /// [`Cost::NEVER`] if the scheduler gives the dest no conn.
    pub(super) fn of(kind: SchedulerKind, weight: u16, load: Load) -> Self {
        if weight == 0 {
            return Self::NEVER;
        }
        let conns = |more: u64| (load.active + more) * ACTIVE_WEIGHT + load.inactive;
        let by_rank = Self::new(false, u64::from(u16::MAX - weight), 1);
        match kind {
            SchedulerKind::Lc => Self::new(false, conns(0), 1),
            // IPVS counts active conns only. Half-open ones break ties here, lest a burst of them, or UDP,
            // which has no others, goes to one dest.
            SchedulerKind::Sed => Self::new(false, conns(1), weight),
            SchedulerKind::Nq => Self::new(load.active > 0, conns(1), weight),
            SchedulerKind::Fo => by_rank,
            SchedulerKind::Ovf if load.active < u64::from(weight) => by_rank,
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
        /// By multiplying crosswise.
        #[test]
        fn costs_are_ordered_as_fractions(
            a in prop_oneof![0..100_000u64, 0..1u64 << 36],
            b in prop_oneof![0..100_000u64, 0..1u64 << 36],
            weights in any::<(u16, u16)>(),
        ) {
            let (c, d) = (weights.0.max(1), weights.1.max(1));
            let crosswise = (u128::from(a) * u128::from(d)).cmp(&(u128::from(b) * u128::from(c)));
            prop_assert_eq!(Cost::new(false, a, c).cmp(&Cost::new(false, b, d)), crosswise);
            prop_assert!(Cost::new(false, a, c) < Cost::new(true, b, d));
            prop_assert!(Cost::new(true, a, c) < Cost::NEVER);
        }
    }

    /// The closest fractions that there are, as small as can be and as large.
    #[test]
    fn neighbouring_fractions_of_the_largest_weights_differ() {
        for whole in [0, (1 << 20) - 1] {
            let cost = |part: u64, weight: u16| {
                let conns = whole * u64::from(weight) + part;
                Cost::new(false, conns, weight)
            };
            assert!(cost(65533, 65534) < cost(65534, 65535));
        }
    }
}
