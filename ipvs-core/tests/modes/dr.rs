//! DR (direct routing): the dest has the VIP itself and answers the client directly.

use ipvs_core::FwdMode;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, director, syn, udp_director};

/// DR changes nothing but the MAC addresses and, as any router, the TTL (RFC 1812, 5.3.1).
#[test]
fn dr_changes_mac_addresses_and_time_to_live_only() {
    let mut director = director(FwdMode::DirectRoute);
    let sent = syn();
    let (port, received) = only(director.receive(WAN, &sent));
    let seen = Seen::parse(&received);
    assert_eq!((port, seen.from, seen.to), (LAN, LAN_MAC, DEST_MAC));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str(), seen.ttl),
        (CLIENT, VIP, 63)
    );
    assert!(seen.checksums_right);
    assert_eq!(received[L2_LEN + 12..], sent[L2_LEN + 12..]);
}

/// The director sees the client's segments only. An ACK establishes the conn, a FIN ends it.
#[test]
fn dr_follows_the_client_alone() {
    let mut director = director(FwdMode::DirectRoute);
    for (flags, state) in [
        ("S", "SYN_RECV"),
        ("A", "ESTABLISHED"),
        ("PA", "ESTABLISHED"),
        ("FA", "FIN_WAIT"),
        ("A", "FIN_WAIT"),
        ("R", "CLOSE"),
        ("S", "SYN_RECV"),
    ] {
        let segment = frames::tcp(CLIENT, VIP).flags(flags).seq(1).ack(1);
        director.to_dest(&segment.frame(FROM_CLIENT));
        assert_eq!(director.states(), [state], "after {flags}");
    }
}

/// The director never sees an answer of the dest, so it does not treat a UDP conn of DR as
/// unanswered.
#[test]
fn a_udp_conn_of_dr_lives_as_long_as_an_answered_one() {
    let mut director = udp_director(FwdMode::DirectRoute);
    director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    assert_eq!(director.states(), ["UDP_NORMAL"]);
    director.wait_s(290);
    assert_eq!(director.states(), ["UDP_NORMAL"]);
    assert_eq!(director.wait_s(20), [], "and ends without a word");
    assert!(director.states().is_empty());
}

#[test]
fn an_established_dr_conn_expires_silently() {
    let mut director = director(FwdMode::DirectRoute);
    director.to_dest(&syn());
    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!(director.wait_s(1000), [], "nobody knows the numbers");
    assert!(director.states().is_empty());
}

/// A router between dest and client sends an error about a packet of the dest to the VIP.
#[test]
fn dr_brings_an_error_about_the_dest_s_packet_to_the_dest() {
    let mut director = udp_director(FwdMode::DirectRoute);
    director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    let by_dest = frames::udp(VIP, CLIENT, b"answer", FROM_DEST);
    let error = frames::unreachable("10.0.0.1", "10.0.0.100", &by_dest[L2_LEN..], FROM_CLIENT);
    let (port, received) = only(director.receive(WAN, &error));
    let seen = Seen::parse(&received);
    assert_eq!((port, seen.to), (LAN, DEST_MAC));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.1", "10.0.0.100")
    );
    assert_eq!(seen.payload, by_dest[L2_LEN..]);
    assert!(seen.checksums_right);
}
