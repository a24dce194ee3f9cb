use testkit::VecBuf;

use super::*;
use crate::LocalAddr;
use crate::device::IfIndex;
use crate::route::{Prefix, Route, RouteScope};
use packet::PortId;
use proptest::prelude::*;

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

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
        addr: [10, 0, 0, 100].into(),
        ifindex: IfIndex(1),
        sapool: false,
    }]);
    let route = Route {
        prefix: Prefix::new([10, 0, 0, 0].into(), 16).unwrap(),
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

/// A frame as hosts send it: padded to 60 bytes (IEEE 802.3).
fn packet(operation: u16, sender: ([u8; 4], MacAddr), target: [u8; 4]) -> VecBuf {
    let mut bytes = frame(
        operation,
        sender.1,
        sender.0.into(),
        MacAddr::BROADCAST,
        target.into(),
    )
    .to_vec();
    bytes.resize(60, 0);
    VecBuf::new(PortId(0), &bytes)
}

#[test]
fn a_request_for_our_address_is_answered_with_the_device_s_mac() {
    let mut packet = packet(REQUEST, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 100]);
    let ArpOutcome::Reply { news: Some(news) } = receive(&net(), &device(1), &mut packet) else {
        panic!()
    };
    assert_eq!(
        (news.addr.to_string().as_str(), news.mac, news.create),
        ("10.0.0.48", THEIRS, true)
    );
    #[rustfmt::skip]
    assert_eq!(packet.bytes(), [
        2, 0, 0, 0, 0, 9,  2, 0, 0, 0, 0, 1,  8, 6,
        0, 1, 8, 0, 6, 4, 0, 2,
        2, 0, 0, 0, 0, 1,  10, 0, 0, 100,
        2, 0, 0, 0, 0, 9,  10, 0, 0, 48,
    ]);
}

#[test]
fn a_request_on_the_wrong_device_is_not_answered() {
    let mut packet = packet(REQUEST, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 100]);
    assert!(matches!(
        receive(&net(), &device(2), &mut packet),
        ArpOutcome::ToKernel { .. }
    ));
}

#[test]
fn a_probe_for_our_address_is_answered_and_teaches_nothing() {
    let mut packet = packet(REQUEST, ([0, 0, 0, 0], THEIRS), [10, 0, 0, 100]);
    assert_eq!(
        receive(&net(), &device(1), &mut packet),
        ArpOutcome::Reply { news: None }
    );
}

#[test]
fn a_reply_is_news_and_goes_to_the_kernel_too() {
    let mut packet = packet(REPLY, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 100]);
    let ArpOutcome::ToKernel { news: Some(news) } = receive(&net(), &device(1), &mut packet) else {
        panic!()
    };
    assert!(news.create);
}

#[test]
fn gratuitous_arp_updates_but_creates_nothing() {
    for operation in [REQUEST, REPLY] {
        let mut packet = packet(operation, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 48]);
        let ArpOutcome::ToKernel { news: Some(news) } = receive(&net(), &device(1), &mut packet)
        else {
            panic!()
        };
        assert!(!news.create);
    }
}

#[test]
fn whoever_claims_our_address_or_an_impossible_one_teaches_nothing() {
    for sender in [
        ([10, 0, 0, 100], THEIRS),
        ([224, 0, 0, 1], THEIRS),
        ([10, 0, 0, 48], MacAddr::BROADCAST),
    ] {
        let mut packet = packet(REPLY, sender, [10, 0, 0, 7]);
        assert_eq!(
            receive(&net(), &device(1), &mut packet),
            ArpOutcome::ToKernel { news: None }
        );
    }
}

#[test]
fn what_is_cut_or_not_arp_for_ipv4_is_dropped() {
    let whole = packet(REQUEST, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 100]);
    for len in 0..FRAME_LEN {
        let mut cut = VecBuf::new(PortId(0), &whole.bytes()[..len]);
        assert_eq!(receive(&net(), &device(1), &mut cut), ArpOutcome::Drop);
    }
    let mut strange = whole;
    strange.bytes_mut()[15] = 7;
    assert_eq!(receive(&net(), &device(1), &mut strange), ArpOutcome::Drop);
}

/// RFC 826 speaks of hosts on one Ethernet: of others no packet is ever sent to the MAC they claim.
#[test]
fn a_request_from_off_the_link_is_answered_but_makes_no_entry() {
    let mut packet = packet(REQUEST, ([192, 168, 7, 1], THEIRS), [10, 0, 0, 100]);
    let ArpOutcome::Reply { news: Some(news) } = receive(&net(), &device(1), &mut packet) else {
        panic!()
    };
    assert!(!news.create);
}

/// A reply to the kernel behind the kni device, or one nobody asked for.
#[test]
fn a_reply_to_another_address_makes_no_entry() {
    let mut packet = packet(REPLY, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 7]);
    let ArpOutcome::ToKernel { news: Some(news) } = receive(&net(), &device(1), &mut packet) else {
        panic!()
    };
    assert!(!news.create);
}

#[test]
fn another_host_with_our_address_is_a_conflict_and_our_own_frames_are_none() {
    let claim = |mac| packet(REQUEST, ([10, 0, 0, 100], mac), [10, 0, 0, 100]);
    let seen = |mac, ifindex| conflict(&net(), &device(ifindex), claim(mac).bytes());
    assert_eq!(
        seen(THEIRS, 1),
        Some(AddressConflict {
            ifindex: IfIndex(1),
            addr: [10, 0, 0, 100].into(),
            mac: THEIRS
        })
    );
    assert_eq!(seen(OURS, 1), None);
    assert_eq!(
        seen(THEIRS, 2),
        None,
        "RFC 5227, 2.4: an address of that interface"
    );
    assert_eq!(
        conflict(
            &net(),
            &device(1),
            packet(REPLY, ([10, 0, 0, 48], THEIRS), [10, 0, 0, 100]).bytes()
        ),
        None
    );
}

/// As etherparse, an independent reader, sees what we send.
#[test]
fn requests_and_announcements_are_what_rfc_826_and_rfc_5227_say() {
    let to_all = request(
        &device(1),
        [10, 0, 0, 100].into(),
        [10, 0, 0, 48].into(),
        None,
    );
    let to_one = request(
        &device(1),
        [10, 0, 0, 100].into(),
        [10, 0, 0, 48].into(),
        Some(THEIRS),
    );
    let announcement = gratuitous(&device(1), [10, 0, 0, 100].into());
    for (frame, dst, target) in [
        (to_all, MacAddr::BROADCAST, [10, 0, 0, 48]),
        (to_one, THEIRS, [10, 0, 0, 48]),
        (announcement, MacAddr::BROADCAST, [10, 0, 0, 100]),
    ] {
        let sliced = etherparse::SlicedPacket::from_ethernet(frame.bytes()).unwrap();
        let Some(etherparse::LinkSlice::Ethernet2(ethernet)) = sliced.link else {
            panic!()
        };
        assert_eq!((ethernet.destination(), ethernet.source()), (dst.0, OURS.0));
        let Some(etherparse::NetSlice::Arp(arp)) = sliced.net else {
            panic!()
        };
        assert_eq!(arp.operation(), etherparse::ArpOperation::REQUEST);
        assert_eq!(
            (arp.sender_hw_addr(), arp.sender_protocol_addr()),
            (&OURS.0[..], &[10, 0, 0, 100][..])
        );
        assert_eq!(
            (arp.target_hw_addr(), arp.target_protocol_addr()),
            (&[0; 6][..], &target[..])
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        tail in prop::collection::vec(any::<u8>(), 20..40),
    ) {
        let ethertype = EtherType::ARP.to_be_bytes();
        let nearly = [&[0xff; 12][..], &ethertype, &ETHERNET_IPV4, &tail].concat();
        for frame in [bytes, nearly] {
            let _ = conflict(&net(), &device(1), &frame);
            let _ = receive(&net(), &device(1), &mut VecBuf::new(PortId(0), &frame));
        }
    }
}
