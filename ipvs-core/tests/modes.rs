//! NAT, DR and tunnel, rule by rule. "How-to" is the LVS-NAT how-to, features.md 1 the table of modes.

use etherparse::{NetSlice, SlicedPacket};
use ipvs_core::{Dest, DestId, DropReason, Encapsulation, FwdMode, Origin, Protocol, ServiceId};
use packet::MacAddr;
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;

fn director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        ..Setup::default()
    };
    setup.build()
}

/// Without a local address, which only FullNAT needs.
fn udp_director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        laddrs: Vec::new(),
        ..Setup::default()
    };
    setup.build()
}

fn syn() -> Vec<u8> {
    let segment = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    segment.options(&SYN_OPTIONS).frame(FROM_CLIENT)
}

/// How-to, "the packets": only the destination changes on the way in, only the source on the way back;
/// options and sequence numbers are the ends' own.
#[test]
fn nat_rewrites_the_dest_s_end_only() {
    let mut director = director(FwdMode::Nat);
    let seen = director.to_dest(&syn());
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (CLIENT, DEST));
    assert_eq!((seen.seq, seen.ttl, seen.checksums_right), (1000, 63, true));
    assert_eq!(seen.options, SYN_OPTIONS);
    assert_eq!((seen.from, seen.to), (LAN_MAC, DEST_MAC));

    let reply = frames::tcp(DEST, CLIENT).flags("SA").seq(5000).ack(1001);
    let reply = reply.options(&[2, 4, 5, 0xb4]).frame(FROM_DEST);
    let seen = director.to_client(&reply);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert_eq!(
        (seen.seq, seen.ack, seen.checksums_right),
        (5000, 1001, true)
    );
    assert_eq!(seen.options, [2, 4, 5, 0xb4]);

    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    let seen = director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!(seen.options, [], "NAT needs no TOA");
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

/// How-to: real servers may serve the virtual port on another one.
#[test]
fn nat_may_change_the_port() {
    let mut director = Setup {
        fwdmode: FwdMode::Nat,
        dests: vec!["192.168.100.2:8080"],
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let seen = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    assert_eq!(seen.dst, "192.168.100.2:8080");
    let reply = frames::udp("192.168.100.2:8080", CLIENT, b"answer", FROM_DEST);
    let seen = director.to_client(&reply);
    assert_eq!((seen.src.as_str(), seen.checksums_right), (VIP, true));
}

#[test]
fn nat_lets_no_reply_out_that_belongs_to_no_conn() {
    let mut director = director(FwdMode::Nat);
    let stray = frames::tcp(DEST, CLIENT).flags("A").seq(5).ack(6);
    director.refuses(LAN, &stray.frame(FROM_DEST), DropReason::NatNoConn);
    assert!(director.wire.to_kernel.is_empty());
    let other_port = frames::tcp("192.168.100.2:22", CLIENT).flags("A");
    director.receive(LAN, &other_port.frame(FROM_DEST));
    assert_eq!(director.wire.to_kernel.len(), 1, "ssh is not the service");
}

/// With several workers a reply may reach any of them: it goes around until its conn is found, or is dropped.
#[test]
fn a_nat_reply_goes_around_the_workers() {
    let mut director = Setup {
        fwdmode: FwdMode::Nat,
        worker: 1,
        workers: 3,
        ..Setup::default()
    }
    .build();
    let stray = frames::tcp(DEST, CLIENT).flags("A").frame(FROM_DEST);
    assert_eq!(director.receive(LAN, &stray), []);
    let (worker, packet) = director.wire.redirected.pop().unwrap();
    assert_eq!(worker, 2);
    assert_eq!(director.receive_from(Origin::Worker, packet), []);
    let (worker, packet) = director.wire.redirected.pop().unwrap();
    assert_eq!(worker, 2, "the third of three is asked last");
    assert_eq!(director.receive_from(Origin::Worker, packet), []);
    assert_eq!(director.drops()[DropReason::NatNoConn as usize], 1);
}

/// Two services on the same dest: the same client port to both could not be told apart on the way back.
#[test]
fn a_second_nat_conn_with_the_same_way_back_is_refused() {
    let mut director = udp_director(FwdMode::Nat);
    let mut second = (**director.snapshot.services.iter().next().unwrap()).clone();
    second.id = ServiceId(1);
    second.key.port = 81;
    second.dests[0].id = DestId(5);
    director.snapshot.services.insert_all([second.into()]);
    director.publish();
    director.to_dest(&frames::udp(CLIENT, VIP, b"one", FROM_CLIENT));
    let clash = frames::udp(CLIENT, "10.0.0.100:81", b"two", FROM_CLIENT);
    director.refuses(WAN, &clash, DropReason::NatTupleInUse);
    let other = frames::udp("10.0.0.48:40001", "10.0.0.100:81", b"two", FROM_CLIENT);
    director.to_dest(&other);

    // In one batch too: the second is looked up before the first is complete.
    let both = ["10.0.0.100:80", "10.0.0.100:81"]
        .map(|vip| frames::udp("10.0.0.48:40002", vip, b"ask", FROM_CLIENT));
    let packets = both.iter().map(|frame| VecBuf::new(WAN, frame));
    let (engine, wire) = (&mut director.engine, &mut director.wire);
    engine.process(director.now, Origin::Nic, packets, wire);
    assert_eq!(director.wire.sent.len(), 1);
    assert_eq!(director.drops()[DropReason::NatTupleInUse as usize], 2);
    assert_eq!(director.engine.stats().conns.get(), 3);
    director.check_that_every_packet_has_its_end();
}

/// RST to both ends on expiry: all modes that see both directions.
#[test]
fn an_established_nat_conn_that_expires_is_reset_at_both_ends() {
    let mut director = director(FwdMode::Nat);
    director.to_dest(&syn());
    let reply = frames::tcp(DEST, CLIENT).flags("SA").seq(5000).ack(1001);
    director.to_client(&reply.frame(FROM_DEST));
    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    director.to_dest(&ack.frame(FROM_CLIENT));
    let sent = director.wait_s(1000);
    let resets: Vec<_> = sent.iter().map(|(_, frame)| Seen::parse(frame)).collect();
    let ends: Vec<_> = resets
        .iter()
        .map(|rst| (rst.src.as_str(), rst.dst.as_str(), rst.seq))
        .collect();
    assert_eq!(ends, [(VIP, CLIENT, 5001), (CLIENT, DEST, 1001)]);
    assert!(resets.iter().all(|rst| rst.checksums_right));
}

/// An ICMP error from the dest about what it was sent reaches the client as about what the client sent.
#[test]
fn nat_translates_errors_from_the_dest() {
    let mut director = udp_director(FwdMode::Nat);
    let (_, sent) = only(director.receive(WAN, &frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT)));
    let error = frames::unreachable("192.168.100.2", "10.0.0.48", &sent[L2_LEN..], FROM_DEST);
    let seen = director.to_client(&error);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.100", "10.0.0.48")
    );
    assert!(seen.checksums_right);
    let quoted = SlicedPacket::from_ip(&seen.payload).unwrap();
    let Some(NetSlice::Ipv4(quoted)) = quoted.net else {
        panic!("no IPv4")
    };
    assert_eq!(quoted.header().destination(), [10, 0, 0, 100]);
}

/// features.md 1: DR changes nothing but MAC addresses; a router decrements the TTL (RFC 1812, 5.3.1).
#[test]
fn dr_changes_mac_addresses_and_time_to_live_only() {
    let mut director = director(FwdMode::DirectRoute);
    let sent = syn();
    let (port, received) = only(director.receive(WAN, &sent));
    let seen = Seen::parse(&received);
    assert_eq!((port, seen.from, seen.to), (LAN, LAN_MAC, DEST_MAC));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str(), seen.ttl),
        (CLIENT, VIP, 63)
    );
    assert!(seen.checksums_right);
    assert_eq!(received[L2_LEN + 12..], sent[L2_LEN + 12..]);
}

/// Only the client is heard: its ACK establishes the conn, its FIN ends it.
#[test]
fn dr_follows_the_client_alone() {
    let mut director = director(FwdMode::DirectRoute);
    for (flags, state) in [
        ("S", "SYN_RECV"),
        ("A", "ESTABLISHED"),
        ("PA", "ESTABLISHED"),
        ("FA", "FIN_WAIT"),
        ("A", "FIN_WAIT"),
        ("R", "CLOSE"),
        ("S", "SYN_RECV"),
    ] {
        let segment = frames::tcp(CLIENT, VIP).flags(flags).seq(1).ack(1);
        director.to_dest(&segment.frame(FROM_CLIENT));
        assert_eq!(director.states(), [state], "after {flags}");
    }
}

/// Nobody hears the dest answer, so a UDP conn of DR is no half-open one.
#[test]
fn a_udp_conn_of_dr_lives_as_long_as_an_answered_one() {
    let mut director = udp_director(FwdMode::DirectRoute);
    director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    assert_eq!(director.states(), ["UDP_NORMAL"]);
    director.wait_s(290);
    assert_eq!(director.states(), ["UDP_NORMAL"]);
    assert_eq!(director.wait_s(20), [], "and ends without a word");
    assert!(director.states().is_empty());
}

#[test]
fn an_established_dr_conn_expires_silently() {
    let mut director = director(FwdMode::DirectRoute);
    director.to_dest(&syn());
    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!(director.wait_s(1000), [], "nobody knows the numbers");
    assert!(director.states().is_empty());
}

/// A router on the dest's way to the client complains to the VIP about what the dest sent.
#[test]
fn dr_brings_an_error_about_the_dest_s_packet_to_the_dest() {
    let mut director = udp_director(FwdMode::DirectRoute);
    director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let by_dest = frames::udp(VIP, CLIENT, b"answer", FROM_DEST);
    let error = frames::unreachable("10.0.0.1", "10.0.0.100", &by_dest[L2_LEN..], FROM_CLIENT);
    let (port, received) = only(director.receive(WAN, &error));
    let seen = Seen::parse(&received);
    assert_eq!((port, seen.to), (LAN, DEST_MAC));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.1", "10.0.0.100")
    );
    assert_eq!(seen.payload, by_dest[L2_LEN..]);
    assert!(seen.checksums_right);
}

/// The outer IPv4 header of a frame, and where what it carries begins.
fn outer(frame: &[u8]) -> (etherparse::Ipv4Header, &[u8]) {
    let (header, payload) = etherparse::Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    (header, payload)
}

#[rstest]
#[case::rfc_2003(Encapsulation::IpIp, 4, &[])]
#[case::rfc_2784(Encapsulation::Gre, 47, &[0, 0, 8, 0])]
fn a_tunnel_carries_the_client_s_packet_whole(
    #[case] encapsulation: Encapsulation,
    #[case] protocol: u8,
    #[case] shim: &[u8],
) {
    let mut director = director(FwdMode::Tunnel(encapsulation));
    let mut sent = syn();
    sent[L2_LEN + 6] = 0x40;
    frames::repair_ip(&mut sent);
    let (port, received) = only(director.receive(WAN, &sent));
    assert_eq!(port, LAN);
    assert_eq!(received[..6], DEST_MAC.0);
    assert_eq!(received[12..14], [8, 0]);
    let (header, payload) = outer(&received);
    assert_eq!(header.source, [192, 168, 100, 200]);
    assert_eq!(header.destination, [192, 168, 100, 2]);
    assert_eq!((header.protocol.0, header.time_to_live), (protocol, 64));
    assert!(header.dont_fragment, "as inside");
    assert_eq!(usize::from(header.total_len), received.len() - L2_LEN);
    let inner = payload.strip_prefix(shim).unwrap();
    let mut frame = vec![0; L2_LEN];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame.extend_from_slice(inner);
    let seen = Seen::parse(&frame);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str(), seen.ttl),
        (CLIENT, VIP, 63)
    );
    assert_eq!(
        (seen.options.as_slice(), seen.checksums_right),
        (&SYN_OPTIONS[..], true)
    );
    assert_eq!(director.states(), ["SYN_RECV"]);
}

/// draft-ietf-intarea-gue 3.1 and 5: UDP to the chosen port, source port by flow, then proto 4 and no options.
/// RFC 791, 3.1: the reserved flag is zero, whoever sets it inside; RFC 2003, 3.1: "don't fragment" is the inner packet's.
#[rstest]
fn a_tunnel_does_not_take_over_the_reserved_flag(
    #[values(Encapsulation::IpIp, Encapsulation::Gre)] encapsulation: Encapsulation,
) {
    let mut director = tunnel_director(encapsulation);
    // The first packet and later ones go different ways.
    for (inside, outside) in [(0xc0, 0x40), (0xc0, 0x40), (0x80, 0), (0x40, 0x40), (0, 0)] {
        let mut sent = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
        sent[L2_LEN + 6] = inside;
        frames::repair_ip(&mut sent);
        let (_, received) = only(director.receive(WAN, &sent));
        let (_, payload) = outer(&received);
        assert_eq!(received[L2_LEN + 6], outside, "{inside:#x}");
        let inner = &payload[payload.len() - (sent.len() - L2_LEN)..];
        assert_eq!(inner[6], inside);
    }
}

#[test]
fn a_gue_tunnel_tells_flows_apart_by_the_source_port() {
    let mut director = tunnel_director(Encapsulation::Gue(6080));
    let mut ports = std::collections::BTreeSet::new();
    for client in 40_000..40_020 {
        let from = format!("10.0.0.48:{client}");
        let (_, received) =
            only(director.receive(WAN, &frames::udp(&from, VIP, b"ask", FROM_CLIENT)));
        let (header, payload) = outer(&received);
        assert_eq!(header.protocol.0, 17);
        let (udp, rest) = etherparse::UdpHeader::from_slice(payload).unwrap();
        assert_eq!(
            (udp.destination_port, usize::from(udp.length)),
            (6080, payload.len())
        );
        assert_eq!(rest[..4], [0, 4, 0, 0]);
        assert_eq!(rest[4] >> 4, 4);
        assert!(udp.source_port >= 49_152);
        ports.insert(udp.source_port);
    }
    assert!(ports.len() > 15, "{ports:?}");
}

fn tunnel_director(encapsulation: Encapsulation) -> Director {
    Setup {
        fwdmode: FwdMode::Tunnel(encapsulation),
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build()
}

/// RFC 792: whoever sent what may not go on hears of it, however many packets have gone this way before.
#[rstest]
fn later_packets_are_refused_as_first_ones_are(
    #[values(
        FwdMode::FullNat,
        FwdMode::Nat,
        FwdMode::DirectRoute,
        FwdMode::Tunnel(Encapsulation::IpIp),
        FwdMode::Tunnel(Encapsulation::Gre)
    )]
    fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        protocol: Protocol::Udp,
        lan_mtu: 1000,
        ..Setup::default()
    };
    let mut director = setup.build();
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let mut expired = ask.clone();
    expired[L2_LEN + 8] = 1;
    frames::repair_ip(&mut expired);
    let large = frames::udp(CLIENT, VIP, &[0; 1000], FROM_CLIENT);
    for _ in 0..3 {
        assert_eq!(only(director.receive(WAN, &ask)).0, LAN);
        for (refused, icmp) in [(&expired, (11, 0)), (&large, (3, 4))] {
            let (port, error) = only(director.receive(WAN, refused));
            assert_eq!((port, Seen::parse(&error).icmp), (WAN, Some(icmp)));
        }
    }
    let stats = director.engine.stats().dest(ipvs_core::DestId(0));
    assert_eq!(stats.in_packets.get(), 3, "what was refused is not counted");
}

/// RFC 1191 with the tunnel's 20 bytes: the client learns what fits inside.
#[test]
fn what_does_not_fit_the_tunnel_is_refused_with_the_mtu_inside() {
    let mut director = tunnel_director(Encapsulation::IpIp);
    let mut large = frames::udp(CLIENT, VIP, &[7; 1480 - 28 + 1], FROM_CLIENT);
    large[L2_LEN + 6] = 0x40;
    frames::repair_ip(&mut large);
    let (port, answer) = only(director.receive(WAN, &large));
    assert_eq!(port, WAN);
    assert_eq!(answer[L2_LEN + 20..L2_LEN + 22], [3, 4]);
    assert_eq!(answer[L2_LEN + 26..L2_LEN + 28], 1480u16.to_be_bytes());
    let fits = frames::udp(CLIENT, VIP, &[7; 1480 - 28], FROM_CLIENT);
    let (port, received) = only(director.receive(WAN, &fits));
    assert_eq!((port, received.len()), (LAN, L2_LEN + 1500));
}

#[test]
fn a_tunnel_needs_an_address_of_the_director_on_its_way() {
    let mut director = udp_director(FwdMode::Tunnel(Encapsulation::IpIp));
    let frame = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    director.refuses(WAN, &frame, DropReason::NoTunnelSource);
}

/// Several modes among the dests of one service: each conn goes by its own dest's.
#[test]
fn the_dests_of_a_service_may_differ_in_mode() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        dests: vec![DEST, "192.168.100.3:80", "192.168.100.4:80"],
        ..Setup::default()
    }
    .build();
    let mut service = (**director.snapshot.services.iter().next().unwrap()).clone();
    for (dest, mode) in
        service
            .dests
            .iter_mut()
            .zip([FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute])
    {
        *dest = Dest {
            fwdmode: mode,
            ..dest.clone()
        };
    }
    director.snapshot.services.insert_all([service.into()]);
    director.publish();
    let ends: Vec<_> = (40_001..=40_003)
        .map(|port| {
            let from = format!("10.0.0.48:{port}");
            let seen = director.to_dest(&frames::udp(&from, VIP, b"ask", FROM_CLIENT));
            (seen.src.rsplit_once(':').unwrap().0.to_owned(), seen.dst)
        })
        .collect();
    let expected = [
        (LADDR, DEST),
        ("10.0.0.48", "192.168.100.3:80"),
        ("10.0.0.48", VIP),
    ];
    assert_eq!(
        ends,
        expected.map(|(src, dst)| (src.to_owned(), dst.to_owned()))
    );
}

/// One-arm: client and dests behind the same device.
#[rstest]
#[case(FwdMode::Nat)]
#[case(FwdMode::DirectRoute)]
#[case(FwdMode::Tunnel(Encapsulation::IpIp))]
fn every_mode_works_on_one_arm(#[case] fwdmode: FwdMode) {
    let mut director = Setup {
        fwdmode,
        one_arm: true,
        ..Setup::default()
    }
    .build();
    let macs: (MacAddr, MacAddr) = (CLIENT_MAC, LAN_MAC);
    let frame = frames::tcp(CLIENT, VIP).flags("S").frame(macs);
    let (port, received) = only(director.receive(LAN, &frame));
    assert_eq!(port, LAN);
    assert_eq!(received[..12], [DEST_MAC.0, LAN_MAC.0].concat());
}

/// A buffer without headroom is no reason to panic.
#[test]
fn a_tunnel_without_headroom_drops_and_counts() {
    let mut director = tunnel_director(Encapsulation::IpIp);
    let frame = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let packet = VecBuf::without_headroom(WAN, &frame);
    assert_eq!(director.receive_from(Origin::Nic, packet), []);
    assert_eq!(director.drops()[DropReason::NoHeadroom as usize], 1);
}
