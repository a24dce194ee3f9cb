//! Tests of lblc and lblcr.

use super::*;

#[test]
fn lblc_keeps_its_dest_until_it_is_overloaded_and_another_is_half_idle() {
    let service = service_with(SchedulerKind::Lblc, &[4, 4]);
    let (mut worker, counters) = (Worker::new(), counters());
    let first = worker.handle_miss(&service, &client(0), &counters).unwrap();
    // IPVS: a dest is overloaded if it has more active conns than its weight.
    for n in 1..5 {
        assert_eq!(
            worker.handle_miss(&service, &client(n), &counters),
            Some(first)
        );
    }
    let other = worker.handle_miss(&service, &client(9), &counters).unwrap();
    assert_ne!(other, first);
    // The address keeps its new dest, though the first one is idle now.
    for _ in 0..5 {
        worker.disconnect(first, &counters);
    }
    assert_eq!(
        worker.handle_miss(&service, &client(1), &counters),
        Some(other)
    );
    // Both dests have conns for half of their weight or more, so the address does not move.
    loads(&counters, &[5, 5]);
    assert_eq!(worker.choose(&service, &client(2), &counters), Some(other));
}

#[test]
fn addresses_have_dests_of_their_own_and_are_forgotten_after_a_day() {
    let service = service_with(SchedulerKind::Lblc, &[100; 4]);
    let (mut worker, counters) = (Worker::new(), counters());
    let to = |n: u8| Arrival {
        daddr: IpAddr::from([20, 0, 0, n]),
        ..client(1)
    };
    let dests: Vec<_> = (0..4)
        .map(|n| worker.handle_miss(&service, &to(n), &counters))
        .collect();
    assert_eq!(dests, [0, 1, 2, 3].map(Some));
    loads(&counters, &[9, 0, 9, 9]);
    assert_eq!(worker.choose(&service, &to(0), &counters), Some(0));
    let day = 24 * 60 * 60 * 1000;
    assert_eq!(
        worker.choose(&service, &at(to(0), day - 2000), &counters),
        Some(0)
    );
    assert_eq!(
        worker.choose(&service, &at(to(2), day + 2000), &counters),
        Some(1)
    );
}

/// IPVS: a set that has not changed for a day loses its most loaded dest.
#[test]
fn lblcr_adds_dests_to_a_busy_address_and_takes_them_back_after_a_day() {
    let service = service_with(SchedulerKind::Lblcr, &[4; 3]);
    let (mut worker, counters) = (Worker::new(), counters());
    for n in 0..11 {
        worker.handle_miss(&service, &client(n), &counters);
    }
    // The address takes the least loaded of its dests. A dest that is idle and still not taken is
    // not among them.
    let mut members_at = |millis| {
        let is_member = |dest: &u32| {
            loads(&counters, &[2; 3]);
            counters[*dest as usize].set(Load::default());
            worker.choose(&service, &at(client(1), millis), &counters) == Some(*dest)
        };
        (0..3).filter(is_member).count()
    };
    let hour = 60 * 60 * 1000;
    for (hours, members) in [(0, 3), (12, 3), (23, 3), (25, 2), (36, 2), (48, 2), (50, 1)] {
        assert_eq!(members_at(hours * hour), members, "after {hours} hours");
    }
}

/// The table has room for a fixed number of addresses. The least recently used one is replaced.
#[test]
fn the_memory_for_addresses_is_fixed() {
    let service = service_with(SchedulerKind::Lblc, &[100; 4]);
    let (mut worker, counters) = (Worker::new(), counters());
    for n in 0..20_000 {
        let daddr = IpAddr::V4(Ipv4Addr::from(0x1400_0000 + n));
        let arrival = at(Arrival { daddr, ..client(1) }, u64::from(n));
        assert!(worker.choose(&service, &arrival, &counters).is_some());
    }
}
