//! FullNAT, NAT and DR.

use ipvs_core::{DropReason, Encapsulation, FwdMode, Protocol};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{HOP_LIMIT_AT, director, question, syn};

/// TOA with an IPv6 address has 20 bytes, by which the MSS of the SYN-ACK is lowered.
#[test]
fn fullnat_tells_the_dest_the_client_by_a_toa_of_20_bytes() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let opened = director.open_between(CLIENT6, VIP6, DEST6);
    assert!(opened.laddr.starts_with("[2001:db8:100::200]:"));
    assert_eq!(
        (
            opened.syn.dst.as_str(),
            opened.syn.ttl,
            opened.syn.checksums_right
        ),
        (DEST6, 63, true)
    );
    let synack = &opened.syn_ack;
    assert_eq!((synack.src.as_str(), synack.dst.as_str()), (VIP6, CLIENT6));
    assert_eq!(synack.options, [2, 4, 5, 0xb4 - 20], "the MSS leaves room");
    assert!(synack.checksums_right);
    let toa = [
        &[254, 20][..],
        &40_000u16.to_be_bytes(),
        &[0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48],
    ];
    assert_eq!(opened.ack.options, toa.concat());
    assert!(opened.ack.checksums_right);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

#[test]
fn fullnat_udp_goes_there_and_back() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let there = director.to_dest(&question());
    assert_eq!(
        (there.dst.as_str(), there.payload.as_slice()),
        (DEST6, &b"ask"[..])
    );
    assert!(there.checksums_right);
    let answer = frames::udp(DEST6, &there.src, b"answer", FROM_DEST);
    let back = director.to_client(&answer);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP6, CLIENT6));
    assert_eq!((back.ttl, back.checksums_right), (63, true));
    let stray = frames::udp(DEST6, "[2001:db8:100::200]:9", b"", FROM_DEST);
    director.refuses(LAN, &stray, DropReason::NoConn);
}

#[test]
fn an_expired_conn_is_reset_at_both_ends() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let opened = director.open_between(CLIENT6, VIP6, DEST6);
    let sent = director.wait_s(1000);
    let resets: Vec<_> = sent.iter().map(|(_, frame)| Seen::parse(frame)).collect();
    let ends: Vec<_> = resets
        .iter()
        .map(|rst| (rst.src.as_str(), rst.dst.as_str(), rst.flags.as_str()))
        .collect();
    assert_eq!(
        ends,
        [(VIP6, CLIENT6, "RA"), (opened.laddr.as_str(), DEST6, "RA")]
    );
    assert!(resets.iter().all(|rst| rst.checksums_right));
}

/// A reply may come to any worker, which hands it to the one that owns the local port.
#[test]
fn a_reply_at_another_worker_is_handed_over() {
    let mut director = Setup {
        workers: 2,
        ..setup6(Protocol::Udp, FwdMode::FullNat)
    }
    .build();
    let mut ends = (1025..).map(|port| format!("[{LADDR6}]:{port}"));
    let end = ends
        .find(|end| config::owner_of(2, DEST6, end) == 1)
        .unwrap();
    let reply = frames::udp(DEST6, &end, b"", FROM_DEST);
    assert_eq!(director.receive(LAN, &reply), []);
    assert_eq!(director.wire.redirected.pop().unwrap().0, 1);
}

#[test]
fn nat_rewrites_the_dest_s_end_only() {
    let mut director = director(Protocol::Tcp, FwdMode::Nat);
    let seen = director.to_dest(&syn());
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (CLIENT6, DEST6));
    assert_eq!((seen.seq, seen.checksums_right), (1000, true));
    let reply = frames::tcp(DEST6, CLIENT6).flags("SA").seq(5000).ack(1001);
    let seen = director.to_client(&reply.frame(FROM_DEST));
    assert_eq!((seen.src.as_str(), seen.seq), (VIP6, 5000));
    assert!(seen.checksums_right);
    let stray = frames::tcp(DEST6, "[2001:db8:1::48]:9").flags("A");
    director.rejects(LAN, &stray.frame(FROM_DEST), DropReason::NatNoConn);
}

#[test]
fn dr_changes_mac_addresses_and_hop_limit_only() {
    let mut director = director(Protocol::Tcp, FwdMode::DirectRoute);
    let sent = syn();
    let (port, received) = only(director.receive(WAN, &sent));
    assert_eq!(port, LAN);
    assert_eq!(received[..12], [DEST_MAC.0, LAN_MAC.0].concat());
    let mut expected = sent[12..].to_vec();
    expected[HOP_LIMIT_AT - 12] -= 1;
    assert_eq!(received[12..], expected);
}

#[rstest]
fn every_mode_works_on_one_arm(
    #[values(
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::DirectRoute,
        FwdMode::Tunnel(Encapsulation::IpIp)
    )]
    fwdmode: FwdMode,
) {
    let mut director = Setup {
        one_arm: true,
        ..setup6(Protocol::Tcp, fwdmode)
    }
    .build();
    let macs: (MacAddr, MacAddr) = (CLIENT_MAC, LAN_MAC);
    let syn = frames::tcp(CLIENT6, VIP6).flags("S").frame(macs);
    let (port, received) = only(director.receive(LAN, &syn));
    assert_eq!(port, LAN);
    assert_eq!(received[..12], [DEST_MAC.0, LAN_MAC.0].concat());
}
