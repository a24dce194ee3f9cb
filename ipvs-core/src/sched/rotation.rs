//! Round robin and weighted round robin: walking a rotation that control made.

use crate::config::dest::Dest;

use crate::config::scheduler_kind::SchedulerKind;

use crate::config::service::Service;

/// Longest rotation. Weights whose sum (over their common divisor) exceeds it are scaled down, each
/// dest keeping at least one turn; up to here the shares are exact.
const LONGEST: u64 = 1 << 16;

/// The turns of the dests, as evenly spread as their weights allow: one each for rr, as many as its
/// weight for wrr; none with weight 0.
pub(super) fn rotation(kind: SchedulerKind, dests: &[Dest]) -> Vec<u16> {
    let weights = dests.iter().map(|dest| match kind {
        SchedulerKind::Rr => u64::from(dest.weight.min(1)),
        SchedulerKind::Wrr => u64::from(dest.weight),
        _ => 0,
    });
    let turns = turns_of(&weights.collect::<Vec<_>>());
    spread(&turns)
}

/// How many turns each weight gets in one rotation.
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

/// Puts turn k of n at (2k + 1) / 2n of the way, and ties in the order of the dests.
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

/// Turns tried before the dests are tried one by one: heavy dests that take none have many turns.
const TURNS_TRIED: usize = 64;

/// The dest whose turn it is; one that takes no conns is passed over.
pub(super) fn next<'a>(
    service: &'a Service,
    turn: &mut u32,
    takes_conns: impl Fn(&Dest) -> bool,
) -> Option<&'a Dest> {
    let rotation = service.plan.order();
    for _ in 0..rotation.len().min(TURNS_TRIED) {
        let at = if (*turn as usize) < rotation.len() {
            *turn as usize
        } else {
            *turn as usize % rotation.len()
        };
        *turn = at as u32 + 1;
        let dest = &service.dests[usize::from(rotation[at])];
        if takes_conns(dest) {
            return Some(dest);
        }
    }
    if rotation.len() <= TURNS_TRIED {
        return None;
    }
    let last = rotation.get((*turn as usize).wrapping_sub(1))?;
    let (before, from) = service.dests.split_at(usize::from(*last));
    from.iter()
        .chain(before)
        .find(|dest| dest.weight > 0 && takes_conns(dest))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::config::dest::DestId;
    use crate::config::service::tests::service_with;
    use crate::sched::tests::{arrival, at};
    use crate::sched::{Load, Memory, Turn, schedule};

    fn choose(service: &Service, turn: &mut Turn) -> Option<u32> {
        let (arrival, mut memory) = (arrival("10.0.0.1:1"), Memory::new(64, 1));
        schedule(service, &arrival, turn, &mut memory, |_| Load::default()).map(|dest| dest.id.0)
    }

    #[test]
    fn rr_takes_every_dest_in_turn_whatever_its_weight() {
        let service = service_with(SchedulerKind::Rr, &[1, 100, 7]);
        let mut turn = Turn::default();
        let chosen: Vec<_> = (0..6).map(|_| choose(&service, &mut turn)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2].map(Some));
    }

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

    /// IPVS: from the upper threshold on none, again only below the lower.
    #[test]
    fn a_dest_at_its_upper_threshold_is_passed_over_until_it_is_below_the_lower() {
        let mut service = service_with(SchedulerKind::Rr, &[1, 0]);
        let (mut turn, mut memory) = (Turn::default(), Memory::new(64, 1));
        let mut millis = 0;
        let mut takes = |service: &Service, conns| {
            // An answer stands for a tick, which is less than 2 ms.
            millis += 2;
            let arrival = at(arrival("10.0.0.1:1"), millis);
            let load = |_: DestId| Load {
                active: conns,
                inactive: 0,
            };
            schedule(service, &arrival, &mut turn, &mut memory, load).is_some()
        };
        service.dests[0].upper_threshold = 8;
        let asked = [
            (7, true),
            (8, false),
            (7, false),
            (6, false),
            (5, true),
            (7, true),
        ];
        for (conns, expected) in asked {
            assert_eq!(
                takes(&service, conns),
                expected,
                "{conns}: below 3/4 of the upper"
            );
        }
        service.dests[0].lower_threshold = 3;
        for (conns, expected) in [(8, false), (5, false), (3, false), (2, true), (7, true)] {
            assert_eq!(takes(&service, conns), expected, "{conns}: below the lower");
        }
    }

    proptest! {
        #[test]
        fn wrr_gives_each_dest_exactly_its_share(weights in prop::collection::vec(0u16..50, 1..20)) {
            let service = service_with(SchedulerKind::Wrr, &weights);
            let sum: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
            let mut turn = Turn::default();
            let mut seen: HashMap<u32, usize> = HashMap::new();
            for _ in 0..sum {
                *seen.entry(choose(&service, &mut turn).unwrap()).or_default() += 1;
            }
            for (dest, weight) in weights.iter().enumerate() {
                prop_assert_eq!(seen.get(&(dest as u32)).copied().unwrap_or(0), usize::from(*weight));
            }
        }

        #[test]
        fn any_weights_make_a_rotation_of_bounded_length(weights in prop::collection::vec(any::<u16>(), 1..100)) {
            let service = service_with(SchedulerKind::Wrr, &weights);
            prop_assert!(service.plan.order().len() as u64 <= LONGEST + weights.len() as u64);
            for (dest, weight) in weights.iter().enumerate() {
                prop_assert_eq!(service.plan.order().contains(&(dest as u16)), *weight > 0);
            }
        }
    }
}
