//! Where conns go, when there is no room for them, how they are counted and listed.

use std::collections::HashSet;

use ipvs_core::{Command, ConnPage, DestId, DropReason, Event, FwdMode, Origin, Protocol};
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

#[test]
fn dests_and_local_addresses_take_turns() {
    let setup = Setup {
        dests: vec!["192.168.100.2:80", "192.168.100.3:8000"],
        laddrs: vec![LADDR, "192.168.100.201"],
        ..Setup::default()
    };
    let mut director = setup.build();
    let mut seen = Vec::new();
    for port in 1..=4 {
        let syn = frames::tcp(&format!("10.0.0.48:{port}"), VIP).flags("S");
        let syn = director.to_dest(&syn.frame(FROM_CLIENT));
        seen.push((syn.dst, syn.src.rsplit_once(':').unwrap().0.to_owned()));
    }
    let expected = [
        ("192.168.100.2:80", LADDR),
        ("192.168.100.3:8000", "192.168.100.201"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .cycle()
        .take(4)
        .map(|(dest, laddr)| ((*dest).to_owned(), (*laddr).to_owned()))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_service_without_dests_or_local_addresses_says_so() {
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    Setup {
        dests: Vec::new(),
        ..Setup::default()
    }
    .build()
    .rejects(WAN, &syn, DropReason::NoDest);
    Setup {
        laddrs: Vec::new(),
        ..Setup::default()
    }
    .build()
    .rejects(WAN, &syn, DropReason::NoLaddr);
}

/// When no local port is left, packets are dropped and counted. A conn that ends gives its port
/// back.
#[test]
fn local_ports_run_out_with_a_reason() {
    let mut director = Setup {
        max_conns: 70_000,
        ..Setup::default()
    }
    .build();
    let syn = |n: u32| {
        frames::tcp(&format!("10.0.{}.48:{}", n >> 12, 1000 + (n & 0xfff)), VIP)
            .flags("S")
            .frame(FROM_CLIENT)
    };
    for n in 0..sapool::PORTS {
        assert_eq!(director.receive(WAN, &syn(n)).len(), 1, "{n}");
    }
    director.rejects(WAN, &syn(sapool::PORTS), DropReason::NoLocalPort);
    director.wait_s(60);
    assert_eq!(director.receive(WAN, &syn(sapool::PORTS)).len(), 1);
}

/// As long as one of the local addresses has ports, no conn is refused.
#[test]
fn a_local_address_whose_ports_are_used_up_leaves_its_turn_to_the_next() {
    let mut director = Setup {
        max_conns: 140_000,
        laddrs: vec![LADDR, "192.168.100.201"],
        ..Setup::default()
    }
    .build();
    let mut of_each = std::collections::BTreeMap::new();
    for n in 0..2 * sapool::PORTS {
        let client = format!("10.0.{}.{}:{}", n >> 16, n >> 12 & 15, 1000 + (n & 0xfff));
        let syn = frames::tcp(&client, VIP).flags("S").frame(FROM_CLIENT);
        let (_, sent) = only(director.receive(WAN, &syn));
        *of_each.entry(sent[26..30].to_vec()).or_insert(0) += 1;
    }
    assert_eq!(
        of_each.into_values().collect::<Vec<_>>(),
        [sapool::PORTS; 2]
    );
}

#[test]
fn a_full_table_recycles_the_half_open_and_keeps_the_established() {
    let mut director = Setup {
        max_conns: 2,
        ..Setup::default()
    }
    .build();
    director.open();
    for port in [1, 2, 3] {
        let syn = frames::tcp(&format!("10.0.0.48:{port}"), VIP).flags("S");
        director.to_dest(&syn.frame(FROM_CLIENT));
    }
    let mut states = director.states();
    states.sort_unstable();
    assert_eq!(states, ["ESTABLISHED", "SYN_SENT"]);
    assert_eq!(director.engine.stats().conns_recycled.get(), 2);
}

/// A whole TCP conn of this client port, closed by both ends (RFC 9293, 3.6).
fn open_and_close(director: &mut Director, port: u16) {
    let client = format!("10.0.0.48:{port}");
    let to_vip = |flags: &str, seq: u32, ack: u32| {
        let segment = frames::tcp(&client, VIP).flags(flags).seq(seq).ack(ack);
        segment.frame(FROM_CLIENT)
    };
    let syn = director.to_dest(&to_vip("S", 1000, 0));
    let from_dest = |flags: &str, seq: u32, ack: u32| {
        let segment = frames::tcp(DEST, &syn.src).flags(flags).seq(seq).ack(ack);
        segment.frame(FROM_DEST)
    };
    let ack = syn.seq.wrapping_add(1);
    director.to_client(&from_dest("SA", 5000, ack));
    director.to_dest(&to_vip("A", 1001, 5001));
    director.to_dest(&to_vip("FA", 1001, 5001));
    director.to_client(&from_dest("FA", 5001, ack.wrapping_add(1)));
    director.to_dest(&to_vip("A", 1002, 5002));
}

/// RFC 9293, 3.10.7.1 does not forbid that TIME_WAIT ends early, and a director that refuses new
/// clients for it serves nobody. Established conns stay.
#[test]
fn in_a_full_table_the_conn_that_closed_first_gives_way() {
    let mut director = Setup {
        max_conns: 8,
        ..Setup::default()
    }
    .build();
    director.open();
    for port in 1..=7 {
        open_and_close(&mut director, port);
        // One that is still spoken to is not younger for it.
        director.now.ns += 200_000_000;
    }
    assert_eq!(director.conns().len(), 8);
    for (port, oldest) in [(101, 1), (102, 2), (103, 3)] {
        open_and_close(&mut director, port);
        let conns = director.conns();
        let has = |port: u16| conns.iter().any(|conn| conn.caddr.1 == port);
        assert!(!has(oldest) && has(oldest + 1) && has(port), "{port}");
        assert_eq!(conns.len(), 8);
    }
    assert!(director.states().contains(&"ESTABLISHED"));
    assert_eq!(director.engine.stats().conns_recycled.get(), 3);
}

/// A conn that one end has closed may go on for long in the other direction (RFC 9293, 3.6): it
/// gives way only if it is idle.
#[test]
fn a_half_closed_conn_gives_way_when_it_is_idle() {
    let mut director = Setup {
        max_conns: 1,
        ..Setup::default()
    }
    .build();
    let opened = director.open();
    let data = |seq: u32| {
        let segment = frames::tcp(DEST, &opened.syn.src).flags("PA").seq(seq);
        segment.ack(opened.syn.seq.wrapping_add(2)).frame(FROM_DEST)
    };
    let fin = frames::tcp(CLIENT, VIP).flags("FA").seq(1001).ack(5001);
    director.to_dest(&fin.frame(FROM_CLIENT));
    director.wait_s(2);
    director.to_client(&data(5001));
    let syn = frames::tcp("10.0.0.48:9", VIP)
        .flags("S")
        .frame(FROM_CLIENT);
    director.rejects(WAN, &syn, DropReason::ConnTableFull);
    director.wait_s(2);
    director.to_dest(&syn);
    assert_eq!(director.conns().len(), 1);
}

/// The shell may pass more packets than the stages take at once. They leave in the order in which
/// they came, each by its own conn.
#[test]
fn more_packets_than_a_batch_leave_in_order_by_their_own_conns() {
    for (setup, client, vip) in [
        (Setup::default(), "10.0.0.48", VIP),
        (
            setup6(Protocol::Udp, FwdMode::FullNat),
            "[2001:db8:1::48]",
            VIP6,
        ),
    ] {
        let mut director = Setup {
            protocol: Protocol::Udp,
            ..setup
        }
        .build();
        let datagrams = (0..200).map(|n: u16| {
            let client = format!("{client}:{}", 1000 + n);
            VecBuf::new(
                WAN,
                &frames::udp(&client, vip, &n.to_be_bytes(), FROM_CLIENT),
            )
        });
        let datagrams: Vec<VecBuf> = datagrams.collect();
        let mut sources = None;
        for round in ["new conns", "known conns"] {
            let (engine, wire) = (&mut director.engine, &mut director.wire);
            engine.process(
                director.now,
                Origin::Nic,
                datagrams.clone().into_iter(),
                wire,
            );
            director.check_that_every_packet_has_its_end();
            let sent = std::mem::take(&mut director.wire.sent);
            let sent: Vec<Seen> = sent.iter().map(|(_, frame)| Seen::parse(frame)).collect();
            let payloads: Vec<Vec<u8>> = sent.iter().map(|seen| seen.payload.clone()).collect();
            let expected: Vec<Vec<u8>> = (0..200).map(|n: u16| n.to_be_bytes().into()).collect();
            assert_eq!(payloads, expected, "{round}");
            let from: Vec<String> = sent.into_iter().map(|seen| seen.src).collect();
            assert_eq!(from.iter().collect::<HashSet<_>>().len(), 200, "{round}");
            assert_eq!(*sources.get_or_insert(from.clone()), from, "{round}");
        }
    }
}

#[test]
fn counters_of_the_dest_count_both_ways() {
    let mut director = Setup::default().build();
    director.open();
    let stats = director.engine.stats().dest(DestId(0));
    assert_eq!(
        (
            stats.conns.get(),
            stats.in_packets.get(),
            stats.out_packets.get()
        ),
        (1, 2, 1)
    );
    assert_eq!((stats.in_bytes.get(), stats.out_bytes.get()), (60 + 40, 44));
    assert_eq!(
        (stats.active_conns.get(), stats.inactive_conns.get()),
        (1, 0)
    );
}

#[test]
fn conns_are_listed_page_by_page() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    for port in 1..=25 {
        director.to_dest(&frames::udp(
            &format!("10.0.0.48:{port}"),
            VIP,
            b"",
            FROM_CLIENT,
        ));
    }
    let (mut ports, mut cursor) = (Vec::new(), 0);
    loop {
        let page = ConnPage {
            cursor,
            conns: Vec::with_capacity(10),
            ..ConnPage::default()
        };
        director.wire.events.clear();
        director.command(Command::ListConns(Box::new(page)));
        let Some(Event::Conns(page)) = director.wire.events.pop() else {
            panic!("no page")
        };
        assert!(page.conns.len() <= 10);
        ports.extend(page.conns.iter().map(|conn| conn.caddr.1));
        if page.done {
            break;
        }
        cursor = page.cursor;
    }
    assert_eq!(ports, (1..=25).collect::<Vec<u16>>());
}

/// One-arm: clients and dests behind the same device.
#[test]
fn fullnat_works_on_one_arm() {
    let mut director = Setup {
        one_arm: true,
        ..Setup::default()
    }
    .build();
    let syn = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    let sent = director.receive(LAN, &syn.frame((CLIENT_MAC, LAN_MAC)));
    let [(LAN, there)] = &sent[..] else {
        panic!("{sent:?}")
    };
    let there = Seen::parse(there);
    assert_eq!((there.dst.as_str(), there.to), (DEST, DEST_MAC));
    let syn_ack = frames::tcp(DEST, &there.src).flags("SA").ack(there.seq + 1);
    let sent = director.receive(LAN, &syn_ack.frame(FROM_DEST));
    let [(LAN, back)] = &sent[..] else {
        panic!("{sent:?}")
    };
    let back = Seen::parse(back);
    assert_eq!(
        (back.dst.as_str(), back.to, back.ack),
        (CLIENT, CLIENT_MAC, 1001)
    );
}
