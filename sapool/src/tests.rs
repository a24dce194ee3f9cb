use std::collections::HashSet;

use proptest::prelude::*;
use rss::{Key, Owners, WorkerId};
use rstest::rstest;

use super::*;

/// The key of Microsoft's test vectors.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

fn owners(entries: usize, workers: u16) -> Owners {
    let table = Owners::in_turns(entries, workers);
    Owners::new(&Key::from_prefix(&KEY), table, workers).unwrap()
}

fn pool_of(owners: &Owners, worker: u16) -> PortPool {
    PortPool::new(&PoolShare::new(owners, WorkerId(worker), false))
}

fn pool(worker: u16, workers: u16) -> PortPool {
    pool_of(&owners(128, workers), worker)
}

const fn to(class: usize) -> Towards {
    Towards { class, base: 77 }
}

const DEST: [u8; 4] = [192, 168, 100, 2];
const LADDR: [u8; 4] = [192, 168, 100, 200];

/// Towards a dest from the local address.
fn towards(owners: &Owners, dport: u16) -> Towards {
    Towards {
        class: class_of(u32::from_be_bytes(DEST), dport),
        base: owners.base_v4(DEST, LADDR, dport),
    }
}

#[test]
fn a_fresh_local_address_has_the_ports_that_the_tutorial_shows() {
    for workers in [1, 2, 4, 8, 16] {
        let all: u64 = (0..workers)
            .map(|worker| pool(worker, workers).capacity())
            .sum();
        assert_eq!(all, 1_032_176, "{workers} workers");
    }
}

#[rstest]
fn workers_share_all_ports_towards_a_dest_and_replies_come_to_the_worker_that_took_it(
    #[values(1, 2, 3, 4, 8, 10, 16)] workers: u16,
    #[values(16, 128, 512)] entries: usize,
) {
    let owners = owners(entries, workers);
    let mut seen = HashSet::new();
    for worker in 0..workers {
        let mut pool = pool_of(&owners, worker);
        while let Some(port) = pool.take(towards(&owners, 443)) {
            let owner = owners.of_v4(DEST, LADDR, 443, port);
            assert!(workers == 1 || owner == WorkerId(worker), "{port}");
            assert!(port >= FIRST_PORT && seen.insert(port), "{port} twice");
        }
        assert_eq!(pool.usage().missed(), 1);
    }
    assert_eq!(seen.len(), PORTS as usize);
}

#[test]
fn dests_whose_replies_fall_on_other_entries_use_ports_of_other_classes() {
    let owners = owners(128, 2);
    let mut pool = pool_of(&owners, 0);
    let mut taken = 0;
    for dport in 1..=64 {
        while pool.take(towards(&owners, dport)).is_some() {
            taken += 1;
        }
    }
    assert_eq!(taken, pool.capacity(), "every class of dests, every port");
}

#[test]
fn ports_of_one_worker_come_from_all_its_classes_in_turn() {
    let owners = owners(128, 4);
    let mut pool = pool_of(&owners, 1);
    let entries: HashSet<u16> = (0..32)
        .filter_map(|_| pool.take(towards(&owners, 80)))
        .map(|port| owners.base_v4(DEST, LADDR, 80) ^ class_of_port(&owners, port))
        .collect();
    assert_eq!(entries.len(), 32);
}

fn class_of_port(owners: &Owners, port: u16) -> u16 {
    let images = owners.port_images(false);
    let bits = (0..16).filter(|bit| port >> bit & 1 == 1);
    bits.fold(0, |sum, bit| sum ^ images[bit])
}

#[test]
fn every_port_is_given_once_and_then_the_miss_is_counted() {
    let mut pool = pool(0, 1);
    let taken: HashSet<u16> = std::iter::from_fn(|| pool.take(to(5))).collect();
    assert_eq!(taken.len(), PORTS as usize);
    assert!(taken.iter().all(|port| *port >= FIRST_PORT));
    assert_eq!(pool.usage().missed(), 1);
    assert_eq!(pool.used(), u64::from(PORTS));
}

#[test]
fn a_port_in_use_towards_one_dest_is_free_towards_another() {
    let mut pool = pool(0, 1);
    let first = pool.take(to(class_of(0xC0A8_6402, 80)));
    let other = pool.take(to(class_of(0xC0A8_6403, 80)));
    assert_eq!(first, other);
}

#[test]
fn a_port_that_comes_back_is_reused_as_late_as_possible() {
    let mut pool = pool(0, 1);
    let first = pool.take(to(0)).unwrap();
    pool.put(0, first);
    let until_reuse = std::iter::from_fn(|| pool.take(to(0)))
        .take_while(|port| *port != first)
        .count();
    assert_eq!(until_reuse, PORTS as usize - 1);
}

#[test]
fn giving_back_what_was_not_taken_changes_nothing() {
    let mut pool = pool(1, 2);
    let port = pool.take(to(0)).unwrap();
    pool.put(0, port);
    pool.put(0, port);
    pool.put(0, 80);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_port_moves_to_another_class_if_it_is_free_there() {
    let mut pool = pool(1, 2);
    let port = pool.take(to(3)).unwrap();
    assert!(pool.claim(4, port) && !pool.claim(4, port));
    assert!(!pool.move_to(4, 3, port), "in use");
    assert!(!pool.move_to(5, 6, port), "not in use");
    assert!(pool.move_to(5, 3, port) && pool.move_to(5, 5, port));
    assert_eq!(pool.used(), 2);
    pool.put(3, port);
    assert_eq!(pool.used(), 2, "it is there no more");
    pool.put(5, port);
    pool.put(4, port);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_movable_port_is_free_towards_all_if_one_of_the_next_few_is() {
    let mut pool = pool(0, 1);
    let of_others: Vec<u16> = (0..5).filter_map(|_| pool.take(to(7))).collect();
    let port = pool.take_movable(to(3)).unwrap();
    assert!(!of_others.contains(&port));
    assert!((0..CLASSES).all(|class| pool.move_to(class, 3, port) && pool.move_to(3, class, port)));
    while pool.take(to(7)).is_some() {}
    assert!(pool.take_movable(to(3)).is_some(), "rather than none");
    while pool.take(to(3)).is_some() {}
    assert_eq!(pool.used(), 2 * u64::from(PORTS));
    assert_eq!(pool.take_movable(to(3)), None);
}

/// An operation on a pool. The number picks one of the ports in use.
#[derive(Debug, Clone)]
enum Step {
    Take(usize),
    Put(usize),
    Move { from_even: bool, pick: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (3..5usize).prop_map(Step::Take),
        2 => any::<usize>().prop_map(Step::Put),
        1 => any::<(bool, usize)>().prop_map(|(from_even, pick)| Step::Move { from_even, pick }),
    ]
}

proptest! {
    /// Compares the pool with the simplest model: sets.
    #[test]
    fn a_pool_never_leases_twice(steps in prop::collection::vec(step(), 1..2000)) {
        // One entry of the table leads to the worker, so its ports are few.
        let mut table = Owners::in_turns(512, 1);
        table[300] = WorkerId(1);
        let owners = Owners::new(&Key::from_prefix(&KEY), table, 2).unwrap();
        let mut pool = pool_of(&owners, 1);
        let mut leased: Vec<(usize, u16)> = Vec::new();
        let is_own = |port: &u16| class_of_port(&owners, *port) == 300 ^ to(0).base;
        let capacity = (FIRST_PORT..=LAST_PORT).filter(is_own).count();
        for step in steps {
            match step {
                Step::Take(class) => match pool.take(to(class)) {
                    Some(port) => {
                        prop_assert!(!leased.contains(&(class, port)));
                        leased.push((class, port));
                    }
                    None => {
                        let of_class = leased.iter().filter(|lease| lease.0 == class).count();
                        prop_assert_eq!(of_class, capacity);
                    }
                },
                Step::Put(pick) if !leased.is_empty() => {
                    let (class, port) = leased.swap_remove(pick % leased.len());
                    pool.put(class, port);
                }
                Step::Move { from_even, pick } if !leased.is_empty() => {
                    let at = pick % leased.len();
                    let port = leased[at].1;
                    let (from, to) = if from_even { (4, 3) } else { (3, 4) };
                    let may = leased.contains(&(from, port)) && !leased.contains(&(to, port));
                    prop_assert_eq!(pool.move_to(to, from, port), may);
                    if may {
                        leased[at] = (to, port);
                    }
                }
                Step::Put(_) | Step::Move { .. } => {}
            }
            prop_assert_eq!(pool.used() as usize, leased.len());
        }
    }
}
