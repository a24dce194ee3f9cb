//! Packets that are too long for their way out: they leave in fragments if their sender allows it
//! (RFC 791, 2.3, and RFC 1812, 4.2.2.7), in any mode.

use inet::Prefix;
use ipvs_core::{DropReason, Encapsulation, FwdMode, Protocol};
use packet::PortId;
use rstest::rstest;
use testkit::director::config::{self, TO_CLIENTS};
use testkit::director::*;
use testkit::frames::{self, Seen};
use testkit::reassembly::{cut, join};

use super::{L2_LEN, snat_director};

/// A datagram from `src` to `dst` with an IP packet of `len` bytes. Over IPv4 it has no DF.
fn datagram(src: &str, dst: &str, len: usize, macs: frames::Macs) -> Vec<u8> {
    let headers = if src.starts_with('[') { 48 } else { 28 };
    let payload: Vec<u8> = (0..=255).cycle().take(len - headers).collect();
    let mut frame = frames::udp(src, dst, &payload, macs);
    if headers == 28 {
        frame[L2_LEN + 6] = 0;
        frames::repair_ip(&mut frame);
    }
    frame
}

fn director(client: &str, dest: &'static str, fwdmode: FwdMode, lan_mtu: u16) -> Director {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip: if client == CLIENT { VIP } else { VIP6 },
        dests: vec![dest],
        laddrs: vec![if dest == DEST { LADDR } else { LADDR6 }],
        lan_mtu,
        ..Setup::default()
    }
    .build()
}

/// The frames that left, all by this port and with at most so many bytes of IP.
fn frames_of(sent: Vec<(PortId, Vec<u8>)>, port: PortId, mtu: usize) -> Vec<Vec<u8>> {
    let each = |(to, frame): (PortId, Vec<u8>)| {
        assert_eq!(to, port);
        assert!(frame.len() <= L2_LEN + mtu, "{} bytes", frame.len());
        frame
    };
    sent.into_iter().map(each).collect()
}

/// The packet inside a tunnel's packet, as a frame.
fn unpacked(frame: &[u8], encapsulation: Encapsulation) -> Vec<u8> {
    let outer_len = if frame[L2_LEN] >> 4 == 4 { 20 } else { 40 };
    let shim_len = match encapsulation {
        Encapsulation::IpIp => 0,
        Encapsulation::Gre => 4,
        Encapsulation::Gue(_) => 12,
    };
    let inner = &frame[L2_LEN + outer_len + shim_len..];
    let ethertype: &[u8] = if inner[0] >> 4 == 4 {
        &[8, 0]
    } else {
        &[0x86, 0xdd]
    };
    [&frame[..12], ethertype, inner].concat()
}

/// RFC 2003, 5.1, and RFC 2473, 7.2: what enters a tunnel leaves in fragments of the outer packet.
/// The dest gets the client's packet whole, with one hop less.
#[rstest]
fn a_full_datagram_goes_through_a_tunnel(
    #[values(Encapsulation::IpIp, Encapsulation::Gre, Encapsulation::Gue(6080))]
    encapsulation: Encapsulation,
    #[values(DEST, DEST6)] dest: &'static str,
) {
    let mut director = director(CLIENT, dest, FwdMode::Tunnel(encapsulation), 1500);
    let sent = datagram(CLIENT, VIP, 1500, FROM_CLIENT);
    // The first packet of a conn, and later ones.
    for _ in 0..3 {
        let frames = frames_of(director.receive(WAN, &sent), LAN, 1500);
        assert_eq!(frames.len(), 2);
        let inner = unpacked(&join(&frames), encapsulation);
        assert_eq!(inner[L2_LEN + 8], 63);
        assert_eq!(inner[L2_LEN + 12..], sent[L2_LEN + 12..]);
    }
}

/// RFC 2473, 7.1, and RFC 4213, 3.2.2: packets of 1280 bytes always go through, and the senders of
/// longer ones are told.
#[rstest]
fn an_ipv6_packet_of_the_least_mtu_goes_through_any_tunnel(
    #[values(DEST, DEST6)] dest: &'static str,
) {
    let encapsulation = Encapsulation::IpIp;
    let mut director = director(CLIENT6, dest, FwdMode::Tunnel(encapsulation), 1290);
    let sent = datagram(CLIENT6, VIP6, 1280, FROM_CLIENT);
    let frames = frames_of(director.receive(WAN, &sent), LAN, 1290);
    assert_eq!(frames.len(), 2);
    let inner = unpacked(&join(&frames), encapsulation);
    assert_eq!(inner[L2_LEN + 8..], sent[L2_LEN + 8..]);
    let longer = datagram(CLIENT6, VIP6, 1281, FROM_CLIENT);
    let (port, error) = only(director.receive(WAN, &longer));
    assert_eq!((port, Seen::parse(&error).icmp), (WAN, Some((2, 0))));
    assert_eq!(error[L2_LEN + 44..L2_LEN + 48], 1280u32.to_be_bytes());
}

/// RFC 1812, 4.2.2.7: a link or a route with a smaller MTU, inbound.
#[rstest]
fn a_datagram_is_fragmented_for_a_shorter_link(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    let mut director = director(CLIENT, DEST, fwdmode, 600);
    let sent = datagram(CLIENT, VIP, 1500, FROM_CLIENT);
    for _ in 0..3 {
        let frames = frames_of(director.receive(WAN, &sent), LAN, 600);
        assert_eq!(frames.len(), 3);
        let seen = Seen::parse(&join(&frames));
        let dest = if fwdmode == FwdMode::DirectRoute {
            VIP
        } else {
            DEST
        };
        assert_eq!((seen.dst.as_str(), seen.ttl), (dest, 63));
        assert!(seen.checksums_right);
        assert_eq!(seen.payload, sent[L2_LEN + 28..]);
    }
    let stats = director.engine.stats().dest(ipvs_core::DestId(0));
    assert_eq!((stats.in_packets.get(), stats.in_bytes.get()), (3, 4500));
}

/// The route to one client may have an MTU of its own. IP options go along: RFC 791, 3.1.
#[test]
fn an_answer_is_fragmented_for_a_route_with_a_smaller_mtu() {
    let mut director = director(CLIENT, DEST, FwdMode::FullNat, 1500);
    let route = inet::Route {
        mtu: 576,
        ..config::route(Prefix::host("10.0.0.48".parse().unwrap()), TO_CLIENTS, None)
    };
    director.snapshot.net.routes.insert(route).unwrap();
    director.snapshot.net.invalidate_nexthops();
    director.publish();
    let ask = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let answer = datagram(DEST, &ask.src, 1400, FROM_DEST);
    let frames = frames_of(director.receive(LAN, &answer), WAN, 576);
    let seen = Seen::parse(&join(&frames));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert!(seen.checksums_right);
    assert_eq!(seen.payload.len(), 1372);
}

/// RFC 7915, 4: a packet without DF becomes fragments that every IPv6 link can carry.
#[rstest]
#[case::longer_than_the_link(1500, 2)]
#[case::longer_than_some_links(1261, 2)]
#[case::as_long_as_any_link_takes(1260, 1)]
fn nat46_makes_fragments_that_every_link_can_carry(#[case] len: usize, #[case] count: usize) {
    let mut director = director(CLIENT, DEST6, FwdMode::FullNat, 1500);
    let sent = datagram(CLIENT, VIP, len, FROM_CLIENT);
    for _ in 0..3 {
        let frames = frames_of(director.receive(WAN, &sent), LAN, 1280);
        assert_eq!(frames.len(), count);
        let whole = if count == 1 {
            frames[0].clone()
        } else {
            join(&frames)
        };
        let seen = Seen::parse(&whole);
        assert_eq!((seen.dst.as_str(), seen.ttl), (DEST6, 63));
        assert!(seen.checksums_right);
        assert_eq!(seen.payload, sent[L2_LEN + 28..]);
    }
}

/// RFC 7915, 5.1: what becomes at most 1260 bytes of IPv4 has no DF, so that short links can take
/// it; longer packets are for their sender to shorten, to no less than 1280 bytes.
#[test]
fn nat64_fragments_what_its_sender_need_not_shorten() {
    let mut director = director(CLIENT6, DEST, FwdMode::FullNat, 700);
    let sent = datagram(CLIENT6, VIP6, 1280, FROM_CLIENT);
    let frames = frames_of(director.receive(WAN, &sent), LAN, 700);
    let seen = Seen::parse(&join(&frames));
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST, true));
    assert_eq!(seen.payload, sent[L2_LEN + 48..]);
    let longer = datagram(CLIENT6, VIP6, 1281, FROM_CLIENT);
    let (_, error) = only(director.receive(WAN, &longer));
    assert_eq!(Seen::parse(&error).icmp, Some((2, 0)));
    assert_eq!(error[L2_LEN + 44..L2_LEN + 48], 1280u32.to_be_bytes());
}

/// RFC 8200, 5: routers do not fragment IPv6, and the sender is told.
#[rstest]
fn an_ipv6_packet_that_stays_one_is_for_its_sender_to_shorten(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    let mut director = director(CLIENT6, DEST6, fwdmode, 1400);
    let sent = datagram(CLIENT6, VIP6, 1401, FROM_CLIENT);
    let (port, error) = only(director.receive(WAN, &sent));
    assert_eq!((port, Seen::parse(&error).icmp), (WAN, Some((2, 0))));
    assert_eq!(error[L2_LEN + 44..L2_LEN + 48], 1400u32.to_be_bytes());
}

/// Clients cut at 1500 bytes, so their fragments do not fit a tunnel: RFC 2003, 5.1. Each one is
/// fragmented on the outside, and comes out of the tunnel as it was.
#[rstest]
fn fragments_that_grow_in_a_tunnel_are_fragmented(
    #[values(Encapsulation::IpIp, Encapsulation::Gre)] encapsulation: Encapsulation,
    #[values(DEST, DEST6)] dest: &'static str,
) {
    let mut director = director(CLIENT, dest, FwdMode::Tunnel(encapsulation), 1500);
    let whole = datagram(CLIENT, VIP, 4000, FROM_CLIENT);
    let mut inner = Vec::new();
    for fragment in cut(&whole, 1480, 4711) {
        let frames = frames_of(director.receive(WAN, &fragment), LAN, 1500);
        let outer = if frames.len() == 1 {
            frames[0].clone()
        } else {
            join(&frames)
        };
        inner.push(unpacked(&outer, encapsulation));
    }
    let arrived = Seen::parse(&join(&inner));
    assert_eq!((arrived.dst.as_str(), arrived.checksums_right), (VIP, true));
    assert_eq!(arrived.payload, whole[L2_LEN + 28..]);
}

/// RFC 7915, 4.1: fragments that grow by the longer header are cut again, and all of them are
/// fragments of one packet.
#[rstest]
fn fragments_that_grow_in_nat46_are_cut_again(#[values(false, true)] last_comes_first: bool) {
    let mut director = director(CLIENT, DEST6, FwdMode::FullNat, 1500);
    let whole = datagram(CLIENT, VIP, 4000, FROM_CLIENT);
    let mut fragments = cut(&whole, 1480, 4711);
    if last_comes_first {
        fragments.reverse();
    }
    let sent = fragments
        .iter()
        .flat_map(|fragment| director.receive(WAN, fragment));
    let frames = frames_of(sent.collect(), LAN, 1280);
    let seen = Seen::parse(&join(&frames));
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST6, true));
    assert_eq!(seen.payload, whole[L2_LEN + 28..]);
}

/// RFC 791, 3.2: a fragment may be cut again.
#[rstest]
fn fragments_are_cut_again_for_a_shorter_link(
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
) {
    let mut director = director(CLIENT, DEST, fwdmode, 576);
    let whole = datagram(CLIENT, VIP, 3000, FROM_CLIENT);
    let fragments = cut(&whole, 1480, 4711);
    let sent = fragments
        .iter()
        .flat_map(|fragment| director.receive(WAN, fragment));
    let frames = frames_of(sent.collect(), LAN, 576);
    let seen = Seen::parse(&join(&frames));
    assert!(seen.checksums_right);
    assert_eq!(seen.payload, whole[L2_LEN + 28..]);
}

/// SNAT, with a world whose link is shorter.
#[test]
fn snat_fragments_what_its_way_out_does_not_take() {
    let mut director = snat_director(Protocol::Udp);
    director.snapshot.net.devices = director
        .snapshot
        .net
        .devices
        .iter()
        .map(|device| inet::Device {
            mtu: 700,
            ..device.clone()
        })
        .collect();
    director.snapshot.net.invalidate_nexthops();
    director.publish();
    let sent = datagram("192.168.100.9:5000", "10.0.0.48:53", 1400, FROM_DEST);
    let frames = frames_of(director.receive(LAN, &sent), WAN, 700);
    let seen = Seen::parse(&join(&frames));
    assert_eq!(
        (seen.dst.as_str(), seen.checksums_right),
        ("10.0.0.48:53", true)
    );
    assert_eq!(seen.payload.len(), 1372);
}

/// A TCP segment whose sender clears DF may be fragmented like any other packet.
#[test]
fn a_segment_is_fragmented_too() {
    let mut director = Setup {
        lan_mtu: 600,
        ..Setup::default()
    }
    .build();
    director.open();
    let segment = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let mut sent = segment.payload(&[7; 1000]).frame(FROM_CLIENT);
    sent[L2_LEN + 6] = 0;
    frames::repair_ip(&mut sent);
    let frames = frames_of(director.receive(WAN, &sent), LAN, 600);
    let seen = Seen::parse(&join(&frames));
    assert_eq!((seen.payload.len(), seen.checksums_right), (1000, true));
}

/// All fragments wait together for their neighbour's MAC address.
#[test]
fn fragments_wait_for_their_neighbour() {
    let setup = Setup {
        protocol: Protocol::Udp,
        lan_mtu: 600,
        resolve: false,
        ..Setup::default()
    };
    let mut director = setup.build();
    let sent = datagram(CLIENT, VIP, 1500, FROM_CLIENT);
    assert_eq!(director.receive(WAN, &sent), []);
    assert_eq!(director.engine.stats().held.get(), 3);
    let dest = "192.168.100.2".parse().unwrap();
    director
        .neighbours
        .add_static(config::TO_DESTS, dest, DEST_MAC);
    director.publish();
    let frames = frames_of(std::mem::take(&mut director.wire.sent), LAN, 600);
    assert!(Seen::parse(&join(&frames)).checksums_right);
}

#[test]
fn without_a_free_mbuf_the_packet_is_dropped_and_counted() {
    let mut director = director(CLIENT, DEST, FwdMode::FullNat, 600);
    director.wire.out_of_mbufs = true;
    let sent = datagram(CLIENT, VIP, 1500, FROM_CLIENT);
    assert_eq!(director.receive(WAN, &sent), []);
    assert_eq!(director.drops()[DropReason::NoMbuf as usize], 2);
}
