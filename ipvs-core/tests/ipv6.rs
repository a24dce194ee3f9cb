//! Every mode with IPv6, rule by rule.

use std::sync::Arc;

use inet::IfIndex;
use ipvs_core::{
    Access, Dest, DestId, DeviceName, DropReason, Encapsulation, Event, FwdMode, Match, Origin,
    Plan, Protocol, SchedulerKind, Service, ServiceId, ServiceKey, ServiceOptions,
};
use packet::MacAddr;
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;
/// RFC 8200, 3
const HEADER_LEN: usize = 40;
const HOP_LIMIT_AT: usize = L2_LEN + 7;
const CLIENT_ADDR: &str = "2001:db8:1::48";
const VIP_ADDR: &str = "2001:db8:1::100";
const DEST_ADDR: &str = "2001:db8:100::2";

fn director(protocol: Protocol, fwdmode: FwdMode) -> Director {
    setup6(protocol, fwdmode).build()
}

fn syn() -> Vec<u8> {
    let segment = frames::tcp(CLIENT6, VIP6).flags("S").seq(1000);
    segment.options(&SYN_OPTIONS).frame(FROM_CLIENT)
}

fn question() -> Vec<u8> {
    frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT)
}

/// Puts extension headers between the IPv6 header and what followed it (RFC 8200, 4). Each is its number and its
/// bytes after the next header field.
fn extended(frame: &[u8], extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let (head, l4) = frame.split_at(L2_LEN + HEADER_LEN);
    let mut head = head.to_vec();
    let protocol = head[L2_LEN + 6];
    head[L2_LEN + 6] = extensions.first().map_or(protocol, |(number, _)| *number);
    let mut chain = Vec::new();
    for (at, (_, rest)) in extensions.iter().enumerate() {
        let next = extensions.get(at + 1);
        chain.push(next.map_or(protocol, |(number, _)| *number));
        chain.extend(*rest);
    }
    let len = (chain.len() + l4.len()) as u16;
    head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&len.to_be_bytes());
    [head, chain, l4.to_vec()].concat()
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
/// An options header of 8 bytes: PadN (RFC 8200, 4.2).
const PADDING: &[u8] = &[0, 1, 4, 0, 0, 0, 0];

/// FullNAT design 4.4.1 and 4.4.2 with 20 bytes of TOA, and the IPv6 of features.md 4.
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

/// Replies reach any worker: the one that owns the local port gets them.
#[test]
fn a_reply_at_another_worker_is_handed_over() {
    let mut director = Setup {
        workers: 2,
        ..setup6(Protocol::Udp, FwdMode::FullNat)
    }
    .build();
    let reply = frames::udp(DEST6, "[2001:db8:100::200]:1025", b"", FROM_DEST);
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
    director.refuses(LAN, &stray.frame(FROM_DEST), DropReason::NatNoConn);
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

/// What a tunnel's end finds behind the outer header and the shim, as a frame.
fn unpacked(frame: &[u8], outer_len: usize, shim_len: usize) -> Seen {
    let inner = &frame[L2_LEN + outer_len + shim_len..];
    let ethertype: [u8; 2] = if inner[0] >> 4 == 4 {
        [8, 0]
    } else {
        [0x86, 0xdd]
    };
    Seen::parse(&[&frame[..12], &ethertype, inner].concat())
}

/// IP in IP (RFC 2003, RFC 2473, RFC 4213), GRE (RFC 2784, RFC 7676) and GUE for all four combinations of families.
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

/// RFC 2003, 4 and RFC 2473, 8: a router on a tunnel's way complains about the outer packet; the client hears of its
/// own.
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
    // Too little of it, or a wrong checksum, tells nobody anything.
    let cut = frames::unreachable(router, laddr, &quoted[..28], FROM_DEST);
    assert_eq!(director.receive(LAN, &cut), []);
    let mut wrong = unreachable;
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(director.receive(LAN, &wrong), []);
}

/// RFC 2473, 7.1 and RFC 4443, 3.2: an IPv6 packet never is fragmented on its way.
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

/// RFC 4443, 3.3
#[test]
fn a_hop_limit_that_ends_here_is_told() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let mut last = question();
    last[HOP_LIMIT_AT] = 1;
    let answer = one(director.receive(WAN, &last), WAN);
    assert_eq!(
        (answer.icmp, answer.dst.as_str()),
        (Some((3, 0)), CLIENT_ADDR)
    );
    assert!(answer.checksums_right);
    assert_eq!(director.drops()[DropReason::TtlExpired as usize], 1);
}

/// An error about what the dest was sent reaches the client as one about what it sent, and the other way round.
#[test]
fn errors_about_both_directions_are_translated() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let (_, sent) = only(director.receive(WAN, &question()));
    let laddr = Seen::parse(&sent).src;
    let error = frames::unreachable(DEST_ADDR, LADDR6, &sent[L2_LEN..], FROM_DEST);
    let seen = director.to_client(&error);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (VIP_ADDR, CLIENT_ADDR)
    );
    assert_eq!((seen.icmp, seen.checksums_right), (Some((1, 4)), true));
    let mut own = question();
    own[HOP_LIMIT_AT] -= 1;
    assert_eq!(
        seen.payload,
        own[L2_LEN..],
        "the client's own packet, checksum too"
    );

    let answer = frames::udp(DEST6, &laddr, b"answer", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let error = frames::fragmentation_needed(
        "2001:db8:1::9",
        VIP_ADDR,
        1400,
        &back[L2_LEN..],
        FROM_CLIENT,
    );
    let seen = director.to_dest(&error);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (LADDR6, DEST_ADDR));
    assert_eq!((seen.icmp, seen.checksums_right), (Some((2, 0)), true));
    assert_eq!(
        seen.payload[8..],
        {
            let mut own = answer[L2_LEN..].to_vec();
            own[7] -= 1;
            own
        }[8..]
    );
}

#[test]
fn errors_that_are_cut_or_about_nothing_are_dropped() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let stray = frames::udp("[2001:db8:100::200]:2000", DEST6, b"", FROM_DEST);
    let about = |quoted: &[u8]| frames::unreachable(DEST_ADDR, LADDR6, quoted, FROM_DEST);
    director.refuses(LAN, &about(&stray[L2_LEN..]), DropReason::IcmpNoConn);
    for len in 0..HEADER_LEN + 8 {
        let cut = &stray[L2_LEN..][..len];
        director.refuses(LAN, &about(cut), DropReason::IcmpMalformed);
    }
    let mut wrong = about(&stray[L2_LEN..]);
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(LAN, &wrong, DropReason::IcmpBadChecksum);
}

/// RFC 4443, 4.2
#[test]
fn the_director_answers_pings_to_its_addresses() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let ping = frames::echo_request(CLIENT_ADDR, VIP_ADDR, b"data", FROM_CLIENT);
    let reply = one(director.receive(WAN, &ping), WAN);
    assert_eq!(
        (reply.icmp, reply.payload.as_slice()),
        (Some((129, 0)), &b"data"[..])
    );
    assert_eq!(
        (reply.src.as_str(), reply.dst.as_str()),
        (VIP_ADDR, CLIENT_ADDR)
    );
    assert!(reply.checksums_right);
    let other = frames::echo_request(CLIENT_ADDR, "2001:db8:1::99", b"", FROM_CLIENT);
    director.receive(WAN, &other);
    assert_eq!(director.wire.to_kernel.len(), 1);
}

/// Extension headers stay where they are; what is above them is found (RFC 8200, 4.1).
#[test]
fn extension_headers_are_walked_and_kept() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let frame = extended(
        &question(),
        &[(HOP_BY_HOP, PADDING), (DESTINATION, PADDING)],
    );
    let (_, received) = only(director.receive(WAN, &frame));
    assert_eq!(
        received[L2_LEN + HEADER_LEN..][..16],
        frame[L2_LEN + HEADER_LEN..][..16]
    );
    let seen = Seen::parse(&received);
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST6, true));
    assert_eq!(seen.payload, b"ask");
}

#[test]
fn extension_headers_without_end_and_source_routes_are_dropped() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let many = extended(&question(), &[(DESTINATION, PADDING); 9]);
    director.refuses(WAN, &many, DropReason::Ipv6Extensions);
    // RFC 5095: type 0 with a segment left
    let routed = extended(&question(), &[(ROUTING, &[0, 0, 1, 0, 0, 0, 0])]);
    director.refuses(WAN, &routed, DropReason::Ipv6SourceRoute);
    let past_the_end = extended(&question(), &[(DESTINATION, &[200, 1, 4, 0, 0, 0, 0])]);
    let before = director.drops();
    assert_eq!(director.receive(WAN, &past_the_end), []);
    assert_ne!(director.drops(), before);
}

/// Cuts a datagram into fragments (RFC 8200, 4.5).
fn cut(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, l4) = frame.split_at(L2_LEN + HEADER_LEN);
    let count = l4.len().div_ceil(size);
    let part = |at: usize| &l4[at * size..l4.len().min((at + 1) * size)];
    (0..count)
        .map(|at| {
            let offset = (at * size) as u16 | u16::from(at + 1 < count);
            let [high, low] = offset.to_be_bytes();
            let whole = [head, part(at)].concat();
            extended(&whole, &[(FRAGMENT, &[0, high, low, 0, 0, 0x12, 0x67])])
        })
        .collect()
}

/// Puts them together again, without options for the destination.
fn join(fragments: &[Vec<u8>]) -> Seen {
    let l4_at = L2_LEN + HEADER_LEN + 8;
    let mut parts: Vec<(u16, &[u8])> = fragments
        .iter()
        .map(|fragment| {
            let offset = [fragment[l4_at - 6], fragment[l4_at - 5]];
            (u16::from_be_bytes(offset) & 0xfff8, &fragment[l4_at..])
        })
        .collect();
    parts.sort_unstable();
    let mut l4: Vec<u8> = parts.iter().flat_map(|(_, part)| *part).copied().collect();
    if fragments[0][l4_at - 8] == DESTINATION {
        l4.drain(..8);
    }
    let mut head = fragments[0][..L2_LEN + HEADER_LEN].to_vec();
    head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(l4.len() as u16).to_be_bytes());
    head[L2_LEN + 6] = 17;
    Seen::parse(&[head, l4].concat())
}

#[rstest]
#[case::in_order([0, 1, 2])]
#[case::the_first_in_the_middle([1, 0, 2])]
#[case::the_first_at_last([2, 1, 0])]
fn fragments_arrive_whole(
    #[case] order: [usize; 3],
    #[values(true, false)] in_one_batch: bool,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(&[], &[(DESTINATION, PADDING)])] options: &[(u8, &[u8])],
) {
    let mut director = director(Protocol::Udp, fwdmode);
    let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let datagram = frames::udp(CLIENT6, VIP6, &payload, FROM_CLIENT);
    let whole = cut(&extended(&datagram, options), 400);
    let fragments: Vec<_> = order.iter().map(|at| whole[*at].clone()).collect();
    let batch = if in_one_batch { 3 } else { 1 };
    for fragments in fragments.chunks(batch) {
        let packets = fragments.iter().map(|fragment| VecBuf::new(WAN, fragment));
        director
            .engine
            .process(director.now, Origin::Nic, packets, &mut director.wire);
        director.check_that_every_packet_has_its_end();
    }
    let sent = std::mem::take(&mut director.wire.sent);
    assert!(sent.iter().all(|(port, _)| *port == LAN));
    let sent: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(sent.len(), 3);
    let seen = join(&sent);
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST6, true));
    assert_eq!(seen.payload, payload);
    assert_eq!(director.engine.stats().conns.get(), 1);
}

/// RFC 4861, 7.2.3 and 7.2.4
#[test]
fn the_director_answers_who_asks_for_its_addresses() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let asked = frames::neighbour_solicitation((CLIENT_ADDR, CLIENT_MAC), VIP_ADDR);
    let (port, answer) = only(director.receive(WAN, &asked));
    let seen = Seen::parse(&answer);
    assert_eq!((port, seen.icmp, seen.ttl), (WAN, Some((136, 0)), 255));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (VIP_ADDR, CLIENT_ADDR)
    );
    assert_eq!((seen.to, seen.checksums_right), (CLIENT_MAC, true));
    let body = &answer[L2_LEN + HEADER_LEN + 4..];
    assert_eq!(body[0] & 0x60, 0x60, "solicited, override");
    assert_eq!(body[20..28], [&[2, 1][..], &WAN_MAC.0].concat());
    let other = frames::neighbour_solicitation((CLIENT_ADDR, CLIENT_MAC), "2001:db8:1::77");
    director.receive(WAN, &other);
    assert_eq!(director.wire.to_kernel.len(), 1);
    let mut broken = asked;
    *broken.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &broken, DropReason::NdMalformed);
}

#[test]
fn the_first_packets_wait_until_the_neighbour_is_known() {
    let mut director = Setup {
        resolve: false,
        ..setup6(Protocol::Udp, FwdMode::FullNat)
    }
    .build();
    assert_eq!(director.receive(WAN, &question()), []);
    let is_asked = director.wire.events.iter().any(|event| {
        matches!(event, Event::Resolve { ifindex: IfIndex(1), addr } if addr.to_string() == DEST_ADDR)
    });
    assert!(is_asked, "{:?}", director.wire.events);
    let told = frames::neighbour_advertisement((DEST_ADDR, DEST_MAC), (LADDR6, LAN_MAC));
    director.receive(LAN, &told);
    let Some(Event::Neighbour(news)) = director.wire.events.pop() else {
        panic!("no news")
    };
    assert_eq!(
        (news.addr.to_string().as_str(), news.mac),
        (DEST_ADDR, DEST_MAC)
    );
    director.neighbours.learn(0, &news);
    director.publish();
    let seen = one(std::mem::take(&mut director.wire.sent), LAN);
    assert_eq!((seen.dst.as_str(), seen.to), (DEST6, DEST_MAC));
    director.check_that_every_packet_has_its_end();
}

#[test]
fn frames_cut_anywhere_martians_and_wrong_checksums_are_dropped() {
    let mut director = director(Protocol::Tcp, FwdMode::FullNat);
    let syn = syn();
    for len in 0..syn.len() {
        let reason = if len < L2_LEN + HEADER_LEN {
            DropReason::FrameTooShort
        } else {
            DropReason::Ipv6Malformed
        };
        director.refuses(WAN, &syn[..len], reason);
    }
    for src in ["[::1]:1", "[::]:1", "[ff02::1]:1", "[::ffff:10.0.0.48]:1"] {
        let frame = frames::tcp(src, VIP6).flags("S").frame(FROM_CLIENT);
        director.refuses(WAN, &frame, DropReason::Ipv6Martian);
    }
    let land = frames::tcp(VIP6, VIP6).flags("S").frame(FROM_CLIENT);
    director.refuses(WAN, &land, DropReason::LandAttack);
    let mut wrong = syn;
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &wrong, DropReason::TcpBadChecksum);
    director.open_between(CLIENT6, VIP6, DEST6);
}

const HOST: &str = "[2001:db8:100::2]:40000";
const WORLD: &str = "[2001:db8:1::48]:80";

/// `-A -s rr -H af=ipv6,proto=P,src-range=2001:db8:100::-2001:db8:100::ffff,oif=dpdk1`
fn snat_director(protocol: Protocol) -> Director {
    let mut director = director(protocol, FwdMode::FullNat);
    let full_nat = director.snapshot.services.iter().next().unwrap();
    let laddrs = full_nat.laddrs.clone();
    let dests = vec![Dest {
        id: DestId(7),
        addr: LADDR6.parse().unwrap(),
        port: 0,
        fwdmode: FwdMode::Snat,
        ..full_nat.dests[0].clone()
    }];
    let matcher = Match {
        src: Some(ipvs_core::EndRange {
            addrs: (
                "2001:db8:100::".parse().unwrap(),
                "2001:db8:100::ffff".parse().unwrap(),
            ),
            ports: (0, 0),
        }),
        dst: None,
        iif: None,
        oif: DeviceName::new("dpdk1"),
    };
    let service = Service {
        id: ServiceId(3),
        key: ServiceKey {
            matcher: Some(matcher),
            ..ServiceKey::vip(protocol, std::net::Ipv6Addr::UNSPECIFIED.into(), 0)
        },
        scheduler: SchedulerKind::Rr,
        plan: Plan::new(SchedulerKind::Rr, &dests),
        dests,
        laddrs,
        options: ServiceOptions::default(),
        access: Access::default(),
    };
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
    director
}

#[test]
fn a_host_reaches_the_world_from_the_wan_address() {
    let mut director = snat_director(Protocol::Tcp);
    let syn = frames::tcp(HOST, WORLD).flags("S").seq(1000);
    let seen = one(director.receive(LAN, &syn.frame(FROM_DEST)), WAN);
    assert!(seen.src.starts_with("[2001:db8:100::200]:"), "{}", seen.src);
    assert_eq!(
        (seen.dst.as_str(), seen.seq, seen.checksums_right),
        (WORLD, 1000, true)
    );
    let reply = frames::tcp(WORLD, &seen.src)
        .flags("SA")
        .seq(5000)
        .ack(1001);
    let back = one(director.receive(WAN, &reply.frame(FROM_CLIENT)), LAN);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (WORLD, HOST));
    assert!(back.checksums_right);
}

/// RFC 5508, 3.1, as it is for ICMPv6, whose checksum covers the addresses
#[test]
fn a_host_pings_the_world_and_hears_the_answer() {
    let mut director = snat_director(Protocol::IcmpV6);
    let ping = frames::echo_request(DEST_ADDR, CLIENT_ADDR, b"data", FROM_DEST);
    let (port, sent) = only(director.receive(LAN, &ping));
    let seen = Seen::parse(&sent);
    assert_eq!(
        (port, seen.icmp, seen.checksums_right),
        (WAN, Some((128, 0)), true)
    );
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (LADDR6, CLIENT_ADDR)
    );
    let identifier = |frame: &[u8]| [frame[58], frame[59]];

    // The world turns it round: addresses, which change no sum, and the type.
    let mut reply = sent.clone();
    reply[..6].copy_from_slice(&WAN_MAC.0);
    reply[6..12].copy_from_slice(&CLIENT_MAC.0);
    reply[22..38].copy_from_slice(&sent[38..54]);
    reply[38..54].copy_from_slice(&sent[22..38]);
    reply[54] = 129;
    let sum = u16::from_be_bytes([reply[56], reply[57]]);
    let sum = packet::checksum::Delta::of_u16(0x8000, 0x8100).apply(sum);
    reply[56..58].copy_from_slice(&sum.to_be_bytes());
    assert!(Seen::parse(&reply).checksums_right);
    let (port, back) = only(director.receive(WAN, &reply));
    let seen = Seen::parse(&back);
    assert_eq!(
        (port, seen.icmp, seen.checksums_right),
        (LAN, Some((129, 0)), true)
    );
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (CLIENT_ADDR, DEST_ADDR)
    );
    assert_eq!(identifier(&back), identifier(&ping));
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

/// Half of them noise behind an IPv6 header, half with a few bytes changed: each has its end.
#[test]
fn random_frames_do_no_harm() {
    let mut director = snat_director(Protocol::Udp);
    let stray = frames::udp("[2001:db8:100::200]:2000", DEST6, b"", FROM_DEST);
    let samples = [
        question(),
        extended(
            &question(),
            &[(HOP_BY_HOP, PADDING), (FRAGMENT, &[0, 0, 1, 0, 0, 0, 9])],
        ),
        extended(&question(), &[(FRAGMENT, &[0, 1, 0, 0, 0, 0, 9])]),
        frames::udp(HOST, WORLD, b"ask", FROM_DEST),
        frames::unreachable(DEST_ADDR, LADDR6, &stray[L2_LEN..], FROM_DEST),
        frames::echo_request(CLIENT_ADDR, VIP_ADDR, b"data", FROM_CLIENT),
        frames::neighbour_solicitation((CLIENT_ADDR, CLIENT_MAC), VIP_ADDR),
        frames::neighbour_advertisement((DEST_ADDR, DEST_MAC), (LADDR6, LAN_MAC)),
    ];
    director.withstand(&samples, 300_000);
    director.wait_s(400);
    director.to_dest(&question());
}
