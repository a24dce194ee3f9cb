//! ARP, and packets that wait for an answer to it.

use std::net::SocketAddr;

use inet::{AddressConflict, IfIndex, NeighbourNews};
use ipvs_core::{DropReason, Event, FwdMode, Protocol};
use packet::MacAddr;
use testkit::director::*;
use testkit::frames::{self, Seen};

#[test]
fn the_first_packets_wait_until_the_neighbour_is_known() {
    let mut director = Setup {
        resolve: false,
        ..Setup::default()
    }
    .build();
    for port in [1, 2] {
        let syn = frames::tcp(&format!("10.0.0.48:{port}"), VIP).flags("S");
        assert_eq!(director.receive(WAN, &syn.frame(FROM_CLIENT)), []);
    }
    let asked: Vec<_> = director
        .wire
        .events
        .iter()
        .filter(|event| matches!(event, Event::Resolve { .. }))
        .collect();
    assert!(
        matches!(
            asked[..],
            [Event::Resolve { ifindex: IfIndex(1), addr }] if addr.to_string() == "192.168.100.2"
        ),
        "{asked:?}"
    );
    assert_eq!(director.engine.stats().held.get(), 2);

    director.receive(
        LAN,
        &frames::arp_reply(("192.168.100.2", DEST_MAC), ("192.168.100.200", LAN_MAC)),
    );
    let Some(Event::Neighbour(news)) = director.wire.events.pop() else {
        panic!("no news")
    };
    assert_eq!(
        news,
        NeighbourNews {
            ifindex: IfIndex(1),
            addr: "192.168.100.2".parse().unwrap(),
            mac: DEST_MAC,
            create: true,
            overrides: true,
            answers: true,
        }
    );
    director.neighbours.learn(0, &news);
    director.publish();
    let sent = std::mem::take(&mut director.wire.sent);
    let to: Vec<_> = sent
        .iter()
        .map(|(port, frame)| (*port, Seen::parse(frame).to))
        .collect();
    assert_eq!(to, [(LAN, DEST_MAC), (LAN, DEST_MAC)]);
    assert_eq!(director.engine.stats().held.get(), 0);
    director.check_that_every_packet_has_its_end();
}

#[test]
fn a_neighbour_s_queue_is_bounded_and_given_up_in_the_end() {
    let mut director = Setup {
        resolve: false,
        ..Setup::default()
    }
    .build();
    let syn = |port: u16| {
        frames::tcp(&format!("10.0.0.48:{port}"), VIP)
            .flags("S")
            .frame(FROM_CLIENT)
    };
    for port in 1..=4 {
        director.receive(WAN, &syn(port));
    }
    director.refuses(WAN, &syn(5), DropReason::NeighbourQueueFull);
    director.wait_s(4);
    assert_eq!(
        director
            .engine
            .stats()
            .drops_by(DropReason::NeighbourUnresolved)
            .get(),
        4
    );
    assert_eq!(director.engine.stats().held.get(), 0);
}

/// Gives control what the worker has learned, and sends the requests that are due at `now_ms`.
/// Returns the MAC addresses that are asked.
fn let_control_work(director: &mut Director, now_ms: u64) -> Vec<MacAddr> {
    for event in std::mem::take(&mut director.wire.events) {
        match event {
            Event::Neighbour(news) => director.neighbours.learn(now_ms, &news),
            Event::Resolve { ifindex, addr } => director.neighbours.resolve(now_ms, ifindex, addr),
            _ => {}
        }
    }
    let requests = director.neighbours.poll(now_ms, &director.snapshot.net);
    director.publish();
    requests
        .iter()
        .map(|(_, frame)| MacAddr(*frame.bytes().first_chunk().unwrap()))
        .collect()
}

const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 9, 9]);

/// Frames by which a dest's MAC address is learned and changes, of one family.
struct Link {
    setup: Setup,
    /// From the client to the VIP
    to_vip: Vec<u8>,
    /// The dest, or who says that he is, answers the director.
    answer: fn(MacAddr) -> Vec<u8>,
    /// The dest, or who says that he is, announces the address.
    announce: fn(MacAddr) -> Vec<u8>,
}

fn links() -> [Link; 2] {
    let setup = |setup| Setup {
        protocol: Protocol::Udp,
        resolve: false,
        ..setup
    };
    [
        Link {
            setup: setup(Setup::default()),
            to_vip: frames::udp(CLIENT, VIP, b"one", FROM_CLIENT),
            answer: |mac| frames::arp_reply(("192.168.100.2", mac), ("192.168.100.200", LAN_MAC)),
            announce: |mac| frames::arp_request(("192.168.100.2", mac), "192.168.100.2"),
        },
        Link {
            setup: setup(setup6(Protocol::Udp, FwdMode::FullNat)),
            to_vip: frames::udp(CLIENT6, VIP6, b"one", FROM_CLIENT),
            answer: |mac| {
                frames::neighbour_advertisement((dest6(), mac), ("2001:db8:100::200", LAN_MAC))
            },
            announce: |mac| frames::neighbour_announcement((dest6(), mac)),
        },
    ]
}

fn dest6() -> &'static str {
    let (addr, _) = DEST6.rsplit_once(':').unwrap();
    addr.trim_matches(['[', ']'])
}

/// A director that has resolved its dest, with a conn.
fn resolved(link: &Link) -> Director {
    let mut director = link.setup.build();
    assert_eq!(director.receive(WAN, &link.to_vip), []);
    let_control_work(&mut director, 0);
    director.receive(LAN, &(link.answer)(DEST_MAC));
    let_control_work(&mut director, 1);
    let sent = one(std::mem::take(&mut director.wire.sent), LAN);
    assert_eq!(sent.to, DEST_MAC);
    director
}

/// The dest's address moves to another host, which announces that: RFC 5227, 3; RFC 4861, 7.2.6.
#[test]
fn an_announced_mac_address_that_answers_counts_for_conns_that_are_there() {
    for link in links() {
        let mut director = resolved(&link);
        director.receive(LAN, &(link.announce)(OTHER_MAC));
        assert_eq!(let_control_work(&mut director, 10), [OTHER_MAC]);
        director.receive(LAN, &(link.answer)(OTHER_MAC));
        let_control_work(&mut director, 11);
        assert_eq!(director.to_dest(&link.to_vip).to, OTHER_MAC);
    }
}

/// Nobody answers at the announced MAC address: RFC 4861, 7.2.5 calls it unproved.
#[test]
fn an_announced_mac_address_that_does_not_answer_gets_no_packet() {
    for link in links() {
        let mut director = resolved(&link);
        director.receive(LAN, &(link.announce)(OTHER_MAC));
        assert_eq!(let_control_work(&mut director, 10), [OTHER_MAC]);
        assert_eq!(director.to_dest(&link.to_vip).to, DEST_MAC);
        let asked = let_control_work(&mut director, 1_010);
        assert!(asked[0].is_multicast(), "everyone is asked: {asked:?}");
        director.receive(LAN, &(link.answer)(DEST_MAC));
        assert_eq!(let_control_work(&mut director, 1_011), []);
        assert_eq!(director.to_dest(&link.to_vip).to, DEST_MAC);
        assert_eq!(
            let_control_work(&mut director, 5_000),
            [],
            "it has answered"
        );
    }
}

#[test]
fn requests_for_vips_and_local_addresses_are_answered_where_they_are() {
    let mut director = Setup::default().build();
    let asked = |director: &mut Director, port, target| {
        director
            .receive(
                port,
                &frames::arp_request(("10.0.0.48", CLIENT_MAC), target),
            )
            .len()
    };
    assert_eq!(asked(&mut director, WAN, "10.0.0.100"), 1);
    assert_eq!(asked(&mut director, LAN, "192.168.100.200"), 1);
    assert_eq!(
        asked(&mut director, LAN, "10.0.0.100"),
        0,
        "the VIP is on the other device"
    );
    assert_eq!(
        director.wire.to_kernel.len(),
        1,
        "the kernel may own what the dataplane does not"
    );
}

/// RFC 5227, 2.4 and RFC 4862, 5.4.4. Control is told, so that it defends the address.
#[test]
fn somebody_else_s_use_of_our_address_is_counted_and_told() {
    let vip6 = "2001:db8:1::100";
    for (setup, claim) in [
        (
            Setup::default(),
            frames::arp_request(("10.0.0.100", CLIENT_MAC), "10.0.0.100"),
        ),
        (
            Setup::default(),
            frames::arp_reply(("10.0.0.100", CLIENT_MAC), ("10.0.0.1", WAN_MAC)),
        ),
        (
            setup6(Protocol::Tcp, FwdMode::FullNat),
            frames::neighbour_announcement((vip6, CLIENT_MAC)),
        ),
        (
            setup6(Protocol::Tcp, FwdMode::FullNat),
            frames::neighbour_solicitation((vip6, CLIENT_MAC), "2001:db8:1::48"),
        ),
    ] {
        let vip: SocketAddr = setup.vip.parse().unwrap();
        let mut director = setup.build();
        director.receive(WAN, &claim);
        assert_eq!(director.engine.stats().address_conflicts.get(), 1);
        let told = director.wire.events.iter().find_map(|event| match event {
            Event::AddressConflict(conflict) => Some(*conflict),
            _ => None,
        });
        let expected = AddressConflict {
            ifindex: IfIndex(2),
            addr: vip.ip(),
            mac: CLIENT_MAC,
        };
        assert_eq!(told, Some(expected));
    }
}
