//! Packets that are longer than the MTU of their way (RFC 791, 2.3; RFC 1812, 4.2.2.7).

use inet::Route;
use ipvs_core::{DropReason, Encapsulation, FwdMode};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, director, may_be_fragmented, payload, whole};

const IPIP: FwdMode = FwdMode::Tunnel(Encapsulation::IpIp);
const GRE: FwdMode = FwdMode::Tunnel(Encapsulation::Gre);
const GUE: FwdMode = FwdMode::Tunnel(Encapsulation::Gue(6080));

/// The client's datagram, which may be fragmented if it is IPv4.
fn asked(vip: &str, payload: &[u8]) -> Vec<u8> {
    if vip == VIP {
        may_be_fragmented(frames::udp(CLIENT, VIP, payload, FROM_CLIENT), 7)
    } else {
        frames::udp(CLIENT6, VIP6, payload, FROM_CLIENT)
    }
}

/// What leaves for the dests, each frame at most as long as the link takes. All fragments but the
/// last are as long as they can be.
fn fragments(director: &mut Director, frame: &[u8], mtu: u16) -> Vec<Vec<u8>> {
    let sent = director.receive(WAN, frame);
    let frames: Vec<_> = sent
        .into_iter()
        .map(|(port, frame)| {
            assert_eq!(port, LAN);
            assert_eq!(
                (&frame[..6], &frame[6..12]),
                (&DEST_MAC.0[..], &LAN_MAC.0[..])
            );
            frame
        })
        .collect();
    assert!(frames.len() > 1, "{} frames", frames.len());
    for (at, frame) in frames.iter().enumerate() {
        let len = frame.len() - L2_LEN;
        assert!(len <= mtu.into(), "{len} bytes");
        assert!(
            at + 1 == frames.len() || len + 8 > mtu.into(),
            "{len} bytes"
        );
    }
    frames
}

/// RFC 791, 2.3 for each mode that keeps the packet's IP header or replaces its addresses, and
/// RFC 7915, 4 for NAT46 and 5.1 for NAT64. The first packet of a conn takes the slow path.
#[rstest]
#[case::fullnat(FwdMode::FullNat, VIP, DEST, 1000, 1472)]
#[case::nat(FwdMode::Nat, VIP, DEST, 1000, 1472)]
#[case::dr(FwdMode::DirectRoute, VIP, DEST, 1000, 1472)]
#[case::small_links(FwdMode::FullNat, VIP, DEST, 68, 500)]
#[case::nat46(FwdMode::FullNat, VIP, DEST6, 1280, 1472)]
#[case::nat46_by_nat(FwdMode::Nat, VIP, DEST6, 1280, 1472)]
#[case::nat64_to_a_link_below_the_least_of_ipv6(FwdMode::FullNat, VIP6, DEST, 1000, 1232)]
fn what_may_be_fragmented_arrives_in_fragments(
    #[case] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] mtu: u16,
    #[case] len: usize,
) {
    // RFC 7915, 4: what NAT46 makes of a packet without DF fits every IPv6 link.
    let lan_mtu = if dest == DEST6 { 1500 } else { mtu };
    let mut director = director(fwdmode, vip, dest, lan_mtu);
    let payload = payload(len);
    for _ in 0..3 {
        let sent = fragments(&mut director, &asked(vip, &payload), mtu);
        let seen = Seen::parse(&whole(&sent));
        assert!(seen.checksums_right);
        assert_eq!(seen.payload, payload);
        assert_eq!(seen.ttl, 63);
    }
    let stats = director.engine.stats();
    assert_eq!(stats.drops_by(DropReason::MtuExceeded).get(), 0);
}

/// RFC 2003, 5.1; RFC 2473, 7.2 (IPv4 inside) and 7.1 (b) (IPv6 inside, up to 1280 bytes);
/// RFC 4213, 3.2.1 (IPv6 inside IPv4).
#[rstest]
#[case::ipv4_inside_ipv4(VIP, DEST, 1500, 1472)]
#[case::ipv4_inside_ipv6(VIP, DEST6, 1500, 1472)]
#[case::ipv6_inside_ipv4(VIP6, DEST, 1280, 1232)]
#[case::ipv6_inside_ipv6(VIP6, DEST6, 1280, 1232)]
fn a_tunnel_carries_what_may_be_fragmented_in_fragments(
    #[values(IPIP, GRE, GUE)] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] mtu: u16,
    #[case] len: usize,
) {
    let mut director = director(fwdmode, vip, dest, mtu);
    let mut asked = asked(vip, &payload(len));
    for _ in 0..3 {
        let sent = whole(&fragments(&mut director, &asked, mtu));
        let inner = &sent[sent.len() - (asked.len() - L2_LEN)..];
        let ttl_at = if vip == VIP { 8 } else { 7 };
        assert_eq!(inner[ttl_at], 63);
        assert_eq!(inner[20..], asked[L2_LEN + 20..]);
        if vip == VIP {
            asked = may_be_fragmented(asked, 8);
        }
    }
}

/// Fragments that grow beyond the link are cut once more.
#[rstest]
#[case::nat46(FwdMode::FullNat, VIP, DEST6)]
#[case::tunnel(IPIP, VIP, DEST)]
#[case::tunnel_over_ipv6(IPIP, VIP, DEST6)]
fn fragments_that_grow_arrive_whole(
    #[case] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dest: &'static str,
) {
    let mut director = director(fwdmode, vip, dest, 1500);
    let payload = payload(1992);
    let whole_frame = asked(vip, &payload);
    let l4 = &whole_frame[L2_LEN + 20..];
    let mut sent = Vec::new();
    for (part, field) in [(&l4[..1480], 0x2000u16), (&l4[1480..], 185)] {
        let mut fragment = [&whole_frame[..L2_LEN + 20], part].concat();
        fragment[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        fragment[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
        frames::repair_ip(&mut fragment);
        sent.extend(director.receive(WAN, &fragment));
    }
    let sent: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    assert!(sent.iter().all(|frame| frame.len() <= L2_LEN + 1500));
    if fwdmode == FwdMode::FullNat {
        let seen = Seen::parse(&whole(&sent));
        assert!(seen.checksums_right && seen.payload == payload);
        return;
    }
    // The outer packet of the first fragment is cut in two, and that of the second is not.
    let (first, second) = sent.split_at(2);
    let outer_len = if dest == DEST { 20 } else { 40 };
    let unwrap = |outer: &[u8]| [&whole_frame[..L2_LEN], &outer[L2_LEN + outer_len..]].concat();
    let inside = [unwrap(&whole(first)), unwrap(&second[0])];
    assert_eq!(Seen::parse(&whole(&inside)).payload, payload);
}

#[rstest]
#[case::fullnat(FwdMode::FullNat, VIP, DEST, 1000)]
#[case::tunnel(IPIP, VIP, DEST, 1500)]
#[case::nat46(FwdMode::FullNat, VIP, DEST6, 1500)]
#[case::ipv6(FwdMode::FullNat, VIP6, DEST6, 1400)]
#[case::tunnel_of_ipv6(IPIP, VIP6, DEST, 1500)]
fn what_must_not_be_fragmented_is_answered_with_the_size_that_fits(
    #[case] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] mtu: u16,
) {
    let mut director = director(fwdmode, vip, dest, mtu);
    let header_len = if vip == VIP { 20 } else { 40 };
    let mut frame = asked(vip, &payload(1500 - header_len - 8));
    if vip == VIP {
        frame[L2_LEN + 6] = 0x40;
        frames::repair_ip(&mut frame);
    }
    let error = Seen::parse(&only(director.receive(WAN, &frame)).1);
    let too_big = if vip == VIP { (3, 4) } else { (2, 0) };
    assert_eq!(error.icmp, Some(too_big));
}

/// RFC 8200, 5 and RFC 2473, 7.1: senders of IPv6 ignore what is below 1280, so none is told less.
#[test]
fn ipv6_senders_are_told_at_least_1280() {
    let mut director = director(IPIP, VIP6, DEST6, 1280);
    let (_, frame) = only(director.receive(WAN, &asked(VIP6, &payload(1233))));
    assert_eq!(frame[L2_LEN + 44..L2_LEN + 48], 1280u32.to_be_bytes());
}

/// A packet that fits exactly is not cut (reported of other translators).
#[rstest]
#[case::nat46(FwdMode::FullNat, VIP, DEST6, 1280 - 48, 1280)]
#[case::tunnel(IPIP, VIP, DEST, 1472 - 20, 1500)]
#[case::fullnat(FwdMode::FullNat, VIP, DEST, 1472, 1500)]
fn what_fits_exactly_leaves_whole(
    #[case] fwdmode: FwdMode,
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] len: usize,
    #[case] longest: usize,
) {
    let mut director = director(fwdmode, vip, dest, 1500);
    let (_, frame) = only(director.receive(WAN, &asked(vip, &payload(len))));
    assert_eq!(frame.len(), L2_LEN + longest);
}

/// RFC 7915, 4: with DF the sender learns the path's MTU, so the link's own counts.
#[test]
fn a_packet_with_df_becomes_one_of_ipv6_as_long_as_the_link_takes() {
    let mut director = director(FwdMode::FullNat, VIP, DEST6, 1500);
    let mut frame = asked(VIP, &payload(1472 - 20));
    frame[L2_LEN + 6] = 0x40;
    frames::repair_ip(&mut frame);
    let (_, sent) = only(director.receive(WAN, &frame));
    assert_eq!(sent.len(), L2_LEN + 1500);
}

/// Answers, by a route that has an MTU of its own.
#[test]
fn answers_by_a_route_with_a_smaller_mtu_are_cut() {
    let mut director = director(FwdMode::FullNat, VIP, DEST, 1500);
    let (_, there) = only(director.receive(WAN, &asked(VIP, b"ask")));
    let routes = &mut director.snapshot.net.routes;
    let to_clients = routes
        .iter()
        .find(|route| route.prefix.to_string() == "10.0.0.0/16");
    let to_clients = *to_clients.expect("the route to the clients");
    routes.replace(Route {
        mtu: 900,
        ..to_clients
    });
    director.publish();
    let payload = payload(1400);
    let answer = frames::udp(DEST, &Seen::parse(&there).src, &payload, FROM_DEST);
    let sent = director.receive(LAN, &may_be_fragmented(answer, 9));
    let sent: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    assert!(sent.iter().all(|frame| frame.len() <= L2_LEN + 900));
    let seen = Seen::parse(&whole(&sent));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert!(seen.checksums_right && seen.payload == payload);
}

/// The last fragment takes the packet's own mbuf.
#[test]
fn a_packet_that_finds_no_mbuf_for_its_fragments_is_dropped_and_counted() {
    let mut director = director(FwdMode::FullNat, VIP, DEST, 1000);
    director.wire.out_of_mbufs = true;
    director.refuses(WAN, &asked(VIP, &payload(1400)), DropReason::NoMbuf);
}
