//! Segments that belong to nobody are answered by a reset: RFC 9293, 3.10.7.1.

use ipvs_core::{DropReason, FwdMode};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use crate::modes::snat_director;

/// What each segment to a port without a conn is answered by: its sequence and acknowledgment
/// number and flags. The segment has number 1000, acknowledgment 77 and three bytes.
#[rstest]
#[case::acknowledgment("A", (77, 0, "R"))]
#[case::syn_ack("SA", (77, 0, "R"))]
#[case::last("FA", (77, 0, "R"))]
#[case::no_flags("", (0, 1003, "RA"))]
#[case::fin_alone("F", (0, 1004, "RA"))]
#[case::syn_and_fin("SF", (0, 1005, "RA"))]
fn a_segment_that_belongs_to_nobody_is_answered_by_a_reset(
    #[case] flags: &str,
    #[case] expected: (u32, u32, &str),
    #[values((CLIENT, VIP), (CLIENT6, VIP6))] (client, vip): (&str, &'static str),
) {
    let mut director = Setup {
        vip,
        ..Setup::default()
    }
    .build();
    let stray = frames::tcp(client, vip).flags(flags).seq(1000).ack(77);
    let stray = stray.payload(b"abc").frame(FROM_CLIENT);
    let reset = director.rejects(WAN, &stray, DropReason::TcpNotSyn);
    assert_eq!((reset.seq, reset.ack, reset.flags.as_str()), expected);
    assert_eq!((reset.src.as_str(), reset.dst.as_str()), (vip, client));
    assert_eq!((reset.from, reset.to), (WAN_MAC, CLIENT_MAC));
    assert!(reset.checksums_right);
}

#[test]
fn resets_broken_segments_and_broadcasts_are_not_answered() {
    let mut director = Setup::default().build();
    let reset = frames::tcp(CLIENT, VIP).flags("R").frame(FROM_CLIENT);
    director.refuses(WAN, &reset, DropReason::TcpNotSyn);
    let reset = frames::tcp(CLIENT, VIP).flags("RA").frame(FROM_CLIENT);
    director.refuses(WAN, &reset, DropReason::TcpNotSyn);
    let mut broken = frames::tcp(CLIENT, VIP).flags("A").frame(FROM_CLIENT);
    broken[14 + 20 + 4] ^= 1;
    director.refuses(WAN, &broken, DropReason::TcpBadChecksum);
    let to_all = (CLIENT_MAC, packet::MacAddr::BROADCAST);
    let frame = frames::tcp(CLIENT, VIP).flags("A").frame(to_all);
    assert_eq!(director.receive(WAN, &frame), []);
}

/// A flood of forged segments must not become a flood of resets.
#[test]
fn resets_are_limited() {
    let mut director = Setup::default().build();
    let stray = frames::tcp(CLIENT, VIP).flags("A").frame(FROM_CLIENT);
    let mut answered = |count: usize| {
        (0..count)
            .map(|_| director.receive(WAN, &stray).len())
            .sum::<usize>()
    };
    assert_eq!(answered(1000), 100);
    director.now.ns += 10_000_000;
    let mut answered = |count: usize| {
        (0..count)
            .map(|_| director.receive(WAN, &stray).len())
            .sum::<usize>()
    };
    assert_eq!(answered(1000), 10, "1000 a second");
}

/// A dest that still believes in a conn that the director has forgotten.
#[test]
fn a_late_segment_of_a_dest_is_answered() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    assert_eq!(director.wait_s(100).len(), 2, "both ends are reset");
    let late = frames::tcp(DEST, &laddr)
        .flags("PA")
        .seq(5001)
        .ack(isn_at_dest + 1);
    let late = late.payload(b"late").frame(FROM_DEST);
    let reset = director.rejects(LAN, &late, DropReason::NoConn);
    assert_eq!((reset.seq, reset.flags.as_str()), (isn_at_dest + 1, "R"));
    assert_eq!(
        (reset.src.as_str(), reset.dst.as_str()),
        (laddr.as_str(), DEST)
    );
}

/// The client has closed its side, the conn has expired, and the dest goes on: it must not wait
/// for acknowledgments for ever.
#[test]
fn both_ends_of_a_half_closed_conn_that_is_over_learn_of_it() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    let fin = frames::tcp(CLIENT, VIP).flags("FA").seq(1001).ack(5001);
    director.to_dest(&fin.frame(FROM_CLIENT));
    director.wait_s(20);
    assert!(director.states().is_empty());
    let late = frames::tcp(DEST, &laddr)
        .flags("A")
        .seq(5001)
        .ack(isn_at_dest + 2);
    director.rejects(LAN, &late.frame(FROM_DEST), DropReason::NoConn);
    let late = frames::tcp(CLIENT, VIP).flags("A").seq(1002).ack(5001);
    director.rejects(WAN, &late.frame(FROM_CLIENT), DropReason::TcpNotSyn);
}

/// The sender is told in every mode. What a dest or a host sends is answered in the name of the
/// one it speaks to.
#[test]
fn the_sender_is_told_in_every_mode() {
    for fwdmode in [FwdMode::DirectRoute, FwdMode::Nat] {
        let mut director = Setup {
            fwdmode,
            ..Setup::default()
        }
        .build();
        let stray = frames::tcp(CLIENT, VIP)
            .flags("A")
            .ack(9)
            .frame(FROM_CLIENT);
        let reset = director.rejects(WAN, &stray, DropReason::TcpNotSyn);
        assert_eq!((reset.src.as_str(), reset.seq), (VIP, 9));
    }
    let mut director = Setup {
        fwdmode: FwdMode::Nat,
        ..Setup::default()
    }
    .build();
    let stray = frames::tcp(DEST, CLIENT).flags("A").ack(9).frame(FROM_DEST);
    let reset = director.rejects(LAN, &stray, DropReason::NatNoConn);
    assert_eq!((reset.src.as_str(), reset.dst.as_str()), (CLIENT, DEST));

    let mut director = snat_director(ipvs_core::Protocol::Tcp);
    let (host, world) = ("192.168.100.2:40000", "10.0.0.48:80");
    let stray = frames::tcp(host, world).flags("A").ack(9).frame(FROM_DEST);
    let reset = director.rejects(LAN, &stray, DropReason::TcpNotSyn);
    assert_eq!((reset.src.as_str(), reset.dst.as_str()), (world, host));
    let stray = frames::tcp(world, "192.168.100.200:2000").flags("A").ack(9);
    let reset = director.rejects(WAN, &stray.frame(FROM_CLIENT), DropReason::NoConn);
    assert_eq!(reset.dst, world);
}
