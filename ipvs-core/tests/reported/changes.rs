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

/// kubernetes/kubernetes#101607, #105249: what a client sent before there was a service kept it
/// from the service, as long as it went on from the same port.
#[rstest]
fn a_client_from_before_the_service_is_served_as_soon_as_there_is_one(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    let setup = Setup {
        protocol: Protocol::Udp,
        fwdmode,
        ..Setup::default()
    };
    let mut director = setup.build();
    let service = director.snapshot.services.iter().next().unwrap().clone();
    director.snapshot.services.remove(&service.key);
    director.publish();
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    for _ in 0..3 {
        assert_eq!(director.receive(WAN, &ask), []);
    }
    director.snapshot.services.insert_all([service]);
    director.publish();
    let (port, _) = only(director.receive(WAN, &ask));
    assert_eq!(port, LAN);
}

/// cilium/cilium#23913: a dest that calls the VIP and is given to itself. It sees a local address,
/// so its answer comes back, and so does the next conn from the same port. With its own address as
/// the source it would take no packet (RFC 1122, 3.2.1.3).
#[rstest]
fn a_dest_that_calls_its_own_service_is_answered(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values((VIP, DEST, LADDR), (VIP6, DEST6, LADDR6))] (vip, dest, laddr): (
        &'static str,
        &'static str,
        &'static str,
    ),
) {
    let setup = Setup {
        fwdmode,
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        ..Setup::default()
    };
    let mut director = setup.build();
    let caller = dest.replace(":80", ":5555");
    for isn in [1000, 9000] {
        let segment = |flags| frames::tcp(&caller, vip).flags(flags).seq(isn);
        let there = one(director.receive(LAN, &segment("S").frame(FROM_DEST)), LAN);
        assert_eq!(there.dst, dest);
        assert!(there.src.contains(laddr), "{}", there.src);
        let answer = frames::tcp(dest, &there.src).flags("SA").seq(5000);
        let answer = answer.ack(there.seq + 1).frame(FROM_DEST);
        let back = one(director.receive(LAN, &answer), LAN);
        assert_eq!((back.src.as_str(), back.dst.as_str()), (vip, &*caller));
        assert_eq!((back.ack, back.checksums_right), (isn + 1, true));
        let reset = frames::tcp(&caller, vip).flags("R").seq(isn + 1);
        one(director.receive(LAN, &reset.frame(FROM_DEST)), LAN);
    }
}

/// The same without a local address to show: the caller is told at once.
#[test]
fn a_nat_dest_that_calls_its_own_service_without_a_local_address_is_told() {
    let setup = Setup {
        fwdmode: FwdMode::Nat,
        laddrs: Vec::new(),
        ..Setup::default()
    };
    let mut director = setup.build();
    let syn = frames::tcp("192.168.100.2:5555", VIP).flags("S").seq(1);
    let reset = director.rejects(LAN, &syn.frame(FROM_DEST), DropReason::NoLaddr);
    assert_eq!(reset.flags, "RA");
}

/// cloudnativelabs/kube-router#544: a client that connects from the same port again at once waited
/// for a second.
#[rstest]
fn a_client_that_connects_from_the_same_port_again_is_served_at_once(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        ..Setup::default()
    };
    let mut director = setup.build();
    for isn in [1000u32, 900_000, 5] {
        let segment = |flags, seq| frames::tcp(CLIENT, VIP).flags(flags).seq(seq);
        let there = director.to_dest(&segment("S", isn).frame(FROM_CLIENT));
        assert_eq!((there.dst.as_str(), there.flags.as_str()), (DEST, "S"));
        let from_dest = |flags, seq, ack| {
            let segment = frames::tcp(DEST, &there.src).flags(flags);
            segment.seq(seq).ack(ack).frame(FROM_DEST)
        };
        director.to_client(&from_dest("SA", 5000, there.seq.wrapping_add(1)));
        director.to_dest(
            &segment("A", isn.wrapping_add(1))
                .ack(5001)
                .frame(FROM_CLIENT),
        );
        let fin = segment("FA", isn.wrapping_add(1)).ack(5001);
        let fin = director.to_dest(&fin.frame(FROM_CLIENT));
        director.to_client(&from_dest("FA", 5001, fin.seq.wrapping_add(1)));
        director.to_dest(
            &segment("A", isn.wrapping_add(2))
                .ack(5002)
                .frame(FROM_CLIENT),
        );
    }
}
