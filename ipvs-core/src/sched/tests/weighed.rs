//! Tests of lc, wlc, sed, nq, fo and ovf.

use super::*;

fn chosen_with(kind: SchedulerKind, weights: &[u16], active: &[u64]) -> Option<u32> {
    let counters = counters();
    loads(&counters, active);
    Worker::new().choose(&service_with(kind, weights), &client(1), &counters)
}

/// The description of each scheduler in ipvsadm(8).
#[test]
fn each_scheduler_chooses_the_dest_of_its_rule() {
    use SchedulerKind::{Fo, Lc, Nq, Ovf, Sed, Wlc};
    for (kind, weights, active, chosen) in [
        (Lc, &[1, 9][..], &[2, 3][..], Some(0)),
        (Lc, &[1, 1], &[3, 3], Some(0)),
        (Wlc, &[1, 1], &[2, 1], Some(1)),
        (Wlc, &[4, 1], &[2, 1], Some(0)),
        (Wlc, &[1, 1, 1], &[3, 3, 3], Some(0)),
        // (1 + 1) / 1 against (3 + 1) / 3
        (Sed, &[1, 3], &[1, 3], Some(1)),
        (Sed, &[1, 3], &[0, 0], Some(1)),
        // sed would take the busy dest.
        (Sed, &[1, 10], &[0, 2], Some(1)),
        (Nq, &[1, 10], &[0, 2], Some(0)),
        (Nq, &[1, 10], &[1, 2], Some(1)),
        (Fo, &[1, 9, 5], &[0, 999, 0], Some(1)),
        (Fo, &[5, 5], &[0, 0], Some(0)),
        (Ovf, &[2, 4, 3], &[0, 3, 0], Some(1)),
        (Ovf, &[2, 4, 3], &[0, 4, 0], Some(1)),
        (Ovf, &[2, 4, 3], &[0, 5, 0], Some(2)),
        (Ovf, &[2, 4, 3], &[2, 5, 4], Some(0)),
        (Ovf, &[2, 4, 3], &[3, 5, 4], None),
    ] {
        assert_eq!(
            chosen_with(kind, weights, active),
            chosen,
            "{kind:?} {weights:?} {active:?}"
        );
    }
}

/// IPVS: 256 inactive conns weigh as much as an active one.
#[test]
fn inactive_conns_weigh_little() {
    let service = service_with(SchedulerKind::Wlc, &[1, 1]);
    for (inactive, chosen) in [(255, 1), (257, 0)] {
        let counters = counters();
        counters[0].set(Load {
            active: 1,
            inactive: 0,
        });
        counters[1].set(Load {
            active: 0,
            inactive,
        });
        assert_eq!(
            Worker::new().choose(&service, &client(1), &counters),
            Some(chosen)
        );
    }
}

#[test]
fn conns_end_up_in_proportion_to_the_weights() {
    for kind in [SchedulerKind::Wlc, SchedulerKind::Sed, SchedulerKind::Nq] {
        let service = service_with(kind, &[1, 2, 5]);
        let counters = counters();
        let mut workers = [Worker::new(), Worker::new(), Worker::new()];
        for n in 0..800 {
            workers[n as usize % 3].handle_miss(&service, &client(n), &counters);
        }
        let active: Vec<_> = counters[..3].iter().map(|cell| cell.get().active).collect();
        for (active, expected) in active.iter().zip([100_u64, 200, 500]) {
            assert!(active.abs_diff(expected) <= 3, "{kind:?} {active:?}");
        }
    }
}

/// A worker that is alone always takes the least loaded dest, after any conns that open and close.
#[test]
fn a_single_worker_always_takes_the_least_loaded_dest() {
    let service = service_with(SchedulerKind::Lc, &[1; 100]);
    let (mut worker, counters) = (Worker::new(), counters());
    let mut open = Vec::new();
    let mut state = 1_u64;
    for n in 0..5000 {
        state = hashing::mix(state);
        if state % 5 < 3 || open.is_empty() {
            let least = counters[..100].iter().map(|cell| cell.get().active).min();
            let dest = worker.handle_miss(&service, &client(n), &counters).unwrap();
            assert_eq!(Some(counters[dest as usize].get().active - 1), least);
            open.push(dest);
        } else {
            let dest = open.swap_remove(state as usize % open.len());
            worker.disconnect(dest, &counters);
        }
    }
}

/// A worker notices gradually what other workers did: for each choice it reads the counters of one
/// dest, and of the dest about to be chosen.
#[test]
fn dests_whose_conns_ended_on_other_workers_are_found() {
    let service = service_with(SchedulerKind::Lc, &[1; 100]);
    let (mut worker, counters) = (Worker::new(), counters());
    loads(&counters, &[50; 100]);
    worker.choose(&service, &client(0), &counters);
    loads(&counters, &[&[50; 70][..], &[3], &[50; 29]].concat());
    let found = (0..100).find(|n| worker.choose(&service, &client(*n), &counters) == Some(70));
    assert!(found.is_some());
}

#[test]
fn known_loads_survive_a_change_of_the_service() {
    let counters = counters();
    let mut worker = Worker::new();
    let before = service_with(SchedulerKind::Wlc, &[1, 1, 1]);
    for n in 0..30 {
        worker.handle_miss(&before, &client(n), &counters);
    }
    let drained = service_with(SchedulerKind::Wlc, &[1, 0, 1]);
    for n in 0..20 {
        assert_ne!(worker.handle_miss(&drained, &client(n), &counters), Some(1));
    }
    // A dest is removed, which changes the indices of the others.
    let mut left = before;
    left.dests.remove(0);
    left.plan = Plan::new(left.scheduler, &left.dests);
    for n in 0..10 {
        assert_eq!(worker.handle_miss(&left, &client(n), &counters), Some(1));
    }
}
