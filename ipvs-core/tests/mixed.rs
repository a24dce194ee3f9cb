//! NAT64 and NAT46: clients of one address family, dests of the other (RFC 7915, features.md 1).

use etherparse::{Ipv4Header, Ipv6Header};
use ipvs_core::{DropReason, FwdMode, Protocol};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;
const ROUTER: &str = "192.168.100.9";
const ROUTER6: &str = "2001:db8:100::9";

fn nat64(protocol: Protocol) -> Director {
    Setup {
        protocol,
        vip: VIP6,
        ..Setup::default()
    }
    .build()
}

fn nat46(protocol: Protocol) -> Director {
    Setup {
        vip: VIP,
        ..setup6(protocol, FwdMode::FullNat)
    }
    .build()
}

fn seen(frame: &[u8]) -> Seen {
    Seen::parse(frame)
}

/// RFC 7915, 5.1: hop limit less one, traffic class kept, may be fragmented only if it is short.
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

/// RFC 7915, 4.5: what had no checksum over IPv4 must have one over IPv6.
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
    // Traffic class 0xb8, a flow label that IPv4 has no place for.
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

/// Options of IPv4 and extension headers of IPv6 go with the header that they belong to (RFC 7915, 4.1 and 5.1).
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
    // 1480 bytes and 20 more
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

/// RFC 7915, 4.2 and 4.3: from the dest's side, to a client with IPv6.
#[test]
fn nat64_translates_errors_of_icmp() {
    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    for (error, expected) in [
        (
            frames::unreachable("192.168.100.2", LADDR, &sent[L2_LEN..], FROM_DEST),
            (1, 4),
        ),
        // Only 8 bytes of the quoted L4, as RFC 792 promises
        (
            frames::unreachable(ROUTER, LADDR, &sent[L2_LEN..L2_LEN + 28], FROM_DEST),
            (1, 4),
        ),
        (
            frames::fragmentation_needed(ROUTER, LADDR, 1400, &sent[L2_LEN..], FROM_DEST),
            (2, 0),
        ),
    ] {
        let (port, frame) = only(director.receive(LAN, &error));
        let seen = seen(&frame);
        assert_eq!((port, seen.icmp), (WAN, Some(expected)));
        assert_eq!(
            (seen.src.as_str(), seen.dst.as_str()),
            ("2001:db8:1::100", "2001:db8:1::48")
        );
        assert!(seen.checksums_right);
        let (quoted, l4) = Ipv6Header::from_slice(&seen.payload).unwrap();
        assert_eq!(quoted.source_addr().to_string(), "2001:db8:1::48");
        assert_eq!(quoted.destination_addr().to_string(), "2001:db8:1::100");
        assert_eq!((quoted.next_header.0, quoted.hop_limit), (17, 63));
        assert_eq!(usize::from(quoted.payload_length), ask.len() - L2_LEN - 40);
        assert_eq!(
            l4[..8],
            ask[L2_LEN + 40..L2_LEN + 48],
            "ports, length and checksum of the client"
        );
        if expected == (2, 0) {
            assert_eq!(frame[L2_LEN + 44..L2_LEN + 48], 1420u32.to_be_bytes());
        }
    }
}

/// RFC 7915, 5.2 and 5.3: from the client's side, to a dest with IPv4.
#[test]
fn nat64_translates_errors_of_icmpv6() {
    let mut director = nat64(Protocol::Udp);
    let there = director.to_dest(&frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT));
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let vip = "2001:db8:1::100";
    for (error, expected) in [
        (
            frames::unreachable("2001:db8:1::48", vip, &back[L2_LEN..], FROM_CLIENT),
            (3, 3),
        ),
        (
            frames::fragmentation_needed("2001:db8:1::9", vip, 1400, &back[L2_LEN..], FROM_CLIENT),
            (3, 4),
        ),
    ] {
        let (port, frame) = only(director.receive(WAN, &error));
        let seen = seen(&frame);
        assert_eq!((port, seen.icmp), (LAN, Some(expected)));
        assert_eq!(
            (seen.src.as_str(), seen.dst.as_str()),
            (LADDR, "192.168.100.2")
        );
        assert!(seen.checksums_right);
        let (quoted, l4) = Ipv4Header::from_slice(&seen.payload).unwrap();
        assert_eq!(quoted.header_checksum, quoted.calc_header_checksum());
        assert_eq!(
            (quoted.source, quoted.destination),
            ([192, 168, 100, 2], [192, 168, 100, 200])
        );
        assert_eq!(l4, &answer[L2_LEN + 20..], "as the dest had sent it");
        if expected == (3, 4) {
            assert_eq!(frame[L2_LEN + 26..L2_LEN + 28], 1380u16.to_be_bytes());
        }
    }
}

#[test]
fn nat46_translates_errors_both_ways() {
    let mut director = nat46(Protocol::Udp);
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    let laddr = seen(&sent).src;
    let error = frames::fragmentation_needed(ROUTER6, LADDR6, 1400, &sent[L2_LEN..], FROM_DEST);
    let (port, frame) = only(director.receive(LAN, &error));
    let to_client = seen(&frame);
    assert_eq!((port, to_client.icmp), (WAN, Some((3, 4))));
    assert_eq!(
        (to_client.src.as_str(), to_client.dst.as_str()),
        ("10.0.0.100", "10.0.0.48")
    );
    assert_eq!(frame[L2_LEN + 26..L2_LEN + 28], 1380u16.to_be_bytes());
    assert!(to_client.checksums_right);
    assert_eq!(to_client.payload[20..], ask[L2_LEN + 20..]);

    let answer = frames::udp(DEST6, &laddr, b"answer", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let error = frames::unreachable("10.0.0.48", "10.0.0.100", &back[L2_LEN..], FROM_CLIENT);
    let (port, frame) = only(director.receive(WAN, &error));
    let to_dest = seen(&frame);
    assert_eq!((port, to_dest.icmp), (LAN, Some((1, 4))));
    assert_eq!(
        (to_dest.src.as_str(), to_dest.dst.as_str()),
        (LADDR6, "2001:db8:100::2")
    );
    assert!(to_dest.checksums_right);
    assert_eq!(to_dest.payload[40..], answer[L2_LEN + 40..]);
}

/// RFC 7915, figure 3: what points at a field that the other header has not is dropped.
#[test]
fn errors_that_say_nothing_in_the_other_family_are_dropped() {
    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    let mut error = frames::unreachable(ROUTER, LADDR, &sent[L2_LEN..], FROM_DEST);
    // Parameter problem: the header checksum
    error[34..42].copy_from_slice(&[12, 0, 0, 0, 10, 0, 0, 0]);
    let sum = packet::checksum::checksum(&error[34..]);
    error[36..38].copy_from_slice(&sum.to_be_bytes());
    director.refuses(LAN, &error, DropReason::IcmpUntranslatable);
}

/// Cuts an IPv4 datagram in two at this byte of its payload.
fn cut_v4(frame: &[u8], at: usize) -> [Vec<u8>; 2] {
    let (header, payload) = Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
    [(0, true), (at, false)].map(|(from, more)| {
        let part = if more {
            &payload[..at]
        } else {
            &payload[from..]
        };
        let mut fragment = frame[..L2_LEN + 20].to_vec();
        fragment.extend(part);
        fragment[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        fragment[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&4711u16.to_be_bytes());
        let field = (from / 8) as u16 | u16::from(more) << 13;
        fragment[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
        frames::repair_ip(&mut fragment);
        assert_eq!(header.protocol.0, 17);
        fragment
    })
}

/// The same of IPv6.
fn cut_v6(frame: &[u8], at: usize) -> [Vec<u8>; 2] {
    let (head, l4) = frame.split_at(L2_LEN + 40);
    [(0, true), (at, false)].map(|(from, more)| {
        let part = if more { &l4[..at] } else { &l4[from..] };
        let mut head = head.to_vec();
        head[L2_LEN + 6] = 44;
        head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
        let [high, low] = (from as u16 | u16::from(more)).to_be_bytes();
        [&head[..], &[17, 0, high, low, 0, 1, 0x12, 0x67], part].concat()
    })
}

/// Options for the destination, and the header behind them: RFC 8200, 4.6.
fn with_options(mut frame: Vec<u8>) -> Vec<u8> {
    let next = frame[L2_LEN + 6];
    let l4_at = L2_LEN + 40;
    frame.splice(l4_at..l4_at, [next, 0, 1, 4, 0, 0, 0, 0]);
    frame
}

/// The same cut in two: what is cut begins with the options, and all offsets count from there (RFC 8200, 4.5).
fn cut_with_options(frame: Vec<u8>, at: usize) -> [Vec<u8>; 2] {
    cut_v6(&with_options(frame), at).map(|mut fragment| {
        fragment[L2_LEN + 40] = 60;
        fragment
    })
}

/// RFC 7915, 5.1: options are left out, so that what is behind them has other offsets.
#[rstest]
fn fragments_with_options_before_their_ports_are_translated(
    #[values(false, true)] last_comes_first: bool,
) {
    let pass = |director: &mut Director, port, mut fragments: [Vec<u8>; 2]| {
        if last_comes_first {
            fragments.reverse();
        }
        let sent = fragments.map(|fragment| director.receive(port, &fragment));
        let frames = sent.into_iter().flatten().map(|(_, frame)| frame);
        frames.collect::<Vec<_>>()
    };
    let payload: Vec<u8> = (0..=255).cycle().take(600).collect();

    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, &payload, FROM_CLIENT);
    let there = pass(&mut director, WAN, cut_with_options(ask, 304));
    let there = join_v4(there);
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST, true));
    assert_eq!(there.payload, payload);

    let mut director = nat46(Protocol::Udp);
    let ask = frames::udp(CLIENT, VIP, &payload, FROM_CLIENT);
    let there = seen(&only(director.receive(WAN, &ask)).1);
    let answer = frames::udp(DEST6, &there.src, &payload, FROM_DEST);
    let back = pass(&mut director, LAN, cut_with_options(answer, 304));
    let back = join_v4(back);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP, CLIENT));
    assert!(back.checksums_right && back.payload == payload);
    assert_eq!(director.engine.stats().held.get(), 0);
}

/// RFC 5722 and RFC 3128: without the options such a fragment would be another first one, or would overwrite the header.
#[rstest]
#[case::within_the_options(Protocol::Udp, 8, DropReason::Fragment)]
#[case::of_tcp_s_flags(Protocol::Tcp, 16, DropReason::TinyFragment)]
fn fragments_over_the_header_behind_options_are_dropped(
    #[case] protocol: Protocol,
    #[case] at: usize,
    #[case] reason: DropReason,
) {
    let mut director = nat64(protocol);
    let frame = if protocol == Protocol::Tcp {
        let syn = frames::tcp(CLIENT6, VIP6).flags("S");
        syn.payload(&[0; 100]).frame(FROM_CLIENT)
    } else {
        frames::udp(CLIENT6, VIP6, &[7; 100], FROM_CLIENT)
    };
    let [first, _] = cut_with_options(frame.clone(), 56);
    let [_, overlapping] = cut_with_options(frame, at);
    assert_eq!(director.receive(WAN, &first).len(), 1);
    director.refuses(WAN, &overlapping, reason);
}

/// Puts two fragments of IPv4 together, whichever comes first.
fn join_v4(mut fragments: Vec<Vec<u8>>) -> Seen {
    fragments.sort_by_key(|fragment| [fragment[L2_LEN + 6] & 0x1f, fragment[L2_LEN + 7]]);
    let mut end = 0;
    for fragment in &fragments {
        let (header, payload) = Ipv4Header::from_slice(&fragment[L2_LEN..]).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(
            header.identification, 0x1267,
            "RFC 7915, 5.1.1: the low bits"
        );
        assert_eq!(usize::from(header.fragment_offset.value()) * 8, end);
        end += payload.len();
    }
    let l4: Vec<u8> = fragments
        .iter()
        .flat_map(|fragment| fragment[L2_LEN + 20..].to_vec())
        .collect();
    let mut whole = [&fragments[0][..L2_LEN + 20], &l4].concat();
    whole[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&(20 + l4.len() as u16).to_be_bytes());
    whole[L2_LEN + 6..L2_LEN + 8].fill(0);
    frames::repair_ip(&mut whole);
    seen(&whole)
}

fn join_v6(mut fragments: Vec<Vec<u8>>) -> Seen {
    fragments.sort_by_key(|fragment| [fragment[L2_LEN + 42], fragment[L2_LEN + 43] & 0xf8]);
    for fragment in &fragments {
        assert_eq!(fragment[L2_LEN + 6], 44);
        assert_eq!(fragment[L2_LEN + 40], 17);
        assert_eq!(fragment[L2_LEN + 44..L2_LEN + 48], 4711u32.to_be_bytes());
    }
    let l4: Vec<u8> = fragments
        .iter()
        .flat_map(|fragment| fragment[L2_LEN + 48..].to_vec())
        .collect();
    let mut whole = [&fragments[0][..L2_LEN + 40], &l4].concat();
    whole[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(l4.len() as u16).to_be_bytes());
    whole[L2_LEN + 6] = 17;
    seen(&whole)
}

/// RFC 7915, 4.1 and 5.1.1: a fragment becomes one of the other family, in whatever order they come.
#[rstest]
fn fragments_become_those_of_the_other_family(#[values(false, true)] last_comes_first: bool) {
    let order = |mut fragments: [Vec<u8>; 2]| {
        if last_comes_first {
            fragments.reverse();
        }
        fragments
    };
    let pass = |director: &mut Director, port, fragments: [Vec<u8>; 2]| {
        let sent = order(fragments).map(|fragment| director.receive(port, &fragment));
        sent.into_iter()
            .flatten()
            .map(|(_, frame)| frame)
            .collect::<Vec<_>>()
    };
    let payload: Vec<u8> = (0..=255).cycle().take(600).collect();

    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, &payload, FROM_CLIENT);
    let there = join_v4(pass(&mut director, WAN, cut_v6(&ask, 304)));
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST, true));
    assert_eq!(there.payload, payload);
    let answer = frames::udp(DEST, &there.src, &payload, FROM_DEST);
    let back = join_v6(pass(&mut director, LAN, cut_v4(&answer, 304)));
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP6, CLIENT6));
    assert!(back.checksums_right && back.payload == payload);

    let mut director = nat46(Protocol::Udp);
    let ask = frames::udp(CLIENT, VIP, &payload, FROM_CLIENT);
    let there = join_v6(pass(&mut director, WAN, cut_v4(&ask, 304)));
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST6, true));
    let answer = frames::udp(DEST6, &there.src, &payload, FROM_DEST);
    let back = join_v4(pass(&mut director, LAN, cut_v6(&answer, 304)));
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP, CLIENT));
    assert!(back.checksums_right && back.payload == payload);
    assert_eq!(director.engine.stats().held.get(), 0);

    // RFC 7915, 4.5: no checksum, no way.
    let mut none = frames::udp(CLIENT, VIP, &payload, FROM_CLIENT);
    none[L2_LEN + 26..L2_LEN + 28].fill(0);
    let [first, _] = cut_v4(&none, 304);
    director.refuses(WAN, &first, DropReason::Fragment);
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

/// A service with dests of both families: each conn by its own dest's.
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

/// A buffer without headroom is no reason to panic.
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
