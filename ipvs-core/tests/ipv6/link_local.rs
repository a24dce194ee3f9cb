//! The link-local address of a device (RFC 4291, 2.5.6). The kernel behind its kni netdev has the
//! same, since it has the same MAC address: the director answers who asks for it, and the kernel
//! gets all that routing protocols say by it.

use std::sync::Arc;

use inet::{IfIndex, LocalAddr, NeighbourNews};
use ipvs_core::{Event, FwdMode, Match, Protocol, ServiceId, ServiceKey};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use super::{HEADER_LEN, HOP_BY_HOP, L2_LEN, PADDING, VIP_ADDR, cut, extended};

/// A router on the clients' link.
const ROUTER: &str = "fe80::9";
/// By RFC 4291, appendix A: of the device towards the clients, and of the one towards the dests.
const OURS: &str = "fe80::ff:fe00:1";
const ON_LAN: &str = "fe80::ff:fe00:0";

/// A director whose devices have their link-local addresses.
fn with_link_locals(workers: u16) -> Director {
    let setup = setup6(Protocol::Tcp, FwdMode::FullNat);
    let mut director = Setup { workers, ..setup }.build();
    let net = &mut director.snapshot.net;
    let link_locals = net.devices.iter().map(|device| LocalAddr {
        addr: device.link_local().into(),
        ifindex: device.ifindex,
        sapool: false,
    });
    let all: Vec<_> = net.local_addrs().copied().chain(link_locals).collect();
    let of = |addr: &str| all.iter().any(|local| local.addr.to_string() == addr);
    assert!(of(OURS) && of(ON_LAN), "{all:?}");
    net.set_local_addrs(all);
    director.publish();
    director
}

/// A packet from the router to our link-local address, of a protocol without ports.
fn of_protocol(number: u8, payload: &[u8]) -> Vec<u8> {
    let ends = [ROUTER, OURS].map(|addr| format!("[{addr}]:1"));
    let mut frame = frames::udp(&ends[0], &ends[1], payload, FROM_CLIENT);
    frame[L2_LEN + 6] = number;
    frame
}

#[test]
fn the_director_answers_who_asks_for_its_link_local_address() {
    let mut director = with_link_locals(1);
    let asked = frames::neighbour_solicitation((ROUTER, CLIENT_MAC), OURS);
    let seen = one(director.receive(WAN, &asked), WAN);
    assert_eq!((seen.icmp, seen.ttl), (Some((136, 0)), 255));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (OURS, ROUTER));
    assert_eq!((seen.to, seen.checksums_right), (CLIENT_MAC, true));
    assert_eq!(director.wire.to_kernel.len(), 0);
}

/// Each link has link-local addresses of its own.
#[test]
fn the_link_local_address_of_another_device_is_not_answered_for() {
    let mut director = with_link_locals(1);
    let asked = frames::neighbour_solicitation((ROUTER, CLIENT_MAC), ON_LAN);
    assert_eq!(director.receive(WAN, &asked), []);
    assert_eq!(director.wire.to_kernel.len(), 1);
}

#[test]
fn a_ping_of_the_link_local_address_is_answered_also_in_fragments() {
    let mut director = with_link_locals(1);
    let ping = frames::echo_request(ROUTER, OURS, &[7; 2000], FROM_CLIENT);
    let seen = one(director.receive(WAN, &ping), WAN);
    assert_eq!((seen.icmp, seen.checksums_right), (Some((129, 0)), true));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (OURS, ROUTER));
    for fragment in cut(&ping, 1024) {
        let (port, answer) = only(director.receive(WAN, &fragment));
        let ends = |frame: &[u8]| frame[L2_LEN + 8..L2_LEN + HEADER_LEN].to_vec();
        let swapped = [&ends(&fragment)[16..], &ends(&fragment)[..16]].concat();
        assert_eq!((port, ends(&answer)), (WAN, swapped));
    }
    assert_eq!(director.wire.to_kernel.len(), 0);
    director.check_that_every_packet_has_its_end();
}

/// An echo reply to the kernel's ping.
fn pong(identifier: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = frames::echo_request(ROUTER, OURS, payload, FROM_CLIENT);
    let message = &mut frame[L2_LEN + HEADER_LEN..];
    message[0] = 129;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    frame
}

fn assert_all_go_to_the_kernel(frames: &[Vec<u8>], workers: u16) {
    let mut director = with_link_locals(workers);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(director.receive(WAN, frame), [], "{number}");
        let got = std::mem::take(&mut director.wire.to_kernel);
        assert_eq!(got.len(), 1, "{number}");
    }
    director.check_that_every_packet_has_its_end();
}

/// OSPFv3 (RFC 5340), also under IPsec (RFC 4552), BGP and BFD between link-local addresses, and
/// what answers the kernel.
#[rstest]
fn all_else_to_the_link_local_address_goes_to_the_kernel(#[values(1, 3)] workers: u16) {
    let (ospf, esp, vrrp) = (89, 50, 112);
    let from = format!("[{ROUTER}]:4000");
    let tcp = |flags| {
        let segment = frames::tcp(&from, &format!("[{OURS}]:179")).flags(flags);
        segment.seq(7).ack(9).frame(FROM_CLIENT)
    };
    let frames = [
        of_protocol(ospf, &[0; 100]),
        of_protocol(esp, &[0; 100]),
        of_protocol(vrrp, &[0; 100]),
        extended(&of_protocol(ospf, &[0; 100]), &[(HOP_BY_HOP, PADDING)]),
        tcp("S"),
        tcp("A"),
        tcp("R"),
        frames::udp(&from, &format!("[{OURS}]:3784"), b"bfd", FROM_CLIENT),
        pong(1, b"ping"),
    ];
    assert_all_go_to_the_kernel(&frames, workers);
}

/// OSPFv3 leaves long packets to the fragmentation of IPv6 (RFC 5340, A.1).
#[rstest]
#[case::ospf(of_protocol(89, &[0; 2000]))]
#[case::udp(of_protocol(17, &[0; 2000]))]
#[case::pong(pong(1, &[0; 2000]))]
#[case::pong_whose_hash_leads_elsewhere(pong(2, &[0; 2000]))]
fn fragments_to_the_link_local_address_go_to_the_kernel_at_once(
    #[case] frame: Vec<u8>,
    #[values(1, 3)] workers: u16,
) {
    assert_all_go_to_the_kernel(&cut(&frame, 1024), workers);
}

/// `-A -s rr -H proto=udp,dst-range=::-::` takes what is for any address of the director, except
/// for this one.
#[test]
fn a_service_that_matches_all_packets_does_not_take_those_to_the_link_local_address() {
    let mut director = with_link_locals(1);
    let vip_service = director.snapshot.services.iter().next().unwrap();
    let mut matching = (**vip_service).clone();
    matching.id = ServiceId(9);
    matching.key = ServiceKey {
        matcher: Some(Match {
            src: None,
            dst: None,
            iif: None,
            oif: None,
        }),
        ..ServiceKey::vip(Protocol::Udp, [0; 16].into(), 0)
    };
    director.snapshot.services.insert_all([Arc::new(matching)]);
    director.publish();
    let to = |addr: &str| frames::udp(CLIENT6, &format!("[{addr}]:53"), b"ask", FROM_CLIENT);
    assert_eq!(director.receive(WAN, &to(OURS)), []);
    assert_eq!(director.wire.to_kernel.len(), 1);
    assert_eq!(director.to_dest(&to(VIP_ADDR)).payload, b"ask");
}

/// Both the director and the kernel resolve neighbours.
#[test]
fn an_advertisement_to_the_link_local_address_is_for_the_director_and_the_kernel() {
    let mut director = with_link_locals(1);
    let told = frames::neighbour_advertisement((ROUTER, CLIENT_MAC), (OURS, WAN_MAC));
    assert_eq!(director.receive(WAN, &told), []);
    assert_eq!(director.wire.to_kernel.len(), 1);
    let Some(Event::Neighbour(news)) = director.wire.events.pop() else {
        panic!("no news")
    };
    let expected = NeighbourNews {
        ifindex: IfIndex(2),
        addr: ROUTER.parse().unwrap(),
        mac: CLIENT_MAC,
        create: true,
        overrides: news.overrides,
        answers: true,
    };
    assert_eq!(news, expected);
}
