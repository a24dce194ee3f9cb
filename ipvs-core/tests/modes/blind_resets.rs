//! A reset ends a conn if its number shows that it comes from an end of it: RFC 5961, 3.2, and RFC
//! 9293, 3.10.7.3. Every reset is passed on, since the end decides for itself.

use ipvs_core::{FwdMode, ProxyProtocol};
use packet::proxy::Version;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

/// A client's reset with this number.
fn client_resets(director: &mut Director, seq: u32) {
    let reset = frames::tcp(CLIENT, VIP).flags("R").seq(seq);
    director.to_dest(&reset.frame(FROM_CLIENT));
}

/// A handshake in any mode that sees both directions. Returns what the dest answers to, and the
/// number that it expects.
fn open(director: &mut Director) -> (String, u32) {
    let syn = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    let syn = director.to_dest(&syn.frame(FROM_CLIENT));
    let answer = frames::tcp(DEST, &syn.src)
        .flags("SA")
        .seq(5000)
        .ack(syn.seq + 1);
    director.to_client(&answer.frame(FROM_DEST));
    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    director.to_dest(&ack.frame(FROM_CLIENT));
    (syn.src, syn.seq + 1)
}

fn director(fwdmode: FwdMode) -> Director {
    Setup {
        fwdmode,
        ..Setup::default()
    }
    .build()
}

#[rstest]
fn a_client_s_reset_counts_in_the_dest_s_window(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(
        (1000, "ESTABLISHED"),
        (0x8000_0000, "ESTABLISHED"),
        (1001 + 65_536, "ESTABLISHED"),
        (1001, "CLOSE"),
        (1001 + 1460, "CLOSE")
    )]
    (seq, state): (u32, &str),
) {
    let mut director = director(fwdmode);
    open(&mut director);
    client_resets(&mut director, seq);
    assert_eq!(director.states(), [state]);
    director.wait_s(10);
    let is_alive = !director.states().is_empty();
    assert_eq!(is_alive, state == "ESTABLISHED");
}

#[rstest]
fn a_dest_s_reset_counts_in_the_client_s_window(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values((5000, "ESTABLISHED"), (90_000, "ESTABLISHED"), (5001, "CLOSE"))] (seq, state): (
        u32,
        &str,
    ),
) {
    let mut director = director(fwdmode);
    let (to, _) = open(&mut director);
    let reset = frames::tcp(DEST, &to).flags("R").seq(seq);
    director.to_client(&reset.frame(FROM_DEST));
    assert_eq!(director.states(), [state]);
}

/// RFC 9293, 3.10.7.3: while the SYN is not answered, a reset has to acknowledge it.
#[rstest]
#[case::of_the_syn("RA", 0, "CLOSE")]
#[case::of_another_number("RA", 1, "SYN_SENT")]
#[case::without_acknowledgment("R", 0, "SYN_SENT")]
fn a_refusal_acknowledges_the_syn(#[case] flags: &str, #[case] off: u32, #[case] state: &str) {
    let mut director = director(FwdMode::FullNat);
    let syn = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
    let syn = director.to_dest(&syn.frame(FROM_CLIENT));
    let refusal = frames::tcp(DEST, &syn.src)
        .flags(flags)
        .ack(syn.seq + 1 + off);
    director.to_client(&refusal.frame(FROM_DEST));
    assert_eq!(director.states(), [state]);
}

/// A client that gives up before the dest has answered.
#[test]
fn a_client_may_reset_before_the_dest_answers() {
    for (seq, state) in [(77, "SYN_SENT"), (1001, "CLOSE")] {
        let mut director = director(FwdMode::FullNat);
        let syn = frames::tcp(CLIENT, VIP).flags("S").seq(1000);
        director.to_dest(&syn.frame(FROM_CLIENT));
        client_resets(&mut director, seq);
        assert_eq!(director.states(), [state]);
    }
}

/// RFC 5961, 3.2: an end that gets a reset in its window, but not with the very number it expects,
/// sends a challenge ACK and goes on.
#[test]
fn a_conn_whose_dest_challenges_a_reset_goes_on() {
    let mut director = director(FwdMode::FullNat);
    let (to, expected) = open(&mut director);
    client_resets(&mut director, 2000);
    assert_eq!(director.states(), ["CLOSE"]);
    let challenge = frames::tcp(DEST, &to).flags("A").seq(5001).ack(expected);
    director.to_client(&challenge.frame(FROM_DEST));
    assert_eq!(director.states(), ["ESTABLISHED"]);
    director.wait_s(60);
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

/// The director sees only the client's segments: the reset has to follow the latest of them. A
/// forged segment does not move the window.
#[test]
fn a_reset_of_a_dr_conn_follows_the_client_s_segments() {
    let mut director = director(FwdMode::DirectRoute);
    let say = |director: &mut Director, flags: &str, seq: u32| {
        let segment = frames::tcp(CLIENT, VIP).flags(flags).seq(seq).ack(5001);
        director.to_dest(&segment.frame(FROM_CLIENT));
    };
    say(&mut director, "S", 0xffff_0000);
    for step in 1..=40 {
        say(
            &mut director,
            "A",
            0xffff_0000u32.wrapping_add(step * 60_000),
        );
    }
    let latest = 0xffff_0000u32.wrapping_add(40 * 60_000);
    say(&mut director, "A", 0x7000_0000);
    for seq in [0x7000_0000, latest - 1, latest + 65_536] {
        say(&mut director, "R", seq);
        assert_eq!(director.states(), ["ESTABLISHED"], "{seq:x}");
    }
    say(&mut director, "R", latest + 1460);
    assert_eq!(director.states(), ["CLOSE"]);
    say(&mut director, "S", 7);
    say(&mut director, "R", 8);
    assert_eq!(director.states(), ["CLOSE"], "a new conn has new numbers");
}

/// The PROXY header shifts the client's numbers. The client's own number counts.
#[test]
fn a_reset_behind_a_proxy_header_counts() {
    let mut director = director(FwdMode::FullNat);
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version: Version::V2,
            is_insecure: false,
            is_in_each_datagram: false,
        });
    });
    let (to, expected) = open(&mut director);
    let hello = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let sent = director.to_dest(&hello.payload(b"hello").frame(FROM_CLIENT));
    let ack = expected + sent.payload.len() as u32;
    let ack = frames::tcp(DEST, &to).flags("A").seq(5001).ack(ack);
    assert_eq!(director.to_client(&ack.frame(FROM_DEST)).ack, 1006);
    client_resets(&mut director, 1005);
    assert_eq!(director.states(), ["ESTABLISHED"]);
    client_resets(&mut director, 1006);
    assert_eq!(director.states(), ["CLOSE"]);
}
