//! Tunnels: the client's packet goes to the dest inside another packet.

use ipvs_core::{DropReason, Encapsulation, FwdMode, Origin, Protocol};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, director, syn, udp_director};

/// The outer IPv4 header of a frame, and its payload.
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

/// The reserved flag of an outer header is 0, also when the inner packet has it set (RFC 791, 3.1).
/// "Don't fragment" is copied from the inner packet (RFC 2003, 3.1).
#[rstest]
fn a_tunnel_does_not_take_over_the_reserved_flag(
    #[values(Encapsulation::IpIp, Encapsulation::Gre)] encapsulation: Encapsulation,
) {
    let mut director = tunnel_director(encapsulation);
    // The slow path forwards the first packet, the fast path the later ones.
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

/// Katran and YANET choose the outer source by flow, so that the dest's NIC and the routers on the
/// way tell flows apart.
#[rstest]
fn the_outer_source_is_spread_over_a_prefix_by_flow(
    #[values(Encapsulation::IpIp, Encapsulation::Gre, Encapsulation::Gue(6080))]
    encapsulation: Encapsulation,
) {
    let mut director = tunnel_director(encapsulation);
    let prefix: inet::Prefix = "10.99.0.0/16".parse().unwrap();
    director.edit(|service| service.dests[0].tunnel_spread = Some(prefix));
    let mut sources = std::collections::BTreeSet::new();
    for client in 40_000..40_020 {
        let from = format!("10.0.0.48:{client}");
        let sent = frames::udp(&from, VIP, b"ask", FROM_CLIENT);
        let mut source_of = || {
            let (_, received) = only(director.receive(WAN, &sent));
            let (header, _) = outer(&received);
            header.source
        };
        let source = source_of();
        assert_eq!(source[..2], [10, 99]);
        assert_eq!(source_of(), source, "a flow keeps its source");
        sources.insert(source);
    }
    assert!(sources.len() > 15, "{sources:?}");
}

fn tunnel_director(encapsulation: Encapsulation) -> Director {
    Setup {
        fwdmode: FwdMode::Tunnel(encapsulation),
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build()
}

/// RFC 1191. The MTU that the client is told is that of the link less the outer header.
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
    director.rejects(WAN, &frame, DropReason::NoTunnelSource);
}

/// A buffer without headroom must not make the engine panic.
#[test]
fn a_tunnel_without_headroom_drops_and_counts() {
    let mut director = tunnel_director(Encapsulation::IpIp);
    let frame = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let packet = VecBuf::without_headroom(WAN, &frame);
    assert_eq!(director.receive_from(Origin::Nic, packet), []);
    assert_eq!(director.drops()[DropReason::NoHeadroom as usize], 1);
}
