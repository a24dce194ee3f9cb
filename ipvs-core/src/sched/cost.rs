//! What a new conn at a dest would cost, for the schedulers that take the cheapest.

use super::Load;
use crate::service::SchedulerKind;

/// How many inactive conns weigh as much as an active one; as IPVS counts them.
const ACTIVE_WEIGHT: u64 = 256;

/// The least is the cheapest: a class, then a fraction of conns and weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost(u128);

impl Cost {
    /// Of a dest that gets no conn.
    pub(super) const NEVER: Self = Self(u128::MAX);

    /// In units of 2^-32: two different fractions whose denominators have 16 bits are further apart than that, so their
    /// order is exact.
    fn new(class: u16, conns: u64, weight: u16) -> Self {
        let weight = u64::from(weight.max(1));
        let fraction = match u32::try_from(conns) {
            Ok(conns) => u128::from((u64::from(conns) << 32) / weight),
            Err(_) => (u128::from(conns) << 32) / u128::from(weight),
        };
        Self(u128::from(class) << 96 | fraction)
    }

    /// [`Cost::NEVER`] if the scheduler gives the dest no conn.
    pub(super) fn of(kind: SchedulerKind, weight: u16, load: Load) -> Self {
        if weight == 0 {
            return Self::NEVER;
        }
        let conns = |more: u64| (load.active + more) * ACTIVE_WEIGHT + load.inactive;
        let by_rank = Self::new(u16::MAX - weight, 0, 1);
        match kind {
            SchedulerKind::Lc => Self::new(0, conns(0), 1),
            // IPVS counts active conns only. Half-open ones break ties here, lest a burst of them, or UDP,
            // which has no others, goes to one dest.
            SchedulerKind::Sed => Self::new(0, conns(1), weight),
            SchedulerKind::Nq => Self::new(u16::from(load.active > 0), conns(1), weight),
            SchedulerKind::Fo => by_rank,
            SchedulerKind::Ovf if load.active < u64::from(weight) => by_rank,
            SchedulerKind::Ovf => Self::NEVER,
            _ => Self::new(0, conns(0), weight),
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
            a in prop_oneof![0..100_000u64, 0..=u64::MAX >> 9],
            b in prop_oneof![0..100_000u64, 0..=u64::MAX >> 9],
            weights in any::<(u16, u16)>(),
        ) {
            let (c, d) = (weights.0.max(1), weights.1.max(1));
            let crosswise = (u128::from(a) * u128::from(d)).cmp(&(u128::from(b) * u128::from(c)));
            prop_assert_eq!(Cost::new(0, a, c).cmp(&Cost::new(0, b, d)), crosswise);
            prop_assert!(Cost::new(0, a, c) < Cost::new(1, b, d));
            prop_assert!(Cost::new(u16::MAX, a, c) < Cost::NEVER);
        }
    }

    #[test]
    fn neighbouring_fractions_of_the_largest_weights_differ() {
        let (just_below, just_above) = (Cost::new(0, 65533, 65534), Cost::new(0, 65534, 65535));
        assert!(just_below < just_above);
    }
}
