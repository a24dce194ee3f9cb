//! Tunnels of IPv6, in IPv6, or both.

use ipvs_core::{Encapsulation, FwdMode, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{CLIENT_ADDR, DEST_ADDR, HEADER_LEN, L2_LEN, VIP_ADDR, director};

/// The packet behind the outer header and the tunnel's header, as a frame.
fn unpacked(frame: &[u8], outer_len: usize, shim_len: usize) -> Seen {
    let inner = &frame[L2_LEN + outer_len + shim_len..];
    let ethertype: [u8; 2] = if inner[0] >> 4 == 4 {
        [8, 0]
    } else {
        [0x86, 0xdd]
    };
    Seen::parse(&[&frame[..12], &ethertype, inner].concat())
}

/// IP in IP (RFC 2003, RFC 2473, RFC 4213), GRE (RFC 2784, RFC 7676) and GUE for all four
/// combinations of families.
#[rstest]
fn a_tunnel_carries_either_family_over_either(
    #[values((CLIENT, VIP), (CLIENT6, VIP6))] (client, vip): (&'static str, &'static str),
    #[values((DEST, LADDR), (DEST6, LADDR6))] (dest, laddr): (&'static str, &'static str),
    #[values(Encapsulation::IpIp, Encapsulation::Gre, Encapsulation::Gue(6080))]
    encapsulation: Encapsulation,
) {
    let mut director = Setup {
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        ..setup6(Protocol::Udp, FwdMode::Tunnel(encapsulation))
    }
    .build();
    let (port, received) =
        only(director.receive(WAN, &frames::udp(client, vip, b"ask", FROM_CLIENT)));
    assert_eq!((port, &received[..6]), (LAN, &DEST_MAC.0[..]));
    let is_inside_v4 = vip == VIP;
    let inside: (u8, [u8; 2]) = if is_inside_v4 {
        (4, [8, 0])
    } else {
        (41, [0x86, 0xdd])
    };
    let (protocol, shim_len) = match encapsulation {
        Encapsulation::IpIp => (inside.0, 0),
        Encapsulation::Gre => (47, 4),
        Encapsulation::Gue(_) => (17, 12),
    };
    let outer_len = if dest == DEST {
        let outer = etherparse::Ipv4Header::from_slice(&received[L2_LEN..])
            .unwrap()
            .0;
        assert_eq!(received[12..14], [8, 0]);
        assert_eq!((outer.protocol.0, outer.time_to_live), (protocol, 64));
        assert_eq!(std::net::Ipv4Addr::from(outer.source).to_string(), LADDR);
        assert_eq!(outer.header_checksum, outer.calc_header_checksum());
        assert_eq!(usize::from(outer.total_len), received.len() - L2_LEN);
        20
    } else {
        let outer = etherparse::Ipv6Header::from_slice(&received[L2_LEN..])
            .unwrap()
            .0;
        assert_eq!(received[12..14], [0x86, 0xdd]);
        assert_eq!((outer.next_header.0, outer.hop_limit), (protocol, 64));
        assert_eq!(outer.source_addr().to_string(), LADDR6);
        assert_eq!(outer.destination_addr().to_string(), DEST_ADDR);
        let len = usize::from(outer.payload_length);
        assert_eq!(len, received.len() - L2_LEN - HEADER_LEN);
        HEADER_LEN
    };
    let shim = &received[L2_LEN + outer_len..][..shim_len];
    match encapsulation {
        Encapsulation::IpIp => {}
        Encapsulation::Gre => assert_eq!(shim, [&[0, 0][..], &inside.1].concat()),
        Encapsulation::Gue(port) => {
            assert_eq!(shim[2..4], port.to_be_bytes());
            assert_eq!(
                shim[6..],
                [0, 0, 0, inside.0, 0, 0],
                "RFC 6935: no checksum"
            );
        }
    }
    let inner = unpacked(&received, outer_len, shim_len);
    assert_eq!((inner.src.as_str(), inner.dst.as_str()), (client, vip));
    assert_eq!((inner.ttl, inner.checksums_right), (63, true));
    assert_eq!(director.states(), ["UDP_NORMAL"]);
}

/// RFC 2003, 4 and RFC 2473, 8. A router between director and dest sends an error about the outer
/// packet. The client gets an error about its own packet.
#[rstest]
fn errors_from_a_tunnel_s_way_reach_the_client(
    #[values((CLIENT, VIP), (CLIENT6, VIP6))] (client, vip): (&'static str, &'static str),
    #[values((DEST, LADDR, "192.168.100.9"), (DEST6, LADDR6, "2001:db8:100::9"))]
    (dest, laddr, router): (&'static str, &'static str, &'static str),
    #[values(Encapsulation::IpIp, Encapsulation::Gre, Encapsulation::Gue(6080))]
    encapsulation: Encapsulation,
) {
    let mut director = Setup {
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        ..setup6(Protocol::Udp, FwdMode::Tunnel(encapsulation))
    }
    .build();
    let asked = frames::udp(client, vip, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &asked));
    let addr_of = |end: &str| {
        end.parse::<std::net::SocketAddr>()
            .unwrap()
            .ip()
            .to_string()
    };
    let overhead = (sent.len() - asked.len()) as u32;
    let quoted = &sent[L2_LEN..];
    let is_v4 = vip == VIP;
    let too_big = frames::fragmentation_needed(router, laddr, 1400, quoted, FROM_DEST);
    let (port, frame) = only(director.receive(LAN, &too_big));
    let seen = Seen::parse(&frame);
    assert_eq!(port, WAN);
    assert_eq!(
        (seen.src.clone(), seen.dst.clone()),
        (addr_of(vip), addr_of(client))
    );
    assert!(seen.checksums_right);
    let mut own = asked[L2_LEN..].to_vec();
    own[if is_v4 { 8 } else { 7 }] -= 1;
    let l4_at = if is_v4 { 20 } else { 40 };
    assert_eq!(
        seen.payload[l4_at..],
        own[l4_at..],
        "the client's own packet"
    );
    let told = |frame: &[u8]| frame[L2_LEN + l4_at + 4..L2_LEN + l4_at + 8].to_vec();
    if is_v4 {
        assert_eq!(
            (seen.icmp, told(&frame)),
            (Some((3, 4)), (1400 - overhead).to_be_bytes().to_vec())
        );
    } else {
        let mtu = (1400 - overhead).max(1280);
        assert_eq!(
            (seen.icmp, told(&frame)),
            (Some((2, 0)), mtu.to_be_bytes().to_vec())
        );
    }
    let unreachable = frames::unreachable(router, laddr, quoted, FROM_DEST);
    let seen = Seen::parse(&only(director.receive(LAN, &unreachable)).1);
    assert_eq!(seen.icmp, Some(if is_v4 { (3, 1) } else { (1, 3) }));
    // An error that quotes too little, or whose checksum is wrong, is not translated.
    let cut = frames::unreachable(router, laddr, &quoted[..28], FROM_DEST);
    assert_eq!(director.receive(LAN, &cut), []);
    let mut wrong = unreachable;
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(director.receive(LAN, &wrong), []);
}

/// RFC 2473, 7.1 and RFC 4443, 3.2. Routers do not fragment IPv6 packets.
#[test]
fn what_does_not_fit_a_tunnel_is_too_big_by_the_outer_header() {
    let mut director = director(Protocol::Udp, FwdMode::Tunnel(Encapsulation::IpIp));
    let fits = 1500 - 2 * HEADER_LEN - 8;
    let large = frames::udp(CLIENT6, VIP6, &vec![7; fits + 1], FROM_CLIENT);
    let answer = one(director.receive(WAN, &large), WAN);
    assert_eq!(answer.icmp, Some((2, 0)));
    assert_eq!(
        (answer.src.as_str(), answer.dst.as_str()),
        (VIP_ADDR, CLIENT_ADDR)
    );
    assert!(answer.checksums_right);
    let (_, frame) = only(director.receive(WAN, &large));
    assert_eq!(frame[L2_LEN + HEADER_LEN + 4..][..4], 1460u32.to_be_bytes());
    assert_eq!(answer.payload[..], large[L2_LEN..][..answer.payload.len()]);
    assert!(usize::from(answer.total_len) <= 1280, "RFC 4443, 2.4 (c)");
    let fits = frames::udp(CLIENT6, VIP6, &vec![7; fits], FROM_CLIENT);
    assert_eq!(only(director.receive(WAN, &fits)).1.len(), L2_LEN + 1500);
}
