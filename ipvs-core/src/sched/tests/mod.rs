//! Tests of all schedulers. The tests set the loads of the dests.

mod hashed;
mod local;
mod weighed;

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;
use crate::config::service_tests::service_with;
use crate::config::{HashOptions, Plan};
use crate::time::Now;

const FALLBACK: HashOptions = HashOptions {
    fallback: true,
    port: false,
};
const HASH_KINDS: [SchedulerKind; 5] = [
    SchedulerKind::Sh(FALLBACK),
    SchedulerKind::Dh,
    SchedulerKind::Mh(FALLBACK),
    SchedulerKind::Conhash(HashTarget::Sip),
    SchedulerKind::Conhash(HashTarget::Qid),
];
const OTHER_KINDS: [SchedulerKind; 10] = [
    SchedulerKind::Rr,
    SchedulerKind::Wrr,
    SchedulerKind::Lc,
    SchedulerKind::Wlc,
    SchedulerKind::Sed,
    SchedulerKind::Nq,
    SchedulerKind::Lblc,
    SchedulerKind::Lblcr,
    SchedulerKind::Fo,
    SchedulerKind::Ovf,
];

fn all_kinds() -> impl Iterator<Item = SchedulerKind> {
    HASH_KINDS.into_iter().chain(OTHER_KINDS)
}

pub(super) fn arrival(client: &str) -> Arrival<'static> {
    let client: SocketAddr = client.parse().unwrap();
    Arrival {
        client: (client.ip(), client.port()),
        daddr: IpAddr::from([10, 0, 0, 100]),
        payload: &[],
        now: Tick(0),
    }
}

pub(super) fn at(mut arrival: Arrival<'_>, millis: u64) -> Arrival<'_> {
    arrival.now = Now::from_millis(millis).tick();
    arrival
}

fn client(n: u32) -> Arrival<'static> {
    Arrival {
        client: (IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), 40_000),
        ..arrival("10.0.0.1:1")
    }
}

/// What one of so many workers remembers of dests.
pub(super) fn memory(max_dests: usize, workers: usize) -> Scheduling {
    let all: Box<[_]> = (0..workers)
        .map(|_| Arc::new(OverloadMarks::new(max_dests)))
        .collect();
    Scheduling::new(max_dests, Arc::clone(&all[0]), all)
}

/// A worker. The counters of the dests are shared by all workers of a test.
struct Worker {
    memory: Scheduling,
    next_dest: u32,
}

type Counters = [Cell<Load>; 128];

fn counters() -> Counters {
    std::array::from_fn(|_| Cell::default())
}

impl Worker {
    /// One of two workers.
    fn new() -> Self {
        Self {
            memory: memory(128, 2),
            next_dest: 0,
        }
    }

    /// The only worker that makes conns.
    fn alone() -> Self {
        Self {
            memory: memory(128, 1),
            ..Self::new()
        }
    }

    /// Chooses a dest and returns its id.
    fn choose(
        &mut self,
        service: &Service,
        arrival: &Arrival<'_>,
        counters: &Counters,
    ) -> Option<u32> {
        let load_of = |id: DestId| counters[id.0 as usize].get();
        schedule(
            service,
            arrival,
            &mut self.next_dest,
            &mut self.memory,
            load_of,
        )
        .map(|dest| dest.id.0)
    }

    /// Chooses a dest, and makes an active conn of it.
    fn handle_miss(
        &mut self,
        service: &Service,
        arrival: &Arrival<'_>,
        counters: &Counters,
    ) -> Option<u32> {
        let dest = self.choose(service, arrival, counters)?;
        self.memory.conn_opened(DestId(dest));
        self.memory.conn_changed(DestId(dest), true);
        let cell = &counters[dest as usize];
        cell.set(Load {
            active: cell.get().active + 1,
            ..cell.get()
        });
        Some(dest)
    }

    fn disconnect(&mut self, dest: u32, counters: &Counters) {
        self.memory.conn_closed(DestId(dest), true);
        let cell = &counters[dest as usize];
        cell.set(Load {
            active: cell.get().active - 1,
            ..cell.get()
        });
    }
}

fn loads(counters: &Counters, active: &[u64]) {
    for (cell, active) in counters.iter().zip(active) {
        cell.set(Load {
            active: *active,
            inactive: 0,
        });
    }
}

#[test]
fn a_dest_of_weight_0_takes_no_new_conn() {
    for kind in all_kinds() {
        let service = service_with(kind, &[0, 300, 0]);
        let (mut worker, counters) = (Worker::new(), counters());
        for n in 0..100 {
            let chosen = worker.handle_miss(&service, &client(n), &counters);
            assert_eq!(chosen, Some(1), "{kind:?}");
        }
        for weights in [&[0, 0][..], &[]] {
            let service = service_with(kind, weights);
            assert_eq!(
                Worker::new().choose(&service, &client(1), &counters),
                None,
                "{kind:?} {weights:?}"
            );
        }
    }
}

#[test]
fn overloaded_dests_are_skipped_and_none_is_chosen_if_all_are() {
    for kind in all_kinds() {
        let mut service = service_with(kind, &[100; 4]);
        let counters = counters();
        for dest in &mut service.dests {
            dest.upper_threshold = 10;
        }
        loads(&counters, &[10, 10, 9, 10]);
        let mut worker = Worker::new();
        for n in 0..50 {
            let chosen = worker.choose(&service, &client(n), &counters);
            assert_eq!(chosen, Some(2), "{kind:?}");
        }
        loads(&counters, &[10; 4]);
        for n in 0..50 {
            let chosen = worker.choose(&service, &at(client(n), 3), &counters);
            assert_eq!(chosen, None, "{kind:?}");
        }
        // Conns of other workers end: now below 3/4 of the upper threshold.
        loads(&counters, &[10, 7, 10, 10]);
        let chosen = worker.choose(&service, &at(client(1), 6), &counters);
        assert_eq!(chosen, Some(1), "{kind:?}");
    }
}

/// Control sets a threshold after the worker has chosen from the dests.
#[test]
fn a_threshold_applies_from_the_moment_it_is_set() {
    for kind in all_kinds() {
        let mut service = service_with(kind, &[100; 3]);
        let counters = counters();
        let mut worker = Worker::new();
        for n in 0..10 {
            worker.choose(&service, &client(n), &counters);
        }
        loads(&counters, &[10, 10, 20]);
        for dest in &mut service.dests[..2] {
            dest.upper_threshold = 10;
        }
        service.plan = Plan::new(kind, &service.dests);
        for n in 0..10 {
            let chosen = worker.choose(&service, &at(client(n), 3), &counters);
            assert_eq!(chosen, Some(2), "{kind:?}");
        }
    }
}

#[test]
fn the_last_dest_that_takes_conns_is_found_among_100() {
    for kind in all_kinds() {
        let mut service = service_with(kind, &[2000; 100]);
        for dest in &mut service.dests {
            dest.upper_threshold = 1;
        }
        let counters = counters();
        loads(&counters, &[&[1; 61][..], &[0], &[1; 38]].concat());
        let mut worker = Worker::new();
        for n in 0..20 {
            let chosen = worker.choose(&service, &client(n), &counters);
            assert_eq!(chosen, Some(61), "{kind:?}");
        }
    }
}

/// The threshold limits the sum of all workers' conns.
#[test]
fn two_workers_together_do_not_exceed_a_threshold() {
    for kind in all_kinds() {
        let mut service = service_with(kind, &[100; 3]);
        for dest in &mut service.dests {
            dest.upper_threshold = 7;
        }
        let counters = counters();
        let mut workers = [Worker::new(), Worker::new()];
        for n in 0..100 {
            workers[n as usize % 2].handle_miss(&service, &client(n), &counters);
        }
        let active: Vec<_> = counters[..3].iter().map(|cell| cell.get().active).collect();
        assert!(
            active.iter().all(|active| *active <= 7),
            "{kind:?} {active:?}"
        );
        // With dh and lblc, the one destination address here may keep its dest.
        assert_eq!(active.iter().sum::<u64>(), 21, "{kind:?}");
    }
}

/// A worker whose conns are the only ones takes the same dests whether it knows that it is alone or
/// not, with and without thresholds.
#[test]
fn a_lone_worker_chooses_like_one_that_reads_all_counters() {
    for kind in all_kinds() {
        for threshold in [0, 6] {
            let mut service = service_with(kind, &[3, 1, 0, 5, 1, 2, 300]);
            for dest in &mut service.dests {
                dest.upper_threshold = threshold;
            }
            service.plan = Plan::new(kind, &service.dests);
            let mut sides = [Worker::alone(), Worker::new()].map(|worker| (worker, counters()));
            let mut open = Vec::new();
            for n in 0..300_u32 {
                let arrival = at(client(n), u64::from(n) / 8);
                let chosen = sides
                    .each_mut()
                    .map(|(worker, counters)| worker.handle_miss(&service, &arrival, counters));
                assert_eq!(chosen[0], chosen[1], "{kind:?} {threshold} {n}");
                open.extend(chosen[0]);
                if n % 3 == 0 && !open.is_empty() {
                    let dest = open.swap_remove(n as usize * 7 % open.len());
                    for (worker, counters) in &mut sides {
                        worker.disconnect(dest, counters);
                    }
                }
            }
        }
    }
}

/// How often a choice reads counters, each time those of all workers. The number does not grow with
/// the number of dests. It is 0 for schedulers that do not compare loads, and for a worker that is
/// alone.
#[test]
fn a_choice_costs_the_same_for_1000_dests_as_for_2() {
    for kind in all_kinds() {
        for (dests, workers) in [(2, 2), (1000, 2), (1000, 1)] {
            let service = service_with(kind, &vec![1000; dests]);
            let mut memory = memory(dests, workers);
            let mut next_dest = 0;
            let reads = Cell::new(0);
            let counters: Vec<_> = (0..dests).map(|_| Cell::new(Load::default())).collect();
            let load_of = |id: DestId| {
                reads.set(reads.get() + 1);
                counters[id.0 as usize].get()
            };
            for n in 0..500 {
                reads.set(0);
                let arrival = client(n);
                let dest =
                    schedule(&service, &arrival, &mut next_dest, &mut memory, load_of).unwrap();
                // The first choice reads the counters of all dests.
                let weighs = !HASH_KINDS.contains(&kind)
                    && !matches!(kind, SchedulerKind::Rr | SchedulerKind::Wrr);
                let most = match kind {
                    _ if !weighs => 0,
                    // These also compare the dests that they remember for the address.
                    SchedulerKind::Lblc | SchedulerKind::Lblcr => 4,
                    _ if workers == 1 => 0,
                    _ => 4,
                };
                assert!(
                    n == 0 || reads.get() <= most,
                    "{kind:?} {dests}: {}",
                    reads.get()
                );
                let id = dest.id;
                memory.conn_opened(id);
                let load = &counters[id.0 as usize];
                load.set(Load {
                    inactive: load.get().inactive + 1,
                    ..load.get()
                });
            }
        }
    }
}
