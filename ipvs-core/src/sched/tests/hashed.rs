//! Tests of sh, dh, mh and conhash.

use std::collections::HashMap;

use super::*;

#[test]
fn sh_and_mh_without_fallback_refuse_the_clients_of_an_overloaded_dest() {
    for kind in [SchedulerKind::Sh, SchedulerKind::Mh] {
        let mut service = service_with(kind(HashOptions::default()), &[1, 1]);
        service.dests[0].upper_threshold = 1;
        let (mut worker, counters) = (Worker::new(), counters());
        let chosen: Vec<_> = (0..100)
            .map(|n| worker.choose(&service, &client(n), &counters))
            .collect();
        loads(&counters, &[1, 1]);
        for (n, before) in (0..100).zip(chosen) {
            let after = worker.choose(&service, &at(client(n), 3), &counters);
            assert_eq!(after, before.filter(|dest| *dest == 1));
        }
    }
}

#[test]
fn workers_choose_the_same_dest_for_the_same_client() {
    for kind in HASH_KINDS {
        let mut service = service_with(kind, &[3; 20]);
        for at in [3, 4, 5, 11] {
            service.dests[at].upper_threshold = 1;
        }
        let (counters, mut one, mut other) = (counters(), Worker::new(), Worker::new());
        loads(&counters, &[1; 20]);
        // The other worker has seen other clients before.
        for n in 5000..5100 {
            other.choose(&service, &client(n), &counters);
        }
        for n in 0..500 {
            let chosen = one.choose(&service, &client(n), &counters);
            assert_eq!(chosen, other.choose(&service, &client(n), &counters));
            assert!(chosen.is_some());
        }
    }
}

#[test]
fn clients_are_shared_by_weight() {
    for kind in HASH_KINDS {
        if kind == SchedulerKind::Dh {
            continue;
        }
        let service = service_with(kind, &[1, 2, 5]);
        let (mut worker, counters) = (Worker::new(), counters());
        let mut shares: HashMap<u32, u32> = HashMap::new();
        for n in 0..16_000 {
            let dest = worker.choose(&service, &client(n), &counters).unwrap();
            *shares.entry(dest).or_default() += 1;
        }
        // The standard deviation of 16,000 draws is at most 63.3; three of them are 190.
        for (dest, expected) in [(0, 2000_u32), (1, 4000), (2, 10_000)] {
            assert!(
                shares[&dest].abs_diff(expected) < 250,
                "{kind:?} {shares:?}"
            );
        }
    }
}

#[test]
fn a_client_keeps_its_dest_whatever_its_port_unless_the_port_counts() {
    for kind in [SchedulerKind::Sh, SchedulerKind::Mh] {
        let spread = |options| {
            let service = service_with(kind(options), &[1; 10]);
            let (mut worker, counters) = (Worker::new(), counters());
            let mut seen: Vec<_> = (1..100)
                .map(|port| arrival(&format!("10.0.0.48:{port}")))
                .map(|arrival| worker.choose(&service, &arrival, &counters))
                .collect();
            seen.sort_unstable();
            seen.dedup();
            seen.len()
        };
        assert_eq!(spread(HashOptions::default()), 1);
        assert_eq!(
            spread(HashOptions {
                port: true,
                fallback: false
            }),
            10
        );
    }
}

#[test]
fn dh_uses_the_destination_address_only() {
    let service = service_with(SchedulerKind::Dh, &[1; 10]);
    let (mut worker, counters) = (Worker::new(), counters());
    let mut choose = |client: Arrival<'static>, n: u32| {
        let daddr = IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + n));
        worker.choose(&service, &Arrival { daddr, ..client }, &counters)
    };
    assert!((0..100).all(|n| choose(client(n), 5) == choose(client(7), 5)));
    let mut seen: Vec<_> = (0..200).map(|n| choose(client(1), n)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 10);
}

/// draft-ietf-quic-load-balancers: the dest that an ID names gets the packet, from any client
/// address.
#[test]
fn a_quic_client_keeps_its_dest_when_its_address_changes() {
    let kind = SchedulerKind::Conhash(HashTarget::Qid);
    let service = service_with(kind, &[1; 10]);
    let (mut worker, counters) = (Worker::new(), counters());
    let mut choose = |n, payload: &[u8]| {
        let arrival = client(n);
        worker.choose(&service, &Arrival { payload, ..arrival }, &counters)
    };
    // Dest n is 192.168.100.n:80. It is named as in QUIC-LB, then as in DPVS.
    let quic_lb = [0x41, 0x0a, 192, 168, 100, 6, 0, 80, 1, 2, 3, 4, 0xff, 0xff];
    let dpvs = [
        0x41, 0x0a, 0x36, 0x40, 0x60, 0x05, 0x01, 2, 3, 4, 0xff, 0xff,
    ];
    // An ID that the client chose at random, in Google's QUIC.
    let google = *b"\x0dABCDEFGHQ043\x01";
    for n in 0..100 {
        assert_eq!(choose(n, &quic_lb), Some(6));
        assert_eq!(choose(n, &dpvs), Some(6));
        assert_eq!(choose(n, &google), choose(0, &google));
    }
}

/// RFC 9000, 5.2 and 7.2: the client's first packets have an ID of its own, those after the
/// server's answer have the server's. If that names nobody, the client's address leads to the same
/// dest.
#[test]
fn all_packets_of_a_quic_client_go_to_one_dest_though_their_ids_name_nobody() {
    let kind = SchedulerKind::Conhash(HashTarget::Qid);
    let service = service_with(kind, &[1; 10]);
    let (mut worker, counters) = (Worker::new(), counters());
    let mut choose = |n, payload: &[u8]| {
        let arrival = client(n);
        worker.choose(&service, &Arrival { payload, ..arrival }, &counters)
    };
    let initial = [0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0];
    let handshake = [0xe0, 0, 0, 0, 1, 8, 0xe0, 0xff, 1, 2, 3, 4, 5, 6, 0, 0];
    let short = [0x41, 0xe0, 0xff, 1, 2, 3, 4, 5, 6, 7];
    let mut seen = Vec::new();
    for n in 0..200 {
        let first = choose(n, &initial);
        assert_eq!([choose(n, &handshake), choose(n, &short)], [first; 2]);
        seen.push(first);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 10, "clients go to all dests");
}

/// A dest of weight 0 is drained: a QUIC connection that it already has stays there.
#[test]
fn a_draining_dest_keeps_the_quic_connections_that_name_it() {
    let kind = SchedulerKind::Conhash(HashTarget::Qid);
    let service = service_with(kind, &[1, 1, 0]);
    let named = [0x41, 0x0a, 192, 168, 100, 2, 0, 80, 1, 2, 3, 4, 0xff];
    let mut initial = [
        0xc0, 0, 0, 0, 1, 11, 0x0a, 192, 168, 100, 2, 0, 80, 1, 2, 3, 4,
    ];
    let (mut worker, counters) = (Worker::new(), counters());
    let payload = &named[..];
    let chosen = worker.choose(
        &service,
        &Arrival {
            payload,
            ..client(1)
        },
        &counters,
    );
    assert_eq!(chosen, Some(2));
    for n in 0..50 {
        initial[16] = n;
        let payload = &initial[..];
        let chosen = worker.choose(
            &service,
            &Arrival {
                payload,
                ..client(1)
            },
            &counters,
        );
        assert_ne!(chosen, Some(2));
    }
}
