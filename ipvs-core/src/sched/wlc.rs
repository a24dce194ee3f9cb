//! Weighted least connection.

use super::{Load, Overload};
use crate::service::{Dest, Service};

/// How many inactive conns weigh as much as an active one; as IPVS counts them.
const ACTIVE_WEIGHT: u64 = 256;

/// The dest with the least load per weight, the first of equals.
pub(super) fn least_loaded<'a>(
    service: &'a Service,
    overload: &Overload,
    load_of: impl Fn(&Dest) -> Load,
) -> Option<&'a Dest> {
    let mut best: Option<(&Dest, u64)> = None;
    for dest in service.dests.iter().filter(|dest| dest.weight > 0) {
        let load = load_of(dest);
        if overload.keeps_away(dest, load) {
            continue;
        }
        let cost = load.active * ACTIVE_WEIGHT + load.inactive;
        // cost / weight < best cost / best weight, without dividing
        if best.is_none_or(|(other, least)| {
            u128::from(cost) * u128::from(other.weight)
                < u128::from(least) * u128::from(dest.weight)
        }) {
            best = Some((dest, cost));
        }
    }
    best.map(|(dest, _)| dest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::SchedulerKind;
    use crate::service::tests::service_with;

    fn least(weights: &[u16], loads: &[(u64, u64)]) -> Option<u32> {
        let service = service_with(SchedulerKind::Wlc, weights);
        let load = |dest: &Dest| {
            let (active, inactive) = loads[dest.id.0 as usize];
            Load { active, inactive }
        };
        least_loaded(&service, &Overload::new(8), load).map(|dest| dest.id.0)
    }

    #[test]
    fn the_dest_with_the_least_load_per_weight_is_chosen() {
        assert_eq!(least(&[1, 1], &[(2, 0), (1, 0)]), Some(1));
        assert_eq!(least(&[4, 1], &[(2, 0), (1, 0)]), Some(0));
        assert_eq!(least(&[1, 1], &[(1, 0), (0, 255)]), Some(1));
        assert_eq!(least(&[1, 1], &[(1, 0), (0, 257)]), Some(0));
        assert_eq!(least(&[1, 1], &[(3, 0), (3, 0)]), Some(0));
    }
}
