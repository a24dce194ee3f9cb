//! The rotation of round robin and weighted round robin.

use crate::config::dest::Dest;
use crate::config::scheduler_kind::SchedulerKind;

/// Longest rotation. If the sum of the weights, divided by their common divisor, exceeds it, the
/// weights are scaled down, and each dest keeps at least one turn. Up to this length the shares are
/// exact.
const LONGEST: u64 = 1 << 16;

/// The indices of the dests in the order of their turns, spread as evenly as possible: one turn
/// each for rr, as many as the weight for wrr. Dests of weight 0 have no turn.
pub(crate) fn rotation(kind: SchedulerKind, dests: &[Dest]) -> Vec<u16> {
    let weights = dests.iter().map(|dest| match kind {
        SchedulerKind::Rr => u64::from(dest.weight.min(1)),
        SchedulerKind::Wrr => u64::from(dest.weight),
        _ => 0,
    });
    let turns = turns_of(&weights.collect::<Vec<_>>());
    spread(&turns)
}

/// Number of turns that each weight gets in a rotation.
fn turns_of(weights: &[u64]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let sum: u64 = weights.iter().map(|weight| weight / divisor).sum();
    let scale = |turns: u64| {
        if sum <= LONGEST {
            turns
        } else {
            (turns * LONGEST / sum).max(turns.min(1))
        }
    };
    weights
        .iter()
        .map(|weight| scale(weight / divisor))
        .collect()
}

/// Places turn k of n at (2k + 1) / 2n of the rotation. Ties are in the order of the dests.
fn spread(turns: &[u64]) -> Vec<u16> {
    let mut order: Vec<(f64, u16)> = turns
        .iter()
        .zip(0..=u16::MAX)
        .flat_map(|(&turns, dest)| {
            (0..turns).map(move |turn| ((2 * turn + 1) as f64 / (2 * turns) as f64, dest))
        })
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    order.into_iter().map(|(_, dest)| dest).collect()
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::service_tests::service_with;

    #[test]
    fn wrr_spreads_the_turns_of_a_heavy_dest() {
        let service = service_with(SchedulerKind::Wrr, &[4, 2]);
        assert_eq!(service.plan.order().len(), 3, "weights 4 and 2 are 2 and 1");
        let heavy = service_with(SchedulerKind::Wrr, &[8, 3, 1]);
        let longest_run = heavy
            .plan
            .order()
            .chunk_by(|a, b| a == b)
            .map(<[u16]>::len)
            .max();
        assert!(longest_run <= Some(3), "{:?}", heavy.plan.order());
    }

    proptest! {
        #[test]
        fn any_weights_make_a_rotation_of_bounded_length(
            weights in prop::collection::vec(any::<u16>(), 1..100),
        ) {
            let service = service_with(SchedulerKind::Wrr, &weights);
            prop_assert!(service.plan.order().len() as u64 <= LONGEST + weights.len() as u64);
            for (dest, weight) in weights.iter().enumerate() {
                prop_assert_eq!(service.plan.order().contains(&(dest as u16)), *weight > 0);
            }
        }
    }
}
