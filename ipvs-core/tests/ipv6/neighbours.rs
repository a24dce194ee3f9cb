//! Neighbour discovery (RFC 4861) and packets that wait for it.

use inet::IfIndex;
use ipvs_core::{DropReason, Event, FwdMode, Protocol};
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{CLIENT_ADDR, DEST_ADDR, HEADER_LEN, L2_LEN, VIP_ADDR, director, question};

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
        matches!(
            event,
            Event::Resolve { ifindex: IfIndex(1), addr } if addr.to_string() == DEST_ADDR
        )
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
