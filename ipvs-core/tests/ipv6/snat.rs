//! SNAT: hosts behind the director reach the world from a WAN address.

use ipvs_core::Protocol;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{CLIENT_ADDR, DEST_ADDR, HOST, WORLD, snat_director};

#[test]
fn a_host_reaches_the_world_from_the_wan_address() {
    let mut director = snat_director(Protocol::Tcp);
    let syn = frames::tcp(HOST, WORLD).flags("S").seq(1000);
    let seen = one(director.receive(LAN, &syn.frame(FROM_DEST)), WAN);
    assert!(seen.src.starts_with("[2001:db8:100::200]:"), "{}", seen.src);
    assert_eq!(
        (seen.dst.as_str(), seen.seq, seen.checksums_right),
        (WORLD, 1000, true)
    );
    let reply = frames::tcp(WORLD, &seen.src)
        .flags("SA")
        .seq(5000)
        .ack(1001);
    let back = one(director.receive(WAN, &reply.frame(FROM_CLIENT)), LAN);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (WORLD, HOST));
    assert!(back.checksums_right);
}

/// RFC 5508, 3.1, for ICMPv6, whose checksum covers the addresses
#[test]
fn a_host_pings_the_world_and_hears_the_answer() {
    let mut director = snat_director(Protocol::IcmpV6);
    let ping = frames::echo_request(DEST_ADDR, CLIENT_ADDR, b"data", FROM_DEST);
    let (port, sent) = only(director.receive(LAN, &ping));
    let seen = Seen::parse(&sent);
    assert_eq!(
        (port, seen.icmp, seen.checksums_right),
        (WAN, Some((128, 0)), true)
    );
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (LADDR6, CLIENT_ADDR)
    );
    let identifier = |frame: &[u8]| [frame[58], frame[59]];

    // The host in the world answers: it swaps the addresses, which does not change the checksum,
    // and changes the type.
    let mut reply = sent.clone();
    reply[..6].copy_from_slice(&WAN_MAC.0);
    reply[6..12].copy_from_slice(&CLIENT_MAC.0);
    reply[22..38].copy_from_slice(&sent[38..54]);
    reply[38..54].copy_from_slice(&sent[22..38]);
    reply[54] = 129;
    let sum = u16::from_be_bytes([reply[56], reply[57]]);
    let sum = packet::checksum::Delta::of_u16(0x8000, 0x8100).apply(sum);
    reply[56..58].copy_from_slice(&sum.to_be_bytes());
    assert!(Seen::parse(&reply).checksums_right);
    let (port, back) = only(director.receive(WAN, &reply));
    let seen = Seen::parse(&back);
    assert_eq!(
        (port, seen.icmp, seen.checksums_right),
        (LAN, Some((129, 0)), true)
    );
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (CLIENT_ADDR, DEST_ADDR)
    );
    assert_eq!(identifier(&back), identifier(&ping));
}
