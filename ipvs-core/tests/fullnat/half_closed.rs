//! Conns of which one end has closed (RFC 9293, 3.6): the other end may go on for as long as it
//! likes. The timeouts are those of DPVS, 7 s of silence after a FIN.

use ipvs_core::{DropReason, FwdMode, TcpState};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

/// A conn, and what its ends say.
struct Talk {
    director: Director,
    /// What the dest answers to
    to: String,
    /// The number that the dest expects of the client
    expected: u32,
}

impl Talk {
    fn open(fwdmode: FwdMode) -> Self {
        let mut director = Setup {
            fwdmode,
            ..Setup::default()
        }
        .build();
        let syn = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
        let syn = director.to_dest(&syn.frame(FROM_CLIENT));
        let answer = frames::tcp(DEST, &syn.src).flags("SA").seq(5000);
        director.to_client(&answer.ack(syn.seq + 1).frame(FROM_DEST));
        let mut talk = Self {
            director,
            to: syn.src,
            expected: syn.seq + 1,
        };
        talk.client("A", 1001, 5001, b"");
        talk
    }

    fn client(&mut self, flags: &str, seq: u32, ack: u32, data: &[u8]) {
        let segment = frames::tcp(CLIENT, VIP).flags(flags).seq(seq).ack(ack);
        let segment = segment.payload(data).frame(FROM_CLIENT);
        assert_eq!(self.director.to_dest(&segment).payload, data);
    }

    /// The dest acknowledges `got` bytes of the client.
    fn dest(&mut self, flags: &str, seq: u32, got: u32, data: &[u8]) {
        let segment = frames::tcp(DEST, &self.to).flags(flags).seq(seq);
        let segment = segment.ack(self.expected + got).payload(data);
        let seen = self.director.to_client(&segment.frame(FROM_DEST));
        assert_eq!(seen.payload, data);
    }

    fn wait(&mut self, secs: u64) {
        assert_eq!(self.director.wait_s(secs), []);
    }
}

#[rstest]
fn a_dest_answers_for_as_long_as_it_likes_after_the_client_has_closed(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(2, 6)] pause_s: u64,
) {
    let mut talk = Talk::open(fwdmode);
    talk.client("FA", 1001, 5001, b"");
    talk.dest("A", 5001, 1, b"");
    for part in 0..20 {
        talk.wait(pause_s);
        talk.dest("PA", 5001 + part * 4, 1, b"part");
        talk.client("A", 1002, 5005 + part * 4, b"");
    }
    assert_eq!(talk.director.states(), ["CLOSE_WAIT"]);
    talk.dest("FA", 5081, 1, b"");
    talk.client("A", 1002, 5082, b"");
    assert_eq!(talk.director.states(), ["TIME_WAIT"]);
    talk.wait(10);
    assert!(talk.director.states().is_empty());
}

#[test]
fn a_client_goes_on_for_as_long_as_it_likes_after_the_dest_has_closed() {
    let mut talk = Talk::open(FwdMode::FullNat);
    talk.dest("FA", 5001, 0, b"");
    for part in 0..20 {
        talk.wait(6);
        talk.client("PA", 1001 + part * 4, 5002, b"part");
        talk.dest("A", 5002, 4 + part * 4, b"");
    }
    assert_eq!(talk.director.states(), ["FIN_WAIT"]);
}

/// Once the other end has sent something, it may pause as long as in an established conn.
#[test]
fn an_end_that_goes_on_may_pause() {
    let mut talk = Talk::open(FwdMode::FullNat);
    talk.client("FA", 1001, 5001, b"");
    talk.wait(5);
    for part in 0..3 {
        talk.dest("PA", 5001 + part * 4, 1, b"part");
        talk.client("A", 1002, 5005 + part * 4, b"");
        talk.wait(60);
    }
    assert_eq!(talk.director.states(), ["CLOSE_WAIT"]);
    talk.wait(40);
    assert!(talk.director.states().is_empty());
}

/// Routes and timeouts change meanwhile. Every conn looks up its way and its timeout again then.
#[rstest]
fn a_change_of_routes_or_timeouts_does_not_end_it(#[values(true, false)] is_client: bool) {
    let mut talk = Talk::open(FwdMode::FullNat);
    if is_client {
        talk.client("FA", 1001, 5001, b"");
        talk.dest("PA", 5001, 1, b"part");
    } else {
        talk.dest("FA", 5001, 0, b"");
        talk.client("PA", 1001, 5002, b"part");
    }
    for secs in [60, 200] {
        let timeouts = &mut talk.director.snapshot.timeouts;
        timeouts.tcp_s[TcpState::Established as usize] = secs;
        talk.director.snapshot.net.invalidate_nexthops();
        talk.director.publish();
        if is_client {
            talk.client("A", 1002, 5005, b"");
        } else {
            talk.dest("A", 5002, 4, b"");
        }
        talk.wait(u64::from(secs) - 5);
        assert_eq!(talk.director.conns().len(), 1, "{secs}");
    }
}

/// `tcp_close_wait` and `tcp_fin_wait` of DPVS.
#[rstest]
#[case::of_the_client(true)]
#[case::of_the_dest(false)]
fn silence_after_a_close_lasts_7_s(#[case] is_client: bool) {
    let mut talk = Talk::open(FwdMode::FullNat);
    if is_client {
        talk.client("FA", 1001, 5001, b"");
        talk.dest("A", 5001, 1, b"");
    } else {
        talk.dest("FA", 5001, 0, b"");
        talk.client("A", 1001, 5002, b"");
    }
    talk.wait(6);
    assert_eq!(talk.director.states().len(), 1);
    talk.wait(3);
    assert!(talk.director.states().is_empty());
    // RFC 9293, 3.10.7.1: an end that goes on all the same does not wait for ever.
    let late = frames::tcp(DEST, &talk.to).flags("PA").seq(5002).ack(7);
    let late = late.payload(b"late").frame(FROM_DEST);
    let reset = talk.director.rejects(LAN, &late, DropReason::NoConn);
    assert_eq!(reset.flags, "R");
}
