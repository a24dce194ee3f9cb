//! IP identifications: packets that get the same addresses do not keep what their senders chose,
//! since the fragments of two packets would mix into one (RFC 6864, 4.3, and RFC 8200, 4.5).

use std::collections::{BTreeMap, BTreeSet};

use ipvs_core::{Encapsulation, FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};
use testkit::reassembly::{cut, identification, join};

use super::{L2_LEN, snat_director};

/// What every sender of these tests chose.
const CHOSEN: u16 = 4711;

/// An IPv4 datagram without DF and with this identification.
fn datagram(src: &str, dst: &str, payload: &[u8], macs: frames::Macs) -> Vec<u8> {
    let mut frame = frames::udp(src, dst, payload, macs);
    frame[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&CHOSEN.to_be_bytes());
    frame[L2_LEN + 6] = 0;
    frames::repair_ip(&mut frame);
    frame
}

fn udp_director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        ..Setup::default()
    };
    setup.build()
}

/// What no two packets have in common: RFC 6864, 4.3.
fn unique_by(frame: &[u8]) -> [u8; 11] {
    let ip = &frame[L2_LEN..];
    assert_eq!(packet::checksum::checksum(&ip[..20]), 0);
    let mut key = [0; 11];
    key[..8].copy_from_slice(&ip[12..20]);
    key[8] = ip[9];
    key[9..].copy_from_slice(&ip[4..6]);
    key
}

/// Whole packets that routers may fragment later, on the slow path and on the fast path.
#[rstest]
fn what_routers_may_fragment_has_an_identification_of_its_own(
    #[values(
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::Tunnel(Encapsulation::IpIp),
        FwdMode::Tunnel(Encapsulation::Gre),
        FwdMode::Tunnel(Encapsulation::Gue(6080))
    )]
    fwdmode: FwdMode,
) {
    let mut director = udp_director(fwdmode);
    let mut seen = BTreeSet::new();
    for round in 0..5 {
        for client in 40_000..40_010 {
            let from = format!("10.0.0.48:{client}");
            let ask = datagram(&from, VIP, b"ask", FROM_CLIENT);
            let (_, frame) = only(director.receive(WAN, &ask));
            assert!(seen.insert(unique_by(&frame)), "round {round} of {client}");
        }
    }
}

/// The dests of a service answer its client from one address.
#[rstest]
fn answers_of_two_dests_have_identifications_of_their_own(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        dests: vec![DEST, "192.168.100.3:80"],
        ..Setup::default()
    }
    .build();
    let mut seen = BTreeSet::new();
    for client in 40_000..40_010 {
        let from = format!("10.0.0.48:{client}");
        let ask = director.to_dest(&frames::udp(&from, VIP, b"ask", FROM_CLIENT));
        for _ in 0..3 {
            let answer = datagram(&ask.dst, &ask.src, b"answer", FROM_DEST);
            let (_, frame) = only(director.receive(LAN, &answer));
            assert!(seen.insert(unique_by(&frame)));
        }
    }
}

#[test]
fn hosts_behind_snat_have_identifications_of_their_own() {
    let mut director = snat_director(Protocol::Udp);
    let mut seen = BTreeSet::new();
    for host in 3..50 {
        let from = format!("192.168.100.{host}:5000");
        let ask = datagram(&from, "10.0.0.48:53", b"ask", FROM_DEST);
        let (_, frame) = only(director.receive(LAN, &ask));
        assert!(seen.insert(unique_by(&frame)));
    }
}

/// Two clients' fragments arrive alternately, with one identification. What the dest joins by its
/// own rules (RFC 791, 3.2, and RFC 8200, 4.5) is what they have sent.
#[rstest]
#[case::full_nat(CLIENT, DEST, FwdMode::FullNat)]
#[case::nat(CLIENT, DEST, FwdMode::Nat)]
#[case::full_nat_with_ipv6(CLIENT6, DEST6, FwdMode::FullNat)]
#[case::nat64(CLIENT6, DEST, FwdMode::FullNat)]
#[case::nat46(CLIENT, DEST6, FwdMode::FullNat)]
fn fragments_of_two_clients_do_not_mix(
    #[case] client: &str,
    #[case] dest: &'static str,
    #[case] fwdmode: FwdMode,
    #[values(false, true)] last_comes_first: bool,
) {
    let (of_client, vip) = if client == CLIENT {
        ("10.0.0.48", VIP)
    } else {
        ("[2001:db8:1::48]", VIP6)
    };
    let mut director = Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip,
        dests: vec![dest],
        laddrs: vec![if dest == DEST { LADDR } else { LADDR6 }],
        ..Setup::default()
    }
    .build();
    let other = if client == CLIENT {
        "10.0.0.49:40000"
    } else {
        "[2001:db8:1::49]:40000"
    };
    for round in 0..3u32 {
        let first = format!("{of_client}:4000{round}");
        let sent = [(first.as_str(), 7), (other, 9)].map(|(from, byte)| {
            let whole = frames::udp(from, vip, &[byte; 1000], FROM_CLIENT);
            let mut fragments = cut(&whole, 400, u32::from(CHOSEN) + round);
            if last_comes_first {
                fragments.reverse();
            }
            fragments
        });
        let mut groups: BTreeMap<(Vec<u8>, u32), Vec<Vec<u8>>> = BTreeMap::new();
        for pair in sent[0].iter().zip(&sent[1]) {
            for fragment in [pair.0, pair.1] {
                for (_, frame) in director.receive(WAN, fragment) {
                    let addrs = if frame[L2_LEN] >> 4 == 4 {
                        12..20
                    } else {
                        8..40
                    };
                    let addrs = frame[L2_LEN..][addrs].to_vec();
                    let key = (addrs, identification(&frame));
                    groups.entry(key).or_default().push(frame);
                }
            }
        }
        let arrived: Vec<Seen> = groups.values().map(|all| Seen::parse(&join(all))).collect();
        assert_eq!(arrived.len(), 2);
        for seen in arrived {
            assert!(seen.checksums_right);
            assert!(seen.payload == [7; 1000] || seen.payload == [9; 1000]);
        }
    }
}

/// RFC 6864, 4.1: what is never fragmented needs no identification, so the fast path leaves it.
#[test]
fn what_nobody_may_fragment_keeps_its_identification() {
    let mut director = udp_director(FwdMode::FullNat);
    let mut ask = datagram(CLIENT, VIP, b"ask", FROM_CLIENT);
    ask[L2_LEN + 6] = 0x40;
    frames::repair_ip(&mut ask);
    for _ in 0..3 {
        let (_, frame) = only(director.receive(WAN, &ask));
        assert_eq!(identification(&frame), CHOSEN.into());
        assert_eq!(frame[L2_LEN + 6], 0x40);
    }
}

/// Workers have the same local addresses, and share no counter.
#[test]
fn workers_never_choose_the_same_identification() {
    let setup = Setup {
        fwdmode: FwdMode::Tunnel(Encapsulation::IpIp),
        protocol: Protocol::Udp,
        workers: 3,
        ..Setup::default()
    };
    let mut seen = BTreeSet::new();
    for mut director in setup.build_all() {
        for _ in 0..2000 {
            let ask = datagram(CLIENT, VIP, b"ask", FROM_CLIENT);
            let (_, frame) = only(director.receive(WAN, &ask));
            assert!(seen.insert(unique_by(&frame)));
        }
    }
}
