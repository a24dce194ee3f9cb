//! A call between the same ends as an earlier one.

use super::*;

const LISTENING: &str = "10.0.0.48:40001";

const VIP_DATA: &str = "10.0.0.100:20";

const DEST_DATA: &str = "192.168.100.2:20";

/// A segment of the dest's, which called this end.
fn dest_sends(director: &mut Director, to: &str, flags: &str, seq: u32) -> Seen {
    let segment = frames::tcp(DEST_DATA, to).flags(flags).seq(seq).ack(71);
    director.to_client(&segment.frame(FROM_DEST))
}

/// One of the client's, which was called.
fn client_sends(director: &mut Director, flags: &str, seq: u32) -> Seen {
    let segment = frames::tcp(LISTENING, VIP_DATA).flags(flags).seq(seq);
    director.to_dest(&segment.ack(8).frame(FROM_CLIENT))
}

/// RFC 9293, 3.3.1: a conn is known by its two ends alone, so there are no two between the same ones. The one that the client
/// has goes on.
#[test]
fn no_dest_calls_where_an_earlier_call_goes_on() {
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
        director.refuses(LAN, &call, DropReason::FtpCallInUse);
        assert_eq!((director.conns().len(), in_use.used()), (2, 3));
    }
    let file = client_sends(&mut director, "PA", 71);
    assert_eq!((&file.src, file.dst.as_str()), (&first, DEST_DATA));
    // From another port it is another conn.
    let other = frames::tcp("192.168.100.2:2000", &second).flags("S");
    assert_eq!(director.to_client(&other.frame(FROM_DEST)).dst, LISTENING);
    // The port of a call that was refused comes back when nobody expects it any more.
    let third = announce(&mut director, 1001 + 2 * EPRT.len() as u32);
    let call = frames::tcp(DEST_DATA, &third).flags("S").seq(9);
    director.refuses(LAN, &call.frame(FROM_DEST), DropReason::FtpCallInUse);
    assert_eq!(in_use.used(), 4);
    director.wait_s(62);
    assert_eq!((director.conns().len(), in_use.used()), (2, 2));
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// RFC 959, 3.2: the client names a port anew when it listens there anew. RFC 9293, 3.6.1: what is closed gives way to what opens.
#[rstest]
#[case::never_answered(&[])]
#[case::closed_by_the_dest(&[("client", "SA", 70), ("dest", "FA", 8)])]
#[case::closed_by_the_client(&[("client", "SA", 70), ("client", "FA", 71)])]
#[case::closed_by_both(&[("client", "SA", 70), ("dest", "FA", 8), ("client", "FA", 71)])]
#[case::reset(&[("client", "SA", 70), ("dest", "RA", 8)])]
fn an_earlier_call_that_is_over_gives_way(#[case] segments: &[(&str, &str, u32)]) {
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
    // What is left of the first call is nobody's.
    let late = frames::tcp(DEST_DATA, &first).flags("A").seq(9);
    director.refuses(LAN, &late.frame(FROM_DEST), DropReason::NoConn);
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// NAT's dest calls the client itself, between the same ends as before. RFC 9293, 3.6.1 lets it, once that conn is over.
#[rstest]
#[case::expected(true, "ESTABLISHED")]
// What none has asked for changes nothing.
#[case::not_expected(false, "TIME_WAIT")]
fn nat_s_dest_calls_again_from_the_same_port(#[case] is_expected: bool, #[case] state: &str) {
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
