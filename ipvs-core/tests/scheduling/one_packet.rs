//! One-packet scheduling (ipvsadm(8), `--ops`): each datagram is scheduled on its own.

use std::collections::BTreeMap;

use ipvs_core::{DestId, DropReason, Encapsulation, FwdMode, Protocol};
use packet::MacAddr;
use rstest::rstest;
use testkit::director::*;
use testkit::fragments::cut;
use testkit::frames;

use crate::fragmentation::reassemble;

const DESTS: [&str; 3] = ["192.168.100.2:80", "192.168.100.3:80", "192.168.100.4:80"];

const DESTS6: [&str; 3] = [
    "[2001:db8:100::2]:80",
    "[2001:db8:100::3]:80",
    "[2001:db8:100::4]:80",
];
/// Where each dest is
const MACS: [MacAddr; 3] = [
    MacAddr([2, 0, 0, 0, 2, 2]),
    MacAddr([2, 0, 0, 0, 2, 3]),
    MacAddr([2, 0, 0, 0, 2, 4]),
];

/// The IPv4 frame that a tunnel over IPv6 carries.
fn inner_v4(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[8, 0], &frame[14 + 40..]].concat()
}

fn udp(fwdmode: FwdMode) -> Director {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        dests: DESTS.to_vec(),
        ..Setup::default()
    }
    .build()
}

#[test]
fn one_packet_scheduling_keeps_no_conn() {
    let mut director = udp(FwdMode::DirectRoute);
    director.edit(|service| service.options.is_one_packet = true);
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    for _ in 0..6 {
        only(director.receive(WAN, &ask));
    }
    let made = |director: &Director| {
        (0..3)
            .map(|dest| director.engine.stats().dest(DestId(dest)).conns.get())
            .collect::<Vec<_>>()
    };
    assert_eq!(made(&director), [2, 2, 2]);
    assert!(director.states().is_empty());
    // This holds within one batch, too.
    let packets = (0..3).map(|_| testkit::VecBuf::new(WAN, &ask));
    let (engine, wire) = (&mut director.engine, &mut director.wire);
    engine.process(director.now, ipvs_core::Origin::Nic, packets, wire);
    director.check_that_every_packet_has_its_end();
    assert_eq!(made(&director), [3, 3, 3]);
    assert_eq!(director.engine.stats().conns.get(), 0);
}

/// The fragments of one datagram go to one dest (RFC 791, 3.2), in whatever order they come, and
/// each datagram has a dest of its own.
#[rstest]
fn the_fragments_of_a_datagram_go_to_its_dest(
    #[values([0, 1, 2], [2, 0, 1], [1, 2, 0])] order: [usize; 3],
    #[values((CLIENT, VIP, DESTS), (CLIENT6, VIP6, DESTS6), (CLIENT, VIP, DESTS6))]
    (client, vip, dests): (&str, &'static str, [&'static str; 3]),
) {
    let is_mixed = vip.contains('[') != dests[0].contains('[');
    let fwdmode = if is_mixed {
        FwdMode::Tunnel(Encapsulation::IpIp)
    } else {
        FwdMode::DirectRoute
    };
    let setup = Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip,
        dests: dests.to_vec(),
        laddrs: vec![LADDR, LADDR6],
        ..Setup::default()
    };
    let mut director = setup.build();
    for (number, mac) in (0..).zip(MACS) {
        let dest: std::net::SocketAddr = dests[number].parse().unwrap();
        let to_dests = testkit::director::config::TO_DESTS;
        director.neighbours.add_static(to_dests, dest.ip(), mac);
    }
    director.publish();
    director.edit(|service| service.options.is_one_packet = true);
    let mut of_dest: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for number in 0..6 {
        let datagram = frames::udp(client, vip, &[number; 100], FROM_CLIENT);
        let fragments = cut(&datagram, 48, u16::from(number));
        for at in order {
            for (_, frame) in director.receive(WAN, &fragments[at]) {
                let inner = if is_mixed {
                    inner_v4(&frame)
                } else {
                    frame.clone()
                };
                of_dest.entry(frame[..6].to_vec()).or_default().push(inner);
            }
        }
    }
    for frames in of_dest.values() {
        let whole = reassemble(frames);
        assert_eq!(
            (frames.len(), whole.len()),
            (6, 2),
            "two datagrams in three parts each"
        );
    }
    assert_eq!(of_dest.len(), 3);
    assert_eq!(director.engine.stats().drops_total(), 0);
    director.wait_s(4);
    assert!(director.conns().is_empty());
    assert_eq!(director.engine.stats().conns.get(), 0);
}

/// A whole datagram between the fragments of another one is scheduled too, and changes nothing
/// about where those go.
#[test]
fn a_datagram_between_the_fragments_of_another_has_a_dest_of_its_own() {
    let mut director = udp(FwdMode::DirectRoute);
    director.edit(|service| service.options.is_one_packet = true);
    let cut_one = cut(&frames::udp(CLIENT, VIP, &[1; 100], FROM_CLIENT), 48, 1);
    let whole = frames::udp(CLIENT, VIP, b"whole", FROM_CLIENT);
    let mut made = Vec::new();
    for frame in [&cut_one[0], &whole, &cut_one[1], &whole, &cut_one[2]] {
        only(director.receive(WAN, frame));
        let stats = director.engine.stats();
        made.push([0, 1, 2].map(|dest| stats.dest(DestId(dest)).in_packets.get()));
    }
    let places = made.last().unwrap();
    assert_eq!(places.iter().sum::<u64>(), 5);
    assert_eq!(
        places.iter().max(),
        Some(&3),
        "the three fragments: {made:?}"
    );
    assert_eq!(
        director.engine.stats().drops_by(DropReason::Fragment).get(),
        0
    );
}
