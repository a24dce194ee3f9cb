//! Fragmentation beside services on a VIP: SNAT, TCP, the queues of neighbours, several workers.

use std::collections::BTreeSet;

use ipvs_core::{Encapsulation, FwdMode, Protocol};
use testkit::director::config::TO_DESTS;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, may_be_fragmented, payload, whole};
use crate::modes::snat_director;

/// What no two packets that may be fragmented have in common: RFC 6864, 4.3.
fn unique_by(frame: &[u8]) -> Vec<u8> {
    let ip = &frame[L2_LEN..];
    [&ip[4..6], &ip[9..10], &ip[12..20]].concat()
}

fn frames_of(sent: Vec<(packet::PortId, Vec<u8>)>, mtu: usize) -> Vec<Vec<u8>> {
    let frames: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    assert!(frames.iter().all(|frame| frame.len() <= L2_LEN + mtu));
    frames
}

/// RFC 1812, 4.2.2.7, with SNAT: the world's link is shorter than the host's.
#[test]
fn a_host_behind_snat_reaches_the_world_by_a_shorter_link() {
    let mut director = snat_director(Protocol::Udp);
    let net = &mut director.snapshot.net;
    let shorter = |device: &inet::Device| inet::Device {
        mtu: 700,
        ..device.clone()
    };
    net.devices = net.devices.iter().map(shorter).collect();
    net.invalidate_nexthops();
    director.publish();
    let ask = frames::udp(
        "192.168.100.9:5000",
        "10.0.0.48:53",
        &payload(1372),
        FROM_DEST,
    );
    for _ in 0..3 {
        let sent = director.receive(LAN, &may_be_fragmented(ask.clone(), 7));
        let seen = Seen::parse(&whole(&frames_of(sent, 700)));
        assert_eq!(
            (seen.dst.as_str(), seen.checksums_right),
            ("10.0.0.48:53", true)
        );
        assert_eq!(seen.payload, payload(1372));
    }
}

/// RFC 6864, 4.3: all hosts behind SNAT have one address in the world.
#[test]
fn packets_of_hosts_behind_snat_have_numbers_of_their_own() {
    let mut director = snat_director(Protocol::Udp);
    let mut seen = BTreeSet::new();
    for host in 3..50 {
        let from = format!("192.168.100.{host}:5000");
        let ask = frames::udp(&from, "10.0.0.48:53", b"ask", FROM_DEST);
        let (_, frame) = only(director.receive(LAN, &may_be_fragmented(ask, 7)));
        assert!(seen.insert(unique_by(&frame)));
    }
}

/// Workers send to the same dests from the same address.
#[test]
fn workers_never_choose_the_same_number() {
    let setup = Setup {
        fwdmode: FwdMode::Tunnel(Encapsulation::IpIp),
        protocol: Protocol::Udp,
        workers: 3,
        ..Setup::default()
    };
    let ask = may_be_fragmented(frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT), 7);
    let mut seen = BTreeSet::new();
    for mut director in setup.build_all() {
        for _ in 0..2000 {
            let (_, frame) = only(director.receive(WAN, &ask));
            assert!(seen.insert(unique_by(&frame)));
        }
    }
}

/// A segment whose sender clears DF may be fragmented like any other packet.
#[test]
fn a_segment_may_be_fragmented_too() {
    let setup = Setup {
        lan_mtu: 600,
        ..Setup::default()
    };
    let mut director = setup.build();
    director.open();
    let segment = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let sent = segment.payload(&payload(1000)).frame(FROM_CLIENT);
    let sent = director.receive(WAN, &may_be_fragmented(sent, 7));
    let seen = Seen::parse(&whole(&frames_of(sent, 600)));
    assert_eq!((seen.payload, seen.checksums_right), (payload(1000), true));
}

/// All fragments of a packet wait for its neighbour, and leave together.
#[test]
fn fragments_wait_for_their_neighbour() {
    let setup = Setup {
        protocol: Protocol::Udp,
        lan_mtu: 600,
        resolve: false,
        ..Setup::default()
    };
    let mut director = setup.build();
    let ask = frames::udp(CLIENT, VIP, &payload(1472), FROM_CLIENT);
    assert_eq!(director.receive(WAN, &may_be_fragmented(ask, 7)), []);
    assert_eq!(director.engine.stats().held.get(), 3);
    let dest = "192.168.100.2".parse().unwrap();
    director.neighbours.add_static(TO_DESTS, dest, DEST_MAC);
    director.publish();
    let sent = std::mem::take(&mut director.wire.sent);
    let seen = Seen::parse(&whole(&frames_of(sent, 600)));
    assert_eq!((seen.payload, seen.checksums_right), (payload(1472), true));
}
