//! A data conn between the same ends as an earlier one.

use ipvs_core::{DropReason, FwdMode, TcpState};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{EPRT, announce, control, director, ports_in_use, says};

const LISTENING: &str = "10.0.0.48:40001";
const VIP_DATA: &str = "10.0.0.100:20";
const DEST_DATA: &str = "192.168.100.2:20";

/// The dest sends a segment of its data conn to this end.
fn dest_sends(director: &mut Director, to: &str, flags: &str, seq: u32) -> Seen {
    let segment = frames::tcp(DEST_DATA, to).flags(flags).seq(seq).ack(71);
    director.to_client(&segment.frame(FROM_DEST))
}

/// The client sends a segment of that data conn.
fn client_sends(director: &mut Director, flags: &str, seq: u32) -> Seen {
    let segment = frames::tcp(LISTENING, VIP_DATA).flags(flags).seq(seq);
    director.to_dest(&segment.ack(8).frame(FROM_CLIENT))
}

/// `[timeouts] tcp_listen` (DPVS: `listen_timeout`) is the time of the state LISTEN, for the first
/// call and for one that opens a conn again that is over.
#[test]
fn a_call_waits_for_the_client_as_long_as_tcp_listen_says() {
    for listen_s in [5, 120] {
        let mut director = director(FwdMode::Nat);
        director.snapshot.timeouts.tcp_s[TcpState::Listen as usize] = listen_s;
        director.publish();
        control(&mut director);
        says(&mut director, 1001, 5001, EPRT);
        dest_sends(&mut director, LISTENING, "S", 7);
        let expires_in_s = |director: &mut Director| {
            let conns = director.conns();
            let call = conns.iter().find(|conn| conn.state == "LISTEN");
            call.unwrap().expires_in_s
        };
        let expected = listen_s - 1..=listen_s;
        assert!(expected.contains(&expires_in_s(&mut director)));
        client_sends(&mut director, "SA", 70);
        dest_sends(&mut director, LISTENING, "FA", 8);
        client_sends(&mut director, "FA", 71);
        says(&mut director, 1001 + EPRT.len() as u32, 5001, EPRT);
        dest_sends(&mut director, LISTENING, "S", 900);
        assert!(expected.contains(&expires_in_s(&mut director)), "again");
    }
}

/// RFC 9293, 3.3.1. A conn is named by its two ends, so there cannot be two between the same ends.
/// The conn that the client has goes on.
#[test]
fn no_data_conn_is_made_between_the_ends_of_one_that_goes_on() {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let first = announce(&mut director, 1001);
    dest_sends(&mut director, &first, "S", 7);
    client_sends(&mut director, "SA", 70);
    assert_eq!(in_use.used(), 2);
    let second = announce(&mut director, 1001 + EPRT.len() as u32);
    assert_ne!(first, second);
    assert_eq!(in_use.used(), 3);
    let call = frames::tcp(DEST_DATA, &second).flags("S").seq(9);
    let call = call.frame(FROM_DEST);
    for _ in 0..2 {
        director.rejects(LAN, &call, DropReason::FtpCallInUse);
        assert_eq!((director.conns().len(), in_use.used()), (2, 3));
    }
    let file = client_sends(&mut director, "PA", 71);
    assert_eq!((&file.src, file.dst.as_str()), (&first, DEST_DATA));
    // A data conn from another port is another conn.
    let other = frames::tcp("192.168.100.2:2000", &second).flags("S");
    assert_eq!(director.to_client(&other.frame(FROM_DEST)).dst, LISTENING);
    // The local port of a data conn that was refused is given back when that is no longer expected.
    let third = announce(&mut director, 1001 + 2 * EPRT.len() as u32);
    let call = frames::tcp(DEST_DATA, &third).flags("S").seq(9);
    director.rejects(LAN, &call.frame(FROM_DEST), DropReason::FtpCallInUse);
    assert_eq!(in_use.used(), 4);
    // The call from the other port still waits for the client.
    director.wait_s(62);
    assert_eq!((director.conns().len(), in_use.used()), (3, 3));
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// RFC 959, 3.2. The client may listen on the same port again. A conn that is closed gives way to a
/// new one (RFC 9293, 3.6.1).
#[rstest]
#[case::never_answered(&[])]
#[case::closed_by_the_dest(&[("client", "SA", 70), ("dest", "FA", 8)])]
#[case::closed_by_the_client(&[("client", "SA", 70), ("client", "FA", 71)])]
#[case::closed_by_both(&[("client", "SA", 70), ("dest", "FA", 8), ("client", "FA", 71)])]
#[case::reset(&[("client", "SA", 70), ("dest", "RA", 8)])]
fn an_earlier_data_conn_that_is_over_gives_way(#[case] segments: &[(&str, &str, u32)]) {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let first = announce(&mut director, 1001);
    dest_sends(&mut director, &first, "S", 7);
    for &(from, flags, seq) in segments {
        match from {
            "dest" => dest_sends(&mut director, &first, flags, seq),
            _ => client_sends(&mut director, flags, seq),
        };
    }
    let second = announce(&mut director, 1001 + EPRT.len() as u32);
    assert_eq!(in_use.used(), 3);
    let seen = dest_sends(&mut director, &second, "S", 900);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (VIP_DATA, LISTENING)
    );
    assert_eq!((director.conns().len(), in_use.used()), (2, 2));
    let seen = client_sends(&mut director, "SA", 70);
    assert_eq!((&seen.src, seen.dst.as_str()), (&second, DEST_DATA));
    assert_eq!(director.states(), ["ESTABLISHED"; 2]);
    // Late segments of the first data conn belong to no conn.
    let late = frames::tcp(DEST_DATA, &first).flags("A").seq(9);
    director.rejects(LAN, &late.frame(FROM_DEST), DropReason::NoConn);
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// With NAT the dest connects to the client between the same ends as before. It may do so when the
/// earlier conn is closed (RFC 9293, 3.6.1).
#[rstest]
#[case::expected(true, "ESTABLISHED")]
// A SYN that nobody expects changes nothing.
#[case::not_expected(false, "TIME_WAIT")]
fn a_nat_dest_connects_again_from_the_same_port(#[case] is_expected: bool, #[case] state: &str) {
    let mut director = director(FwdMode::Nat);
    control(&mut director);
    says(&mut director, 1001, 5001, EPRT);
    dest_sends(&mut director, LISTENING, "S", 7);
    client_sends(&mut director, "SA", 70);
    dest_sends(&mut director, LISTENING, "FA", 8);
    client_sends(&mut director, "FA", 71);
    if is_expected {
        says(&mut director, 1001 + EPRT.len() as u32, 5001, EPRT);
    }
    dest_sends(&mut director, LISTENING, "S", 900);
    if is_expected {
        client_sends(&mut director, "SA", 700);
    }
    let mut states = director.states();
    states.sort_unstable();
    assert_eq!(states, ["ESTABLISHED", state]);
}
