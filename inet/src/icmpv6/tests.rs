use etherparse::{Icmpv6Slice, Ipv6HeaderSlice, PacketBuilder};
use packet::PortId;
use proptest::prelude::*;
use testkit::VecBuf;

use super::*;

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn frame(
    src: &str,
    dst: &str,
    build: impl FnOnce(etherparse::PacketBuilderStep<etherparse::IpHeaders>) -> Vec<u8>,
) -> VecBuf {
    let builder =
        PacketBuilder::ethernet2(CLIENT, OURS).ipv6(ip(src).octets(), ip(dst).octets(), 9);
    VecBuf::new(PortId(0), &build(builder))
}

fn echo(src: &str, dst: &str) -> VecBuf {
    frame(src, dst, |builder| {
        let mut bytes = Vec::new();
        builder
            .icmpv6_echo_request(7, 1)
            .write(&mut bytes, b"data")
            .unwrap();
        bytes
    })
}

fn udp(src: &str, dst: &str, len: usize) -> VecBuf {
    frame(src, dst, |builder| {
        let mut bytes = Vec::new();
        builder
            .udp(5000, 80)
            .write(&mut bytes, &vec![7; len])
            .unwrap();
        bytes
    })
}

/// Source, destination, hop limit, message: its checksum verified by etherparse.
fn seen(packet: &VecBuf) -> (Ipv6Addr, Ipv6Addr, u8, Vec<u8>) {
    let header = Ipv6HeaderSlice::from_slice(&packet.bytes()[14..]).unwrap();
    assert_eq!(header.next_header().0, 58);
    let icmp = &packet.bytes()[54..];
    assert_eq!(usize::from(header.payload_length()), icmp.len());
    let slice = Icmpv6Slice::from_slice(icmp).unwrap();
    assert!(slice.is_checksum_valid(header.source(), header.destination()));
    (
        header.source_addr(),
        header.destination_addr(),
        header.hop_limit(),
        icmp.to_vec(),
    )
}

/// RFC 4443, 4.2
#[test]
fn an_echo_request_becomes_its_reply() {
    let mut packet = echo("2001:db8::9", "2001:db8::100");
    assert!(echo_reply_in_place(&mut packet));
    let (src, dst, hop_limit, icmp) = seen(&packet);
    assert_eq!(
        (src, dst, hop_limit),
        (ip("2001:db8::100"), ip("2001:db8::9"), 64)
    );
    assert_eq!(
        (&icmp[..2], &icmp[4..]),
        (&[129, 0][..], &b"\x00\x07\x00\x01data"[..])
    );
    assert_eq!(packet.bytes()[..12], [CLIENT, OURS].concat());
}

#[test]
fn no_other_message_is_answered() {
    let mut reply = echo("2001:db8::9", "2001:db8::100");
    reply.bytes_mut()[54] = 129;
    for mut packet in [
        reply,
        echo("::", "2001:db8::100"),
        echo("2001:db8::9", "ff02::1"),
        udp("2001:db8::9", "2001:db8::100", 4),
    ] {
        let before = packet.bytes().to_vec();
        assert!(!echo_reply_in_place(&mut packet));
        assert_eq!(packet.bytes(), before);
    }
}

/// RFC 4443, 3.2 and 3.3; 2.4 (c): as much of the packet as fits the least MTU.
#[test]
fn errors_quote_the_packet_and_are_no_longer_than_the_least_mtu() {
    for (len, quoted) in [(10, 40 + 8 + 10), (1452, 1280 - 48)] {
        let original = udp("2001:db8::9", "2001:db8::100", len);
        let about = original.bytes()[14..].to_vec();
        let mut packet = udp("2001:db8::9", "2001:db8::100", len);
        assert!(packet_too_big(&mut packet, ip("2001:db8::100"), 1400));
        let (src, dst, _, icmp) = seen(&packet);
        assert_eq!((src, dst), (ip("2001:db8::100"), ip("2001:db8::9")));
        assert_eq!(
            (&icmp[..2], &icmp[4..8]),
            (&[2, 0][..], &1400u32.to_be_bytes()[..])
        );
        assert_eq!(icmp[8..], about[..quoted]);
    }
    let mut packet = udp("2001:db8::9", "2001:db8::100", 10);
    assert!(time_exceeded(&mut packet, ip("2001:db8::100")));
    assert_eq!(seen(&packet).3[..2], [3, 0]);
    let mut packet = udp("2001:db8::9", "2001:db8::100", 10);
    assert!(dest_unreachable(
        &mut packet,
        ip("2001:db8::100"),
        Unreachable::Port
    ));
    assert_eq!(seen(&packet).3[..2], [1, 4]);
}

/// RFC 4443, 2.4 (e)
#[test]
fn never_about_errors_redirects_or_what_was_for_many() {
    let of_type = |kind: u8| {
        let mut packet = echo("2001:db8::9", "2001:db8::100");
        packet.bytes_mut()[54] = kind;
        packet
    };
    for mut packet in [
        of_type(1),
        of_type(127),
        of_type(137),
        udp("::", "2001:db8::100", 1),
        udp("2001:db8::9", "ff02::1", 1),
    ] {
        let before = packet.bytes().to_vec();
        assert!(!time_exceeded(&mut packet, ip("2001:db8::100")));
        assert_eq!(packet.bytes(), before);
    }
    assert!(time_exceeded(&mut of_type(128), ip("2001:db8::100")));
    let mut to_many = udp("2001:db8::9", "ff02::1", 1);
    assert!(
        packet_too_big(&mut to_many, ip("2001:db8::100"), 1280),
        "RFC 4443, 2.4 (e.3)"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        echo_reply_in_place(&mut VecBuf::new(PortId(0), &bytes));
        time_exceeded(&mut VecBuf::new(PortId(0), &bytes), ip("2001:db8::100"));
    }
}
