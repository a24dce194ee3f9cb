//! FullNAT, rule by rule: packets in, packets out, on a clock that the test turns.
//! "Design" is the FullNAT outline design; features.md 5 is the wire format of TOA.

use std::collections::HashSet;

use ipvs_core::{Command, ConnPage, DestId, DropReason, Event, FwdMode, Origin, Protocol};
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

const TOA: [u8; 8] = [254, 8, 0x9c, 0x40, 10, 0, 0, 48]; // 40000 is 0x9c40

#[test]
fn a_syn_goes_from_a_local_address_to_the_dest() {
    let mut director = Setup::default().build();
    let Opened { syn, .. } = director.open();
    assert_eq!(syn.dst, DEST);
    assert!(syn.src.starts_with("192.168.100.200:"), "{}", syn.src);
    assert_eq!((syn.from, syn.to), (LAN_MAC, DEST_MAC));
    assert_eq!((syn.ttl, syn.flags.as_str()), (63, "S"));
    assert!(syn.checksums_right);
}

/// Design 4.4.1: no timestamps in the SYN to the dest, everything else as it was.
#[test]
fn timestamps_are_stripped_from_the_syn() {
    let Opened { syn, .. } = Setup::default().build().open();
    assert_eq!(
        syn.options,
        [
            2, 4, 0x05, 0xb4, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 7
        ]
    );
}

/// Design 4.6.1: the dest sees a sequence number of the director's choosing, the client its own.
#[test]
fn sequence_numbers_are_chosen_anew_and_translated_back() {
    let Opened {
        syn,
        syn_ack,
        isn_at_dest,
        ..
    } = Setup::default().build().open();
    assert_ne!(syn.seq, 1000);
    assert_eq!(isn_at_dest, syn.seq);
    assert_eq!((syn_ack.ack, syn_ack.seq), (1001, 5000));
    assert_eq!((syn_ack.src.as_str(), syn_ack.dst.as_str()), (VIP, CLIENT));
    assert!(syn_ack.checksums_right);
}

/// Design 4.4.2: the MSS that the client sees leaves room for what is inserted.
#[test]
fn the_mss_of_the_syn_ack_is_lowered_by_the_toa_option() {
    let Opened { syn_ack, .. } = Setup::default().build().open();
    assert_eq!(syn_ack.options, [2, 4, 0x05, 0xac]);
}

/// features.md 5: on every segment that acknowledges nothing but the dest's SYN, not on the SYN, right
/// behind the fixed header, until data of the dest is acknowledged.
#[test]
fn toa_is_on_the_segments_where_dpvs_puts_it() {
    let mut director = Setup::default().build();
    let Opened {
        ack,
        laddr,
        isn_at_dest,
        ..
    } = director.open();
    assert_eq!(ack.options, TOA);
    assert_eq!(
        (ack.seq, ack.ack, ack.total_len),
        (isn_at_dest + 1, 5001, 48)
    );
    assert!(ack.checksums_right);

    let data = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1001)
        .ack(5001)
        .payload(b"GET /");
    let data = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(
        (data.options.as_slice(), data.payload.as_slice()),
        (&TOA[..], &b"GET /"[..])
    );
    assert!(data.checksums_right);

    let reply = frames::tcp(DEST, &laddr)
        .flags("PA")
        .seq(5001)
        .ack(isn_at_dest + 6)
        .payload(b"200");
    assert_eq!(director.to_client(&reply.frame(FROM_DEST)).ack, 1006);
    let more = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1006)
        .ack(5004)
        .payload(b"more");
    assert_eq!(director.to_dest(&more.frame(FROM_CLIENT)).options, []);
    assert_eq!(director.engine.stats().toa_sent.get(), 2);
}

#[test]
fn toa_stands_before_the_client_s_own_options_and_a_forged_one_is_blanked() {
    let mut director = Setup::default().build();
    director.open();
    let forged = [254, 8, 0, 1, 1, 2, 3, 4];
    let data = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .options(&forged)
        .payload(b"x");
    let seen = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(seen.options, [&TOA[..], &[1; 8]].concat());
    assert!(seen.checksums_right);
}

/// Never beyond the option space or the MTU: then counted, and sent without.
#[test]
fn toa_that_does_not_fit_is_left_out_and_counted() {
    let mut director = Setup::default().build();
    director.open();
    let full = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .options(&[1; 40]);
    assert_eq!(director.to_dest(&full.frame(FROM_CLIENT)).options, [1; 40]);
    let large = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .payload(&[7; 1460]);
    let seen = director.to_dest(&large.frame(FROM_CLIENT));
    assert_eq!((seen.options.as_slice(), seen.total_len), (&[][..], 1500));
    let stats = director.engine.stats();
    assert_eq!(
        (
            stats.toa_no_space.get(),
            stats.toa_over_mtu.get(),
            stats.toa_sent.get()
        ),
        (1, 1, 1)
    );
}

/// RFC 2018: SACK blocks of the dest are in the dest's numbers; the client needs its own.
#[test]
fn sack_blocks_are_translated() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    let block = |at: u32| at.to_be_bytes();
    let sack = [
        &[1, 1, 5, 10][..],
        &block(isn_at_dest + 100),
        &block(isn_at_dest + 200),
    ]
    .concat();
    let reply = frames::tcp(DEST, &laddr)
        .flags("A")
        .seq(5001)
        .ack(isn_at_dest + 1)
        .options(&sack);
    let seen = director.to_client(&reply.frame(FROM_DEST));
    assert_eq!(
        seen.options,
        [&[1, 1, 5, 10][..], &block(1100), &block(1200)].concat()
    );
    assert!(seen.checksums_right);
}

#[test]
fn the_states_are_those_of_ipvs_with_their_timeouts() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    assert_eq!(director.states(), ["ESTABLISHED"]);
    director.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("FA")
            .seq(1001)
            .ack(5001)
            .frame(FROM_CLIENT),
    );
    assert_eq!(director.states(), ["CLOSE_WAIT"]);
    director.to_client(
        &frames::tcp(DEST, &laddr)
            .flags("FA")
            .seq(5001)
            .ack(isn_at_dest + 2)
            .frame(FROM_DEST),
    );
    assert_eq!(director.states(), ["LAST_ACK"]);
    director.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("A")
            .seq(1002)
            .ack(5002)
            .frame(FROM_CLIENT),
    );
    assert_eq!(director.states(), ["TIME_WAIT"]);
    // time_wait 7 s in DPVS; nobody is told about the end of a conn that both have closed
    director.wait_s(6);
    assert_eq!(director.states(), ["TIME_WAIT"]);
    assert_eq!(director.wait_s(3), []);
    assert_eq!(director.states(), [""; 0]);
    assert_eq!(director.engine.stats().conns.get(), 0);
}

/// Design 4.6.2; RFC 6191.
#[test]
fn a_syn_on_a_conn_in_close_or_time_wait_starts_it_afresh() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    director.to_client(
        &frames::tcp(DEST, &laddr)
            .flags("R")
            .seq(5001)
            .frame(FROM_DEST),
    );
    assert_eq!(director.states(), ["CLOSE"]);
    let syn = director.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("S")
            .seq(70_000)
            .frame(FROM_CLIENT),
    );
    assert_eq!(director.states(), ["SYN_SENT"]);
    assert_eq!(syn.src, laddr, "the same conn");
    assert!(
        syn.seq.wrapping_sub(isn_at_dest) < 1 << 31,
        "the dest's last memory is behind the new number"
    );
    let syn_ack = frames::tcp(DEST, &laddr)
        .flags("SA")
        .seq(9000)
        .ack(syn.seq + 1);
    assert_eq!(director.to_client(&syn_ack.frame(FROM_DEST)).ack, 70_001);
    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(70_001).ack(9001);
    assert_eq!(director.to_dest(&ack.frame(FROM_CLIENT)).options, TOA);
}

/// Design 4.8; RFC 5961, 3.2: each end believes the reset, since it carries the number it expects.
#[test]
fn both_ends_of_an_established_conn_that_expires_are_reset() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    director.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("PA")
            .seq(1001)
            .ack(5001)
            .payload(b"hello")
            .frame(FROM_CLIENT),
    );
    director.to_client(
        &frames::tcp(DEST, &laddr)
            .flags("PA")
            .seq(5001)
            .ack(isn_at_dest + 6)
            .payload(b"abc")
            .frame(FROM_DEST),
    );
    director.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("A")
            .seq(1006)
            .ack(5004)
            .frame(FROM_CLIENT),
    );
    assert_eq!(director.wait_s(89), []);
    let resets = director.wait_s(3);
    let [(WAN, to_client), (LAN, to_server)] = &resets[..] else {
        panic!("{resets:?}")
    };
    let (to_client, to_server) = (Seen::parse(to_client), Seen::parse(to_server));
    assert_eq!(
        (
            to_client.src.as_str(),
            to_client.dst.as_str(),
            to_client.flags.as_str()
        ),
        (VIP, CLIENT, "RA")
    );
    assert_eq!((to_client.seq, to_client.ack), (5004, 1006));
    assert_eq!(
        (to_server.src.as_str(), to_server.dst.as_str()),
        (laddr.as_str(), DEST)
    );
    assert_eq!((to_server.seq, to_server.ack), (isn_at_dest + 6, 5004));
    assert!(to_client.checksums_right && to_server.checksums_right);
    assert_eq!((to_client.to, to_server.to), (CLIENT_MAC, DEST_MAC));
}

/// Segments that only acknowledge keep the conn alive, and the reset carries what the last of them acknowledged.
#[test]
fn a_reset_carries_the_numbers_of_the_latest_segments() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    for sent in 1..=3 {
        director.wait_s(60);
        let (from_client, from_server) = (1001 + 10 * (sent - 1), 5001 + 3 * (sent - 1));
        let request = frames::tcp(CLIENT, VIP).flags("PA").seq(from_client);
        let request = request.ack(from_server).payload(b"ten bytes.");
        director.to_dest(&request.frame(FROM_CLIENT));
        let response = frames::tcp(DEST, &laddr).flags("PA").seq(from_server);
        let response = response.ack(isn_at_dest + 1 + 10 * sent).payload(b"abc");
        director.to_client(&response.frame(FROM_DEST));
        let receipt = frames::tcp(CLIENT, VIP).flags("A").seq(1001 + 10 * sent);
        director.to_dest(&receipt.ack(5001 + 3 * sent).frame(FROM_CLIENT));
    }
    assert_eq!(director.wait_s(89), []);
    let resets = director.wait_s(3);
    let [(WAN, to_client), (LAN, to_server)] = &resets[..] else {
        panic!("{resets:?}")
    };
    let numbers = [to_client, to_server].map(|frame| {
        let seen = Seen::parse(frame);
        (seen.seq, seen.ack)
    });
    assert_eq!(numbers, [(5010, 1031), (isn_at_dest + 31, 5010)]);
}

#[test]
fn half_open_conns_expire_silently() {
    let mut director = Setup::default().build();
    director.to_dest(
        &frames::tcp(CLIENT, VIP)
            .flags("S")
            .seq(1)
            .frame(FROM_CLIENT),
    );
    assert_eq!(director.wait_s(5), [], "syn_sent 3 s in DPVS");
    assert_eq!(director.states(), [""; 0]);
}

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
fn udp_goes_there_and_back() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"question", FROM_CLIENT));
    assert_eq!(
        (
            there.dst.as_str(),
            there.payload.as_slice(),
            there.checksums_right
        ),
        (DEST, &b"question"[..], true)
    );
    let back = director.to_client(&frames::udp(DEST, &there.src, b"answer", FROM_DEST));
    assert_eq!(
        (back.src.as_str(), back.dst.as_str(), back.checksums_right),
        (VIP, CLIENT, true)
    );
    assert_eq!(director.states(), ["UDP_NORMAL"]);
}

/// RFC 768: a checksum of zero means none, and stays none.
#[test]
fn udp_without_a_checksum_stays_without() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let mut frame = frames::udp(CLIENT, VIP, b"x", FROM_CLIENT);
    frame[40..42].fill(0);
    let sent = director.receive(WAN, &frame);
    assert_eq!(sent[0].1[40..42], [0, 0]);
}

#[test]
fn a_wrong_checksum_opens_no_conn_and_never_becomes_right() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let mut frame = frames::udp(CLIENT, VIP, b"payload", FROM_CLIENT);
    *frame.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &frame, DropReason::UdpBadChecksum);
    director.to_dest(&frames::udp(CLIENT, VIP, b"payload", FROM_CLIENT));
    assert!(!director.to_dest(&frame).checksums_right);

    let mut director = Setup::default().build();
    let mut syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    syn[50] ^= 1;
    director.refuses(WAN, &syn, DropReason::TcpBadChecksum);
}

#[test]
fn a_segment_that_opens_nothing_is_dropped() {
    let mut director = Setup::default().build();
    for flags in ["A", "SA", "FA", "R", "SF", ""] {
        director.refuses(
            WAN,
            &frames::tcp(CLIENT, VIP).flags(flags).frame(FROM_CLIENT),
            DropReason::TcpNotSyn,
        );
    }
    director.refuses(
        LAN,
        &frames::tcp(DEST, "192.168.100.200:2000")
            .flags("A")
            .frame(FROM_DEST),
        DropReason::NoConn,
    );
}

#[test]
fn a_service_without_dests_or_local_addresses_says_so() {
    let syn = frames::tcp(CLIENT, VIP).flags("S").frame(FROM_CLIENT);
    Setup {
        dests: Vec::new(),
        ..Setup::default()
    }
    .build()
    .refuses(WAN, &syn, DropReason::NoDest);
    Setup {
        laddrs: Vec::new(),
        ..Setup::default()
    }
    .build()
    .refuses(WAN, &syn, DropReason::NoLaddr);
}

/// Exhaustion is counted and visible, and ends when a conn ends.
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
    director.refuses(WAN, &syn(sapool::PORTS), DropReason::NoLocalPort);
    director.wait_s(60);
    assert_eq!(director.receive(WAN, &syn(sapool::PORTS)).len(), 1);
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

/// A shell may have more at once than the stages take: all go their way, in the order they came, each as its own conn's.
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
fn the_conns_of_a_removed_dest_are_reset_and_reported_gone() {
    let mut director = Setup::default().build();
    director.open();
    director.command(Command::CloseDest(DestId(0)));
    assert_eq!(director.wait_s(1).len(), 2, "a reset to each end");
    assert_eq!(director.states(), [""; 0]);
    director.command(Command::CloseDest(DestId(0)));
    director.wait_s(1);
    assert!(
        director
            .wire
            .events
            .iter()
            .any(|event| matches!(event, Event::DestGone(DestId(0))))
    );
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

#[test]
fn a_packet_too_large_for_its_way_is_refused() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        lan_mtu: 1000,
        ..Setup::default()
    }
    .build();
    let large = frames::udp(CLIENT, VIP, &[0; 1200], FROM_CLIENT);
    let sent = director.receive(WAN, &large);
    assert_eq!(
        director
            .engine
            .stats()
            .drops_by(DropReason::MtuExceeded)
            .get(),
        1
    );
    // RFC 1191: the sender hears of it, with the MTU that fits
    let [(WAN, error)] = &sent[..] else {
        panic!("{} frames", sent.len())
    };
    let error = Seen::parse(error);
    assert_eq!(
        (error.icmp, error.dst.as_str(), error.checksums_right),
        (Some((3, 4)), "10.0.0.48", true)
    );
}

/// What was refused was no answer; the way that it found is known when the first one comes.
#[test]
fn a_dest_has_answered_with_the_first_packet_that_reaches_the_client() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let answer = |len| frames::udp(DEST, &there.src, &vec![0; len], FROM_DEST);
    for (len, conns) in [(1600, (0, 1)), (100, (1, 0)), (100, (1, 0))] {
        director.receive(LAN, &answer(len));
        let stats = director.engine.stats().dest(DestId(0));
        let counted = (stats.active_conns.get(), stats.inactive_conns.get());
        assert_eq!(counted, conns, "after {len} bytes");
    }
    assert_eq!(director.engine.stats().dest(DestId(0)).out_packets.get(), 2);
}

/// One-arm: clients and dests behind the same device.
#[test]
fn everything_may_go_by_one_device() {
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
