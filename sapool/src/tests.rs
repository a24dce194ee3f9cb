use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn pool(worker: u16, workers: u16) -> PortPool {
    PortPool::new(PoolShare::new(WorkerId(worker), workers).unwrap())
}

#[test]
fn a_fresh_local_address_has_the_ports_that_the_tutorial_shows() {
    for workers in [1, 2, 3, 7, 16] {
        let all: u64 = (0..workers)
            .map(|worker| pool(worker, workers).capacity())
            .sum();
        assert_eq!(all, 1_032_176, "{workers} workers");
    }
}

#[test]
fn every_port_is_given_once_and_then_the_miss_is_counted() {
    let mut pool = pool(0, 1);
    let taken: HashSet<u16> = std::iter::from_fn(|| pool.take(5)).collect();
    assert_eq!(taken.len(), PORTS as usize);
    assert!(taken.iter().all(|port| *port >= FIRST_PORT));
    assert_eq!(pool.usage().missed(), 1);
    assert_eq!(pool.used(), u64::from(PORTS));
}

#[test]
fn a_port_in_use_towards_one_dest_is_free_towards_another() {
    let mut pool = pool(0, 1);
    let first = pool.take(class_of(0xC0A8_6402, 80));
    let other = pool.take(class_of(0xC0A8_6403, 80));
    assert_eq!(first, other);
}

#[test]
fn workers_share_the_ports_without_overlap_and_the_port_names_its_owner() {
    let workers = 3;
    let mut seen = HashSet::new();
    for worker in 0..workers {
        let mut pool = pool(worker, workers);
        while let Some(port) = pool.take(0) {
            assert_eq!(owner_of(port, workers), WorkerId(worker));
            assert!(seen.insert(port), "{port} given to two workers");
        }
    }
    assert_eq!(seen.len(), PORTS as usize);
}

#[test]
fn a_port_that_comes_back_is_reused_as_late_as_possible() {
    let mut pool = pool(0, 1);
    let first = pool.take(0).unwrap();
    pool.put(0, first);
    let until_reuse = std::iter::from_fn(|| pool.take(0))
        .take_while(|port| *port != first)
        .count();
    assert_eq!(until_reuse, PORTS as usize - 1);
}

#[test]
fn giving_back_what_was_not_taken_changes_nothing() {
    let mut pool = pool(1, 2);
    let port = pool.take(0).unwrap();
    pool.put(0, port);
    pool.put(0, port);
    pool.put(0, port - 1);
    pool.put(0, 80);
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_port_moves_to_another_class_if_it_is_free_there() {
    let mut pool = pool(1, 2);
    let port = pool.take(3).unwrap();
    assert_eq!(pool.take(4), Some(port));
    assert!(!pool.move_to(4, 3, port), "in use");
    assert!(!pool.move_to(5, 6, port), "not in use");
    assert!(!pool.move_to(5, 3, port - 1), "another worker's");
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
    let of_others: Vec<u16> = (0..5).filter_map(|_| pool.take(7)).collect();
    let port = pool.take_movable(3).unwrap();
    assert!(!of_others.contains(&port));
    assert!((0..CLASSES).all(|class| pool.move_to(class, 3, port) && pool.move_to(3, class, port)));
    while pool.take(7).is_some() {}
    assert!(pool.take_movable(3).is_some(), "rather than none");
    while pool.take(3).is_some() {}
    assert_eq!(pool.used(), 2 * u64::from(PORTS));
    assert_eq!(pool.take_movable(3), None);
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
        let mut pool = pool(300, 301);
        let mut leased: Vec<(usize, u16)> = Vec::new();
        let capacity = pool.capacity() as usize / CLASSES;
        for step in steps {
            match step {
                Step::Take(class) => match pool.take(class) {
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
