//! ARP, and packets that wait for an answer to it.

use inet::{IfIndex, NeighbourNews};
use ipvs_core::{DropReason, Event};
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

#[test]
fn a_new_mac_address_counts_for_conns_that_are_there() {
    let mut director = Setup {
        resolve: false,
        ..Setup::default()
    }
    .build();
    let learn = |director: &mut Director, ifindex, addr: &str, mac| {
        director.neighbours.learn(
            0,
            &NeighbourNews {
                ifindex: IfIndex(ifindex),
                addr: addr.parse().unwrap(),
                mac,
                create: true,
                overrides: true,
            },
        );
        director.publish();
    };
    learn(&mut director, 1, "192.168.100.2", DEST_MAC);
    learn(&mut director, 2, "10.0.0.48", CLIENT_MAC);
    director.open();
    let moved = MacAddr([2, 0, 0, 0, 9, 9]);
    learn(&mut director, 1, "192.168.100.2", moved);
    let data = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    assert_eq!(director.to_dest(&data.frame(FROM_CLIENT)).to, moved);
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

/// RFC 5227, 2.4. The conflict is counted, so that an operator sees it.
#[test]
fn somebody_else_s_claim_of_our_address_is_counted() {
    let mut director = Setup::default().build();
    let claim = frames::arp_request(("10.0.0.100", CLIENT_MAC), "10.0.0.100");
    director.receive(WAN, &claim);
    assert_eq!(director.engine.stats().address_conflicts.get(), 1);
}
