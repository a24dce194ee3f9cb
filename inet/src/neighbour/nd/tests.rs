use etherparse::{Icmpv6Slice, Ipv6HeaderSlice, PacketBuilder, SlicedPacket, TransportSlice};
use packet::PortId;
use proptest::prelude::*;
use testkit::VecBuf;

use super::*;
use crate::LocalAddr;
use crate::device::IfIndex;
use crate::route::{Prefix, Route, RouteScope};

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn device(ifindex: u16) -> Device {
    Device {
        ifindex: IfIndex(ifindex),
        name: format!("dpdk{}", ifindex - 1),
        port: PortId(ifindex - 1),
        mac: OURS,
        mtu: 1500,
        kni: true,
        forward_to_kni: false,
    }
}

fn net() -> Net {
    let mut net = Net::new([device(1), device(2)]);
    net.set_local_addrs([LocalAddr {
        addr: ip("2001:db8::100").into(),
        ifindex: IfIndex(1),
        sapool: false,
    }]);
    let route = Route {
        prefix: Prefix::new(ip("2001:db8::").into(), 64).unwrap(),
        ifindex: IfIndex(1),
        gateway: None,
        src: None,
        mtu: 1500,
        metric: 0,
        scope: RouteScope::Link,
        auto: false,
    };
    net.routes.insert(route).unwrap();
    net
}

/// RFC 4291, 2.5.6: no route tells on which link a link-local address is.
#[test]
fn a_link_local_neighbour_is_learned_on_the_link_it_was_seen_on() {
    let mut net = net();
    let own = |addr: &str, ifindex| LocalAddr {
        addr: ip(addr).into(),
        ifindex: IfIndex(ifindex),
        sapool: false,
    };
    net.set_local_addrs([own("fe80::1", 1), own("fe80::2", 2)]);
    let mut answer = vec![136, 0, 0, 0, SOLICITED | OVERRIDE, 0, 0, 0];
    answer.extend(ip("fe80::9").octets());
    answer.extend([2, 1]);
    answer.extend(THEIRS.0);
    let mut packet = packet("fe80::9", "fe80::2", 255, &answer);
    let NdOutcome::ToKernel { news: Some(news) } = receive(&net, &device(2), &mut packet) else {
        panic!("no news")
    };
    let learned = (news.ifindex, news.addr, news.mac);
    assert_eq!(learned, (IfIndex(2), ip("fe80::9").into(), THEIRS));
    assert!(news.create && news.answers);
}

/// A message as etherparse builds it, whose checksum is therefore not ours.
fn packet(src: &str, dst: &str, hop_limit: u8, icmp: &[u8]) -> VecBuf {
    let (first, rest) = icmp.split_at(8);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(THEIRS.0, OURS.0)
        .ipv6(ip(src).octets(), ip(dst).octets(), hop_limit)
        .icmpv6_raw(first[0], first[1], first[4..8].try_into().unwrap())
        .write(&mut bytes, rest)
        .unwrap();
    VecBuf::new(PortId(0), &bytes)
}

/// RFC 4861, 4.3: type, code, checksum, reserved, target, options
fn solicit(target: &str, option: &[u8]) -> Vec<u8> {
    [
        &[135, 0, 0, 0, 0, 0, 0, 0],
        &ip(target).octets()[..],
        option,
    ]
    .concat()
}

/// RFC 4861, 4.4
fn advertise(target: &str, flags: u8, option: &[u8]) -> Vec<u8> {
    [
        &[136, 0, 0, 0, flags, 0, 0, 0],
        &ip(target).octets()[..],
        option,
    ]
    .concat()
}

/// RFC 4861, 4.6.1: type, length in units of 8 bytes, address
fn option(kind: u8) -> Vec<u8> {
    [&[kind, 1][..], &THEIRS.0].concat()
}

/// What etherparse reads of a frame, its checksum verified: addresses, hop limit, and the message.
fn seen(frame: &[u8]) -> (Ipv6Addr, Ipv6Addr, u8, Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let header = Ipv6HeaderSlice::from_slice(&frame[14..]).unwrap();
    let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else {
        panic!("no ICMPv6");
    };
    let icmp = Icmpv6Slice::from_slice(icmp.slice()).unwrap();
    assert!(icmp.is_checksum_valid(header.source(), header.destination()));
    let (src, dst) = (header.source_addr(), header.destination_addr());
    (src, dst, header.hop_limit(), icmp.slice().to_vec())
}

fn receive_at(ifindex: u16, mut packet: VecBuf) -> (NdOutcome, VecBuf) {
    let outcome = receive(&net(), &device(ifindex), &mut packet);
    (outcome, packet)
}

fn news(addr: &str, create: bool, overrides: bool, answers: bool) -> Option<NeighbourNews> {
    Some(NeighbourNews {
        ifindex: IfIndex(1),
        addr: ip(addr).into(),
        mac: THEIRS,
        create,
        overrides,
        answers,
    })
}

/// RFC 4861, 7.2.4
#[test]
fn a_solicitation_for_an_address_of_ours_becomes_the_advertisement() {
    let asked = packet(
        "2001:db8::9",
        "ff02::1:ff00:100",
        255,
        &solicit("2001:db8::100", &option(1)),
    );
    let (outcome, reply) = receive_at(1, asked);
    assert_eq!(
        outcome,
        NdOutcome::Reply {
            news: news("2001:db8::9", true, true, false)
        }
    );
    assert_eq!(reply.bytes()[..12], [THEIRS.0, OURS.0].concat());
    let (src, dst, hop_limit, icmp) = seen(reply.bytes());
    assert_eq!(
        (src, dst, hop_limit),
        (ip("2001:db8::100"), ip("2001:db8::9"), 255)
    );
    let ours = [&[2, 1][..], &OURS.0].concat();
    // Solicited and override
    let expected = advertise("2001:db8::100", 0x60, &ours);
    assert_eq!((&icmp[..2], &icmp[4..]), (&expected[..2], &expected[4..]));
}

/// RFC 4861, 7.2.4: to all nodes, not solicited; the packet has no option and must grow.
#[test]
fn a_probe_for_our_address_is_answered_to_all() {
    let probe = packet(
        "::",
        "ff02::1:ff00:100",
        255,
        &solicit("2001:db8::100", &[]),
    );
    let (outcome, reply) = receive_at(1, probe);
    assert_eq!(outcome, NdOutcome::Reply { news: None });
    assert_eq!(reply.bytes()[..6], [0x33, 0x33, 0, 0, 0, 1]);
    let (_, dst, _, icmp) = seen(reply.bytes());
    assert_eq!((dst, icmp[4]), (ip("ff02::1"), 0x20));
}

#[test]
fn solicitations_for_others_are_the_kernel_s_and_teach_only_what_is_known_already() {
    let asked = || {
        packet(
            "2001:db8::9",
            "ff02::1:ff00:7",
            255,
            &solicit("2001:db8::7", &option(1)),
        )
    };
    let (outcome, _) = receive_at(1, asked());
    assert_eq!(
        outcome,
        NdOutcome::ToKernel {
            news: news("2001:db8::9", false, true, false)
        }
    );
    // Ours, but of another device
    let ours = packet(
        "2001:db8::9",
        "ff02::1:ff00:100",
        255,
        &solicit("2001:db8::100", &[]),
    );
    assert_eq!(receive_at(2, ours).0, NdOutcome::ToKernel { news: None });
}

/// RFC 4861, 7.2.5
#[test]
fn an_advertisement_teaches_and_says_whether_it_overrides() {
    for (dst, flags, create, overrides) in [
        ("2001:db8::100", 0x60, true, true),
        ("2001:db8::100", 0x40, true, false),
        ("ff02::1", 0x20, false, true),
    ] {
        let told = packet(
            "2001:db8::9",
            dst,
            255,
            &advertise("2001:db8::9", flags, &option(2)),
        );
        let (outcome, _) = receive_at(1, told);
        assert_eq!(
            outcome,
            NdOutcome::ToKernel {
                news: news("2001:db8::9", create, overrides, create)
            }
        );
    }
}

/// RFC 4861, 7.2.4: a device without an address asks from `::`, and is answered to all nodes.
#[test]
fn the_answer_to_a_request_without_an_address_is_an_answer() {
    let told = || {
        let advertisement = advertise("2001:db8:2::9", 0x20, &option(2));
        packet("2001:db8:2::9", "ff02::1", 255, &advertisement)
    };
    let answers = |ifindex| match receive_at(ifindex, told()).0 {
        NdOutcome::ToKernel { news: Some(news) } => news.answers,
        outcome => panic!("{outcome:?}"),
    };
    assert!(answers(2), "dpdk1 has no address");
    assert!(!answers(1), "dpdk0 has one");
}

/// RFC 4861, 7.1.1 and 7.1.2
#[test]
fn what_must_not_be_heeded_is_dropped() {
    let good = solicit("2001:db8::100", &option(1));
    let mut wrong_sum = packet("2001:db8::9", "ff02::1:ff00:100", 255, &good);
    wrong_sum.bytes_mut()[60] ^= 1;
    let no_length = [
        &solicit("2001:db8::100", &[])[..],
        &[1, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let mut coded = good.clone();
    coded[1] = 1;
    for bad in [
        packet("2001:db8::9", "ff02::1:ff00:100", 254, &good),
        wrong_sum,
        packet("2001:db8::9", "ff02::1:ff00:100", 255, &coded),
        packet("2001:db8::9", "ff02::1:ff00:100", 255, &good[..20]),
        packet("2001:db8::9", "ff02::1:ff00:100", 255, &no_length),
        packet(
            "2001:db8::9",
            "ff02::1:ff00:100",
            255,
            &solicit("ff02::5", &[]),
        ),
        // A probe says no MAC address, and goes to the group of its target.
        packet("::", "ff02::1:ff00:100", 255, &good),
        packet("::", "2001:db8::100", 255, &solicit("2001:db8::100", &[])),
        // What is for all was not asked for.
        packet(
            "2001:db8::9",
            "ff02::1",
            255,
            &advertise("2001:db8::9", 0x60, &option(2)),
        ),
    ] {
        assert_eq!(receive_at(1, bad).0, NdOutcome::Drop);
    }
}

#[test]
fn routers_messages_are_the_kernel_s() {
    let router = packet(
        "fe80::1",
        "ff02::1",
        255,
        &[134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    assert_eq!(receive_at(1, router).0, NdOutcome::ToKernel { news: None });
}

/// RFC 4862, 5.4.4
#[test]
fn another_s_advertisement_of_our_address_is_a_conflict_and_teaches_nothing() {
    let told = packet(
        "2001:db8::100",
        "ff02::1",
        255,
        &advertise("2001:db8::100", 0x20, &option(2)),
    );
    let conflict = conflict(&net(), &device(1), told.bytes()).unwrap();
    assert_eq!(
        (conflict.addr, conflict.mac),
        (ip("2001:db8::100").into(), THEIRS)
    );
    assert_eq!(receive_at(1, told).0, NdOutcome::ToKernel { news: None });
}

/// RFC 4861, 4.3 and 7.2.2; RFC 2464, 7 has the MAC address.
#[test]
fn we_ask_the_group_of_the_target_and_later_the_one_who_had_it() {
    let first = solicitation(
        &device(1),
        ip("2001:db8::100"),
        ip("2001:db8::1:2345"),
        None,
    );
    assert_eq!(
        first.bytes()[..12],
        [[0x33, 0x33, 0xff, 0x01, 0x23, 0x45], OURS.0].concat()
    );
    let (src, dst, hop_limit, icmp) = seen(first.bytes());
    assert_eq!(
        (src, dst, hop_limit),
        (ip("2001:db8::100"), ip("ff02::1:ff01:2345"), 255)
    );
    let ours = [&[1, 1][..], &OURS.0].concat();
    assert_eq!(icmp[8..], solicit("2001:db8::1:2345", &ours)[8..]);
    let again = solicitation(
        &device(1),
        ip("2001:db8::100"),
        ip("2001:db8::9"),
        Some(THEIRS),
    );
    assert_eq!(again.bytes()[..6], THEIRS.0);
    assert_eq!(seen(again.bytes()).1, ip("2001:db8::9"));
    let without = solicitation(&device(1), Ipv6Addr::UNSPECIFIED, ip("2001:db8::9"), None);
    assert_eq!(seen(without.bytes()).3.len(), 24, "no option from ::");
}

/// RFC 4861, 7.2.6
#[test]
fn a_new_address_is_announced_to_all_nodes() {
    let told = unsolicited(&device(1), ip("2001:db8::100"));
    let (src, dst, _, icmp) = seen(told.bytes());
    assert_eq!((src, dst), (ip("2001:db8::100"), ip("ff02::1")));
    assert_eq!((icmp[0], icmp[4]), (136, 0x20));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut packet = VecBuf::new(PortId(0), &bytes);
        conflict(&net(), &device(1), packet.bytes());
        receive(&net(), &device(1), &mut packet);
    }
}
