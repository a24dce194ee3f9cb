//! ICMP: pings of the director, and errors about conns in both directions (RFC 792, RFC 1191).

use ipvs_core::{DropReason, Protocol};
use testkit::director::*;
use testkit::frames::{self, Seen};

/// An IP header and 8 bytes of L4: an ICMP error need not quote more (RFC 792).
fn first_eight(frame: &[u8]) -> Vec<u8> {
    frame[14..14 + 28].to_vec()
}

#[test]
fn the_director_answers_pings_to_its_addresses() {
    let mut director = Setup::default().build();
    let reply = director.receive(
        WAN,
        &frames::echo_request("10.0.0.48", "10.0.0.100", b"data", FROM_CLIENT),
    );
    let [(WAN, reply)] = &reply[..] else {
        panic!("{reply:?}")
    };
    let reply = Seen::parse(reply);
    assert_eq!(
        (reply.icmp, reply.src.as_str(), reply.dst.as_str()),
        (Some((0, 0)), "10.0.0.100", "10.0.0.48")
    );
    assert_eq!(
        (reply.to, reply.payload.as_slice(), reply.checksums_right),
        (CLIENT_MAC, &b"data"[..], true)
    );
}

#[test]
fn a_ping_with_a_wrong_checksum_is_dropped() {
    let mut director = Setup::default().build();
    let mut ping = frames::echo_request("10.0.0.48", "10.0.0.100", b"data", FROM_CLIENT);
    *ping.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &ping, DropReason::IcmpBadChecksum);
}

#[test]
fn a_ping_to_an_address_of_the_kernel_goes_there() {
    let mut director = Setup::default().build();
    director.receive(
        WAN,
        &frames::echo_request("10.0.0.48", "10.0.0.99", b"", FROM_CLIENT),
    );
    assert_eq!(director.wire.to_kernel.len(), 1);
}

#[test]
fn an_error_about_a_packet_to_the_dest_reaches_the_client_as_about_its_own() {
    let mut director = Setup::default().build();
    let Opened {
        laddr, isn_at_dest, ..
    } = director.open();
    let sent = frames::tcp(&laddr, DEST)
        .flags("A")
        .seq(isn_at_dest + 1)
        .ack(5001)
        .frame(FROM_DEST);
    let error = frames::fragmentation_needed(
        "192.168.100.9",
        "192.168.100.200",
        1400,
        &first_eight(&sent),
        FROM_DEST,
    );
    let seen = director.to_client(&error);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str(), seen.icmp),
        ("10.0.0.100", "10.0.0.48", Some((3, 4)))
    );
    assert!(seen.checksums_right);
    let own = frames::tcp(CLIENT, VIP)
        .flags("A")
        .seq(1001)
        .ack(5001)
        .frame(FROM_CLIENT);
    assert_eq!(
        seen.payload[12..],
        first_eight(&own)[12..],
        "addresses, ports, and the client's own sequence number"
    );
    assert!(quoted_header_is_right(&seen.payload));
}

#[test]
fn an_error_about_a_packet_to_the_client_reaches_the_dest_as_about_its_own() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"q", FROM_CLIENT));
    let back = frames::udp(VIP, CLIENT, b"answer", FROM_CLIENT);
    // Hosts of today quote the whole datagram (RFC 1812, 4.3.2.3).
    let seen = director.to_dest(&frames::unreachable(
        "10.0.0.48",
        "10.0.0.100",
        &back[14..],
        FROM_CLIENT,
    ));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str(), seen.icmp),
        ("192.168.100.200", "192.168.100.2", Some((3, 3)))
    );
    let own = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    assert_eq!(
        seen.payload[12..],
        own[26..],
        "the whole datagram as the dest had sent it, checksum included"
    );
    assert!(seen.checksums_right && quoted_header_is_right(&seen.payload));
}

#[test]
fn errors_about_nothing_of_ours_or_cut_ones_are_dropped_with_their_reason() {
    let mut director = Setup::default().build();
    let stray = frames::tcp("192.168.100.200:2000", DEST)
        .flags("A")
        .frame(FROM_DEST);
    let about =
        |quoted: &[u8]| frames::unreachable("192.168.100.2", "192.168.100.200", quoted, FROM_DEST);
    director.refuses(LAN, &about(&first_eight(&stray)), DropReason::IcmpNoConn);
    for len in 0..28 {
        director.refuses(
            LAN,
            &about(&first_eight(&stray)[..len]),
            DropReason::IcmpMalformed,
        );
    }
}

fn quoted_header_is_right(quoted: &[u8]) -> bool {
    packet::checksum::fold(packet::checksum::sum(&quoted[..20])) == 0xffff
}
