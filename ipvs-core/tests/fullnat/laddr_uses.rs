//! How many conns of each service use each local address, and how often one had no free port:
//! `ipvsadm -G` of DPVS shows both per service and address.

use std::sync::Arc;

use ipvs_core::{DestId, DropReason, LaddrUseId, Service, ServiceId};
use testkit::director::*;
use testkit::frames;

/// The second service: another port of the VIP, with the same local address and dest.
const VIP_TWO: &str = "10.0.0.100:81";
const ONE: LaddrUseId = LaddrUseId(0);
const TWO: LaddrUseId = LaddrUseId(5);

/// Conns in use and conflicts.
fn uses(director: &Director, laddr_use: LaddrUseId) -> (u64, u64) {
    let stats = director.engine.stats().laddr_use(laddr_use);
    (stats.conns.get(), stats.conflicts.get())
}

/// Adds the second service. It counts its local address under `laddr_use`.
fn add_second(director: &mut Director, laddr_use: LaddrUseId) {
    let first = director.snapshot.services.iter().next().unwrap();
    let mut second: Service = (**first).clone();
    second.id = ServiceId(1);
    second.key.port = 81;
    second.dests[0].id = DestId(1);
    second.laddrs[0].use_id = laddr_use;
    director.snapshot.services.insert_all([Arc::new(second)]);
    director.publish();
}

fn syn(from: &str, to: &str) -> Vec<u8> {
    frames::tcp(from, to).flags("S").frame(FROM_CLIENT)
}

#[test]
fn services_that_share_a_local_address_count_their_own_conns() {
    let mut director = Setup::default().build();
    add_second(&mut director, TWO);
    director.to_dest(&syn(CLIENT, VIP));
    for port in 1..=3 {
        director.to_dest(&syn(&format!("10.0.0.48:{port}"), VIP_TWO));
    }
    assert_eq!(uses(&director, ONE), (1, 0));
    assert_eq!(uses(&director, TWO), (3, 0));
    director.wait_s(60);
    assert_eq!(
        (uses(&director, ONE), uses(&director, TWO)),
        ((0, 0), (0, 0))
    );
}

/// A conn ends where it was counted, whatever has become of its service.
#[test]
fn conns_that_outlive_their_service_are_counted_where_they_began() {
    let mut director = Setup::default().build();
    add_second(&mut director, TWO);
    let key = director
        .snapshot
        .services
        .iter()
        .find(|service| service.key.port == 81);
    let key = key.unwrap().key;
    let opened = director.open_between(CLIENT, VIP_TWO, DEST);
    director.snapshot.services.remove(&key);
    director.publish();
    assert_eq!(uses(&director, TWO), (1, 0));
    let again = LaddrUseId(6);
    add_second(&mut director, again);
    director.open_between("10.0.0.48:7", VIP_TWO, DEST);
    assert_eq!(
        (uses(&director, TWO), uses(&director, again)),
        ((1, 0), (1, 0))
    );
    let reset = frames::tcp(CLIENT, VIP_TWO).flags("R").seq(1001);
    let seen = director.to_dest(&reset.frame(FROM_CLIENT));
    assert_eq!(seen.src, opened.laddr);
    director.wait_s(30);
    assert_eq!(
        (uses(&director, TWO), uses(&director, again)),
        ((0, 0), (1, 0))
    );
}

#[test]
fn a_conflict_is_counted_in_the_service_that_found_no_port() {
    let mut director = Setup {
        max_conns: 70_000,
        ..Setup::default()
    }
    .build();
    add_second(&mut director, TWO);
    let from = |n: u32| format!("10.0.{}.48:{}", n >> 12, 1000 + (n & 0xfff));
    for n in 0..sapool::PORTS {
        assert_eq!(director.receive(WAN, &syn(&from(n), VIP)).len(), 1, "{n}");
    }
    let last = syn(&from(sapool::PORTS), VIP_TWO);
    director.rejects(WAN, &last, DropReason::NoLocalPort);
    director.rejects(WAN, &last, DropReason::NoLocalPort);
    assert_eq!(uses(&director, ONE), (u64::from(sapool::PORTS), 0));
    assert_eq!(uses(&director, TWO), (0, 2));
}

/// Each worker counts for itself, and the sum is what is shown.
#[test]
fn workers_count_the_conns_that_they_have() {
    let setup = Setup {
        workers: 2,
        ..Setup::default()
    };
    let mut workers = setup.build_all();
    for (at, conns) in [(0, 1), (1, 2)] {
        for port in 1..=conns {
            workers[at].to_dest(&syn(&format!("10.0.0.48:{port}"), VIP));
        }
    }
    let counted: Vec<_> = workers.iter().map(|worker| uses(worker, ONE)).collect();
    assert_eq!(counted, [(1, 0), (2, 0)]);
    workers[1].wait_s(60);
    let counted: Vec<_> = workers.iter().map(|worker| uses(worker, ONE)).collect();
    assert_eq!(counted, [(1, 0), (0, 0)]);
}
