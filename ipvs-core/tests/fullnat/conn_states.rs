//! States of TCP conns, their timeouts, and what ends a conn.

use ipvs_core::{Command, DropReason, Event, LaddrId};
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::TOA;

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
    // TIME_WAIT lasts 7 s, as in DPVS. No reset is sent for a conn that both ends have closed.
    director.wait_s(6);
    assert_eq!(director.states(), ["TIME_WAIT"]);
    assert_eq!(director.wait_s(3), []);
    assert_eq!(director.states(), [""; 0]);
    assert_eq!(director.engine.stats().conns.get(), 0);
}

/// RFC 6191. If the old numbers are ahead, the new ones go on from them.
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

/// RFC 5961, 3.2. An end accepts a reset only if it carries the number that the end expects.
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
    let [(WAN, to_client), (LAN, to_dest)] = &resets[..] else {
        panic!("{resets:?}")
    };
    let (to_client, to_dest) = (Seen::parse(to_client), Seen::parse(to_dest));
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
        (to_dest.src.as_str(), to_dest.dst.as_str()),
        (laddr.as_str(), DEST)
    );
    assert_eq!((to_dest.seq, to_dest.ack), (isn_at_dest + 6, 5004));
    assert!(to_client.checksums_right && to_dest.checksums_right);
    assert_eq!((to_client.to, to_dest.to), (CLIENT_MAC, DEST_MAC));
}

/// Segments without payload keep the conn alive, too. The reset carries the number that the last of
/// them acknowledged.
#[test]
fn a_reset_carries_the_numbers_of_the_latest_segments() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    for sent in 1..=3 {
        director.wait_s(60);
        let (from_client, from_dest) = (1001 + 10 * (sent - 1), 5001 + 3 * (sent - 1));
        let request = frames::tcp(CLIENT, VIP).flags("PA").seq(from_client);
        let request = request.ack(from_dest).payload(b"ten bytes.");
        director.to_dest(&request.frame(FROM_CLIENT));
        let response = frames::tcp(DEST, &laddr).flags("PA").seq(from_dest);
        let response = response.ack(isn_at_dest + 1 + 10 * sent).payload(b"abc");
        director.to_client(&response.frame(FROM_DEST));
        let receipt = frames::tcp(CLIENT, VIP).flags("A").seq(1001 + 10 * sent);
        director.to_dest(&receipt.ack(5001 + 3 * sent).frame(FROM_CLIENT));
    }
    assert_eq!(director.wait_s(89), []);
    let resets = director.wait_s(3);
    let [(WAN, to_client), (LAN, to_dest)] = &resets[..] else {
        panic!("{resets:?}")
    };
    let numbers = [to_client, to_dest].map(|frame| {
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

/// DPVS: a removed dest gets no new conns, and those it has go on until they end.
#[test]
fn the_conns_of_a_removed_dest_go_on_and_no_new_ones_come() {
    let mut director = Setup::default().build();
    let opened = director.open();
    director.edit(|service| service.dests.clear());
    let syn = frames::tcp("10.0.0.48:40001", VIP)
        .flags("S")
        .frame(FROM_CLIENT);
    director.rejects(WAN, &syn, DropReason::NoDest);
    let data = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let seen = director.to_dest(&data.payload(b"GET").frame(FROM_CLIENT));
    assert_eq!((&*seen.dst, &*seen.payload), (DEST, &b"GET"[..]));
    let answer = frames::tcp(DEST, &opened.laddr).flags("PA").seq(5001);
    let answer = answer.ack(opened.isn_at_dest + 4).payload(b"200");
    assert_eq!(director.to_client(&answer.frame(FROM_DEST)).payload, b"200");
    director.wait_s(60);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

/// `--del-laddr --force`: the conns of a local address end, those of another one go on.
#[test]
fn the_conns_of_a_local_address_end_on_order_with_resets() {
    let mut director = Setup {
        laddrs: vec![LADDR, "192.168.100.201"],
        ..Setup::default()
    }
    .build();
    let first = director.open();
    let second = director.open_between("10.0.0.48:40001", VIP, DEST);
    assert!(first.laddr.starts_with(LADDR) && !second.laddr.starts_with(LADDR));
    director.command(ipvs_core::Command::EndConnsOfLaddr(LADDR.parse().unwrap()));
    assert_eq!(director.wait_s(1).len(), 2, "a reset to each end");
    let conns = director.conns();
    assert_eq!(conns.len(), 1);
    assert_eq!(conns[0].laddr.0.to_string(), "192.168.100.201");
}

/// `--del-laddr`: control shows the address as leaving until all workers have given its ports back.
#[test]
fn a_removed_local_address_is_reported_as_gone_even_if_the_ring_of_events_was_full() {
    let mut director = Setup::default().build();
    director.open();
    director.command(Command::RemoveLaddr(LaddrId(0)));
    director.wire.events.clear();
    director.wire.has_full_ring = true;
    director.command(Command::EndConnsOfLaddr(LADDR.parse().unwrap()));
    director.wait_s(3);
    assert!(director.wire.events.is_empty());
    director.wire.has_full_ring = false;
    assert!(director.conns().is_empty());
    director.wait_s(1);
    let events = director.wire.events.iter();
    let gone = events.filter(|event| matches!(event, Event::LaddrGone(LaddrId(0), _)));
    assert_eq!(gone.count(), 1);
}
