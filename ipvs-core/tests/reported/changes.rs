//! Dests that change, and several workers.

use ipvs_core::{DestId, DropReason, FwdMode, HashOptions, Persistence, Protocol, SchedulerKind};
use rstest::rstest;

use super::*;
use crate::input::sctp::{packet_of, seen};

const DESTS: [&str; 4] = [
    "192.168.100.2:80",
    "192.168.100.3:80",
    "192.168.100.4:80",
    "192.168.100.5:80",
];

fn counts(workers: &[Director]) -> [u64; 4] {
    [0, 1, 2, 3].map(|dest| {
        let of = |worker: &Director| worker.engine.stats().dest(DestId(dest)).conns.get();
        workers.iter().map(of).sum()
    })
}

/// iqiyi/dpvs#730: each worker began with the first dest, which got most of the first conns.
#[rstest]
#[case(SchedulerKind::Rr)]
#[case(SchedulerKind::Wrr)]
fn the_first_conns_of_all_workers_are_spread_over_the_dests(#[case] scheduler: SchedulerKind) {
    let mut workers = Setup {
        protocol: Protocol::Udp,
        fwdmode: FwdMode::DirectRoute,
        dests: DESTS.to_vec(),
        workers: 4,
        ..Setup::default()
    }
    .build_all();
    for (number, worker) in workers.iter_mut().enumerate() {
        worker.edit(|service| service.scheduler = scheduler);
        let client = format!("10.0.0.48:{}", 1000 + number);
        worker.receive(WAN, &frames::udp(&client, VIP, b"", FROM_CLIENT));
    }
    assert_eq!(counts(&workers), [1; 4]);
}

/// cilium/cilium#26709, #25568: with ECMP before several directors, a client with persistence must
/// find its dest at each of them, whatever its port.
#[test]
fn directors_with_maglev_agree_on_a_persistent_client_s_dest() {
    let director = || {
        let setup = Setup {
            fwdmode: FwdMode::DirectRoute,
            dests: DESTS.to_vec(),
            ..Setup::default()
        };
        let mut director = setup.build();
        director.edit(|service| {
            service.scheduler = SchedulerKind::Mh(HashOptions::default());
            service.options.persistence = Some(Persistence {
                timeout_s: 300,
                prefix_len: 32,
            });
        });
        director
    };
    let (mut one, mut other) = (director(), director());
    for host in 1..60 {
        let ask = |director: &mut Director, port| {
            director.receive(WAN, &syn_of(&format!("10.0.0.{host}:{port}")));
        };
        ask(&mut one, 1000);
        ask(&mut one, 2000);
        ask(&mut other, 3000);
    }
    let at_one = counts(std::slice::from_ref(&one));
    let at_other = counts(std::slice::from_ref(&other));
    assert_eq!(at_one, at_other.map(|conns| conns * 2));
}

/// acassen/keepalived#187, #1757: a dest of weight 0 gets a weight again, and one may begin with 0.
#[test]
fn a_dest_that_gets_a_weight_again_takes_conns() {
    let mut director = Setup::default().build();
    director.edit(|service| service.dests[0].weight = 0);
    director.rejects(WAN, &syn_of("10.0.0.48:1"), DropReason::NoDest);
    director.edit(|service| service.dests[0].weight = 9);
    assert_eq!(director.to_dest(&syn_of("10.0.0.48:1")).dst, DEST);
}

/// loxilb-io/loxilb#1113: a client that restarts sends an INIT from the same port while its
/// association is up (RFC 9260, 5.2.2). It went on with its own address in place of the director's.
#[rstest]
fn an_init_in_an_established_association_is_rewritten_like_any_packet(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let setup = Setup {
        protocol: Protocol::Sctp,
        fwdmode,
        dests: DESTS.to_vec(),
        ..Setup::default()
    };
    let mut director = setup.build();
    let init = packet_of(1, CLIENT, VIP, FROM_CLIENT);
    let first = seen(&only(director.receive(WAN, &init)).1);
    let answer = packet_of(2, &first.1, &first.0, FROM_DEST);
    only(director.receive(LAN, &answer));
    assert_eq!(director.states(), ["ESTABLISHED"]);
    let again = seen(&only(director.receive(WAN, &init)).1);
    assert_eq!(
        again, first,
        "the same dest, and seen from the same address"
    );
    assert_eq!(director.conns().len(), 1);
}
