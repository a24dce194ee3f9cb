//! Round robin and weighted round robin: they walk through a rotation that control made.

use crate::config::{Dest, Service};

/// Turns that are tried before the dests are tried one by one. A heavy dest that takes no conns can
/// have many turns in a row.
const TURNS_TRIED: usize = 64;

/// The dest at the current turn. Dests that take no conns are skipped.
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
    use crate::config::service_tests::service_with;
    use crate::config::{DestId, SchedulerKind};
    use crate::sched::tests::{arrival, at, memory};
    use crate::sched::{Load, schedule};

    fn choose(service: &Service, next_dest: &mut u32) -> Option<u32> {
        let (arrival, mut memory) = (arrival("10.0.0.1:1"), memory(64, 1));
        schedule(service, &arrival, next_dest, &mut memory, |_| {
            Load::default()
        })
        .map(|dest| dest.id.0)
    }

    #[test]
    fn rr_takes_every_dest_in_turn_whatever_its_weight() {
        let service = service_with(SchedulerKind::Rr, &[1, 100, 7]);
        let mut next_dest = 0;
        let chosen: Vec<_> = (0..6).map(|_| choose(&service, &mut next_dest)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2].map(Some));
    }

    /// IPVS: no conns from the upper threshold on, until the conns are below the lower one.
    #[test]
    fn a_dest_at_its_upper_threshold_is_passed_over_until_it_is_below_the_lower() {
        let mut service = service_with(SchedulerKind::Rr, &[1, 0]);
        let (mut next_dest, mut memory) = (0, memory(64, 1));
        let mut millis = 0;
        let mut takes = |service: &Service, conns| {
            // A result is valid for one tick, which is less than 3 ms.
            millis += 3;
            let arrival = at(arrival("10.0.0.1:1"), millis);
            let load = |_: DestId| Load {
                active: conns,
                inactive: 0,
            };
            schedule(service, &arrival, &mut next_dest, &mut memory, load).is_some()
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
        fn wrr_gives_each_dest_exactly_its_share(
            weights in prop::collection::vec(0u16..50, 1..20),
        ) {
            let service = service_with(SchedulerKind::Wrr, &weights);
            let sum: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
            let mut next_dest = 0;
            let mut seen: HashMap<u32, usize> = HashMap::new();
            for _ in 0..sum {
                *seen.entry(choose(&service, &mut next_dest).unwrap()).or_default() += 1;
            }
            for (dest, weight) in weights.iter().enumerate() {
                let turns = seen.get(&(dest as u32)).copied().unwrap_or(0);
                prop_assert_eq!(turns, usize::from(*weight));
            }
        }
    }
}
