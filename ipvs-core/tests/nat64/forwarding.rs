//! TCP and UDP there and back, and what becomes of headers.

use etherparse::{Ipv4Header, Ipv6Header};
use ipvs_core::{DropReason, FwdMode, Protocol};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames;

use super::{L2_LEN, nat46, nat64, seen};

/// RFC 7915, 5.1. The hop limit is lowered by 1, the traffic class is kept, and only short packets
/// may be fragmented.
#[test]
fn nat64_tcp_goes_there_and_back_with_the_client_s_address() {
    let mut director = nat64(Protocol::Tcp);
    let opened = director.open_between(CLIENT6, VIP6, DEST);
    assert!(
        opened.laddr.starts_with("192.168.100.200:"),
        "{}",
        opened.laddr
    );
    assert_eq!(
        (
            opened.syn.dst.as_str(),
            opened.syn.ttl,
            opened.syn.checksums_right
        ),
        (DEST, 63, true)
    );
    assert_eq!((opened.syn.from, opened.syn.to), (LAN_MAC, DEST_MAC));
    let synack = &opened.syn_ack;
    assert_eq!((synack.src.as_str(), synack.dst.as_str()), (VIP6, CLIENT6));
    assert_eq!(
        (synack.ttl, synack.ack, synack.checksums_right),
        (63, 1001, true)
    );
    assert_eq!(
        synack.options,
        [2, 4, 5, 0xb4 - 20],
        "TOA grows it, the header shrinks it"
    );
    let toa = [
        &[254, 20][..],
        &40_000u16.to_be_bytes(),
        &[0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48],
    ];
    assert_eq!(opened.ack.options, toa.concat());
    assert!(opened.ack.checksums_right);

    let data = frames::tcp(CLIENT6, VIP6).flags("PA").seq(1001).ack(5001);
    let there = director.to_dest(&data.payload(b"GET /").frame(FROM_CLIENT));
    assert_eq!(
        (there.payload.as_slice(), there.checksums_right),
        (&b"GET /"[..], true)
    );
    let answer = frames::tcp(DEST, &opened.laddr).flags("PA").seq(5001);
    let answer = answer.ack(opened.isn_at_dest + 6).payload(b"200");
    let back = director.to_client(&answer.frame(FROM_DEST));
    assert_eq!((back.payload.as_slice(), back.ack), (&b"200"[..], 1006));
    assert!(back.checksums_right);
    let conns = director.conns();
    assert_eq!(conns.len(), 1);
    assert_eq!(conns[0].caddr.0.to_string(), "2001:db8:1::48");
    assert_eq!(conns[0].daddr.0.to_string(), "192.168.100.2");
}

#[test]
fn nat46_tcp_goes_there_and_back_with_the_client_s_address() {
    let mut director = nat46(Protocol::Tcp);
    let opened = director.open_between(CLIENT, VIP, DEST6);
    assert!(
        opened.laddr.starts_with("[2001:db8:100::200]:"),
        "{}",
        opened.laddr
    );
    assert!(opened.syn.checksums_right);
    let synack = &opened.syn_ack;
    assert_eq!((synack.src.as_str(), synack.dst.as_str()), (VIP, CLIENT));
    assert_eq!(
        synack.options,
        [2, 4, 5, 0xb4 - 8 - 20],
        "TOA and a longer header"
    );
    assert!(synack.checksums_right);
    assert_eq!(opened.ack.options, [254, 8, 0x9c, 0x40, 10, 0, 0, 48]);
    assert!(opened.ack.checksums_right);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

#[test]
fn udp_goes_there_and_back() {
    let mut director = nat64(Protocol::Udp);
    let there = director.to_dest(&frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT));
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST, true));
    let back = director.to_client(&frames::udp(DEST, &there.src, b"answer", FROM_DEST));
    assert_eq!(
        (back.src.as_str(), back.payload.as_slice()),
        (VIP6, &b"answer"[..])
    );
    assert!(back.checksums_right);

    let mut director = nat46(Protocol::Udp);
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST6, true));
    let back = director.to_client(&frames::udp(DEST6, &there.src, b"answer", FROM_DEST));
    assert_eq!(
        (back.src.as_str(), back.payload.as_slice()),
        (VIP, &b"answer"[..])
    );
    assert!(back.checksums_right);
}

/// RFC 7915, 4.5. A datagram that had no checksum over IPv4 gets one over IPv6.
#[test]
fn a_datagram_without_a_checksum_gets_one() {
    let mut director = nat46(Protocol::Udp);
    let mut none = frames::udp(CLIENT, VIP, b"odd", FROM_CLIENT);
    none[L2_LEN + 20 + 6..L2_LEN + 20 + 8].fill(0);
    let there = director.to_dest(&none);
    assert!(there.checksums_right);

    let mut director = nat64(Protocol::Udp);
    let there = director.to_dest(&frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT));
    let mut none = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    none[L2_LEN + 20 + 6..L2_LEN + 20 + 8].fill(0);
    assert!(director.to_client(&none).checksums_right);
}

/// RFC 7915, 4.1 and 5.1
#[test]
fn headers_carry_over_what_the_other_family_has() {
    let mut director = nat64(Protocol::Udp);
    let mut frame = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
    // Traffic class 0xb8, and a flow label, which IPv4 does not have.
    frame[L2_LEN..L2_LEN + 4].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45]);
    let (_, sent) = only(director.receive(WAN, &frame));
    let (first, _) = Ipv4Header::from_slice(&sent[L2_LEN..]).unwrap();
    assert_eq!(sent[L2_LEN + 1], 0xb8);
    assert!(!first.dont_fragment, "at most 1260 bytes");
    let (_, sent) = only(director.receive(WAN, &frame));
    let (second, _) = Ipv4Header::from_slice(&sent[L2_LEN..]).unwrap();
    assert_ne!(first.identification, second.identification);
    let long = frames::udp(CLIENT6, VIP6, &[7; 1300], FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &long));
    let (header, _) = Ipv4Header::from_slice(&sent[L2_LEN..]).unwrap();
    assert!(header.dont_fragment);

    let mut director = nat46(Protocol::Udp);
    let mut frame = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    frame[L2_LEN + 1] = 0xb8;
    frames::repair_ip(&mut frame);
    let (_, sent) = only(director.receive(WAN, &frame));
    assert_eq!(sent[12..14], [0x86, 0xdd]);
    assert_eq!(sent[L2_LEN..L2_LEN + 4], [0x6b, 0x80, 0, 0]);
    let (header, _) = Ipv6Header::from_slice(&sent[L2_LEN..]).unwrap();
    assert_eq!((header.hop_limit, header.next_header.0), (63, 17));
}

/// IPv4 options and IPv6 extension headers are not translated (RFC 7915, 4.1 and 5.1).
#[test]
fn options_and_extension_headers_are_left_behind() {
    let mut director = nat64(Protocol::Udp);
    let plain = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
    let (head, l4) = plain.split_at(L2_LEN + 40);
    let mut head = head.to_vec();
    head[L2_LEN + 6] = 60;
    head[L2_LEN + 5] += 8;
    let frame = [&head[..], &[17, 0, 1, 4, 0, 0, 0, 0], l4].concat();
    let there = director.to_dest(&frame);
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST, true));
    assert_eq!(
        (there.payload.as_slice(), there.total_len),
        (&b"ask"[..], 31)
    );
}

#[test]
fn what_does_not_fit_as_the_other_family_is_refused_with_what_does() {
    // 1480 bytes fit, since the other header is 20 bytes longer.
    let mut director = nat46(Protocol::Udp);
    let mut large = frames::udp(CLIENT, VIP, &[7; 1481 - 28], FROM_CLIENT);
    large[L2_LEN + 6] = 0x40;
    frames::repair_ip(&mut large);
    let (port, answer) = only(director.receive(WAN, &large));
    assert_eq!((port, seen(&answer).icmp), (WAN, Some((3, 4))));
    assert_eq!(answer[L2_LEN + 26..L2_LEN + 28], 1480u16.to_be_bytes());

    let mut director = Setup {
        protocol: Protocol::Udp,
        vip: VIP6,
        lan_mtu: 1400,
        ..Setup::default()
    }
    .build();
    let large = frames::udp(CLIENT6, VIP6, &[7; 1421 - 48], FROM_CLIENT);
    let (_, answer) = only(director.receive(WAN, &large));
    assert_eq!(seen(&answer).icmp, Some((2, 0)));
    assert_eq!(answer[L2_LEN + 44..L2_LEN + 48], 1420u32.to_be_bytes());
    let fits = frames::udp(CLIENT6, VIP6, &[7; 1420 - 48], FROM_CLIENT);
    assert_eq!(director.to_dest(&fits).total_len, 1400);
}

#[test]
fn an_expired_conn_is_reset_at_both_ends_in_their_families() {
    for (mut director, client, vip, server) in [
        (nat64(Protocol::Tcp), CLIENT6, VIP6, DEST),
        (nat46(Protocol::Tcp), CLIENT, VIP, DEST6),
    ] {
        let opened = director.open_between(client, vip, server);
        let sent = director.wait_s(1000);
        let resets: Vec<_> = sent.iter().map(|(_, frame)| seen(frame)).collect();
        let ends: Vec<_> = resets
            .iter()
            .map(|rst| (rst.src.as_str(), rst.dst.as_str()))
            .collect();
        assert_eq!(ends, [(vip, client), (opened.laddr.as_str(), server)]);
        assert!(resets.iter().all(|rst| rst.checksums_right));
    }
}

/// A service may have dests of both families. A conn has the family of its dest.
#[test]
fn a_service_may_have_dests_of_both_families() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        dests: vec![DEST, DEST6],
        laddrs: vec![LADDR, LADDR6],
        ..Setup::default()
    }
    .build();
    let mut dests: Vec<String> = (1..=4)
        .map(|port| {
            let from = format!("10.0.0.48:{port}");
            let seen = director.to_dest(&frames::udp(&from, VIP, b"ask", FROM_CLIENT));
            assert!(seen.checksums_right);
            seen.dst
        })
        .collect();
    dests.sort();
    assert_eq!(dests, [DEST, DEST, DEST6, DEST6]);
    assert_eq!(director.engine.stats().conns.get(), 4);
}

/// A buffer without headroom must not make the engine panic.
#[test]
fn a_longer_header_without_headroom_is_dropped_and_counted() {
    let mut director = nat46(Protocol::Udp);
    let frame = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let packet = VecBuf::without_headroom(WAN, &frame);
    assert_eq!(director.receive_from(ipvs_core::Origin::Nic, packet), []);
    assert_eq!(director.drops()[DropReason::NoHeadroom as usize], 1);
}

#[rstest]
#[case::fullnat(FwdMode::FullNat, LADDR6)]
#[case::nat(FwdMode::Nat, "64:ff9b::a00:30")]
fn random_frames_do_no_harm(#[case] fwdmode: FwdMode, #[case] seen6: &str) {
    let setup = Setup {
        protocol: Protocol::Udp,
        fwdmode,
        ..Setup::default()
    };
    let nat64 = Setup {
        vip: VIP6,
        ..setup.clone()
    };
    let nat46 = Setup {
        dests: vec![DEST6],
        laddrs: vec![LADDR6],
        ..setup
    };
    for (setup, samples) in [
        (nat64, samples_of(CLIENT6, VIP6, DEST, LADDR)),
        (nat46, samples_of(CLIENT, VIP, DEST6, seen6)),
    ] {
        let mut director = setup.build();
        director.withstand(&samples, 100_000);
        director.to_dest(&samples[0]);
    }
}

fn samples_of(client: &str, vip: &str, dest: &str, laddr: &str) -> Vec<Vec<u8>> {
    let addr_of = |end: &str| {
        end.parse::<std::net::SocketAddr>()
            .unwrap()
            .ip()
            .to_string()
    };
    let mut samples = vec![frames::udp(client, vip, b"ask", FROM_CLIENT)];
    for port in [1024, 1025, 1026] {
        let from = std::net::SocketAddr::new(laddr.parse().unwrap(), port).to_string();
        let answer = frames::udp(dest, &from, b"answer", FROM_DEST);
        let sent = frames::udp(&from, dest, b"ask", FROM_DEST);
        let back = frames::udp(vip, client, b"answer", FROM_CLIENT);
        samples.push(answer);
        samples.push(frames::unreachable(
            &addr_of(dest),
            laddr,
            &sent[L2_LEN..],
            FROM_DEST,
        ));
        samples.push(frames::unreachable(
            &addr_of(client),
            &addr_of(vip),
            &back[L2_LEN..],
            FROM_CLIENT,
        ));
    }
    samples
}
