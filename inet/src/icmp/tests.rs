use etherparse::{
    Icmpv4Slice, Icmpv4Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice, icmpv4,
};
use packet::PortId;
use proptest::prelude::*;
use testkit::VecBuf;

use super::*;

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const CLIENT: [u8; 4] = [10, 0, 0, 48];
const VIP: [u8; 4] = [10, 0, 0, 100];
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn buf(bytes: &[u8]) -> VecBuf {
    VecBuf::new(PortId(0), bytes)
}

/// As etherparse builds it; its DF flag is set.
fn echo_request(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, OUR_MAC)
        .ipv4(CLIENT, VIP, 7)
        .icmpv4_echo_request(0x1234, 5)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

fn datagram(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, OUR_MAC)
        .ipv4(CLIENT, VIP, 1)
        .udp(40_000, 53)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// With some bytes of the IP header set to others and its checksum right again.
fn with_ip(mut frame: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    for (at, byte) in changes {
        frame[eth::HEADER_LEN + at] = *byte;
    }
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// What an independent reader sees: source, destination, TTL and the message, with right checksums.
struct Seen {
    src: [u8; 4],
    dst: [u8; 4],
    ttl: u8,
    tos: u8,
    total_len: usize,
    kind: Icmpv4Type,
    payload: Vec<u8>,
}

fn see(frame: &[u8]) -> Seen {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv4(ip)) = sliced.net else {
        panic!("no IPv4")
    };
    let Some(TransportSlice::Icmpv4(icmp)) = sliced.transport else {
        panic!("no ICMP")
    };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_icmp_checksum(&icmp);
    Seen {
        src: header.source,
        dst: header.destination,
        ttl: header.time_to_live,
        tos: frame[15],
        total_len: usize::from(header.total_len),
        kind: icmp.icmp_type(),
        payload: icmp.payload().to_vec(),
    }
}

fn assert_icmp_checksum(icmp: &Icmpv4Slice<'_>) {
    assert_eq!(
        icmp.checksum(),
        icmp.icmp_type().calc_checksum(icmp.payload())
    );
}

#[test]
fn an_echo_request_becomes_its_reply() {
    for payload in [&b""[..], b"odd", b"0123456789abcdef"] {
        let mut frame = echo_request(payload);
        frame.resize(frame.len().max(60), 0);
        let mut packet = buf(&frame);
        assert!(echo_reply_in_place(&mut packet));
        assert_eq!(packet.bytes()[..12], [CLIENT_MAC, OUR_MAC].concat());
        assert_eq!(packet.bytes().len(), 14 + 20 + 8 + payload.len());
        let seen = see(packet.bytes());
        assert_eq!((seen.src, seen.dst, seen.ttl), (VIP, CLIENT, 64));
        assert_eq!(
            seen.kind,
            Icmpv4Type::EchoReply(etherparse::IcmpEchoHeader { id: 0x1234, seq: 5 })
        );
        assert_eq!(seen.payload, payload, "RFC 792: the data is returned");
    }
}

#[test]
fn a_wrong_checksum_of_an_echo_stays_wrong() {
    let mut frame = echo_request(b"x");
    frame[36] ^= 0x10;
    frame[24] ^= 0x20;
    let mut packet = buf(&frame);
    assert!(echo_reply_in_place(&mut packet));
    let bytes = packet.bytes();
    assert_ne!(checksum(&bytes[14..34]), 0, "IP header");
    assert_ne!(checksum(&bytes[34..]), 0, "ICMP");
}

/// RFC 1122, 3.2.2.6 and 3.3.6; a broadcast source would make an amplifier of us.
#[test]
fn what_is_no_echo_request_to_us_alone_is_left_as_it_is() {
    let whole = echo_request(b"data");
    let mut reply = whole.clone();
    reply[34] = v4::ECHO_REPLY;
    let mut to_all = whole.clone();
    to_all[..6].fill(0xff);
    let refused = [
        reply,
        to_all,
        with_ip(whole.clone(), &[(9, 17)]),
        with_ip(whole.clone(), &[(7, 1)]),
        with_ip(whole.clone(), &[(3, 27)]),
        with_ip(whole.clone(), &[(3, 255)]),
        with_ip(whole.clone(), &[(0, 0x65)]),
        with_ip(whole.clone(), &[(0, 0x44)]),
        with_ip(whole.clone(), &[(12, 255)]),
        with_ip(whole.clone(), &[(12, 0)]),
        with_ip(whole, &[(12, 224)]),
    ];
    for frame in refused {
        let mut packet = buf(&frame);
        assert!(!echo_reply_in_place(&mut packet), "{frame:02x?}");
        assert_eq!(packet.bytes(), frame);
    }
}

#[test]
fn an_expired_packet_becomes_the_error_about_it() {
    let frame = with_ip(datagram(b"payload"), &[(1, 0x08)]);
    let mut packet = buf(&frame);
    assert!(time_exceeded(&mut packet, ROUTER));
    assert_eq!(
        packet.bytes()[..14],
        [&CLIENT_MAC[..], &OUR_MAC, &[8, 0]].concat()
    );
    let seen = see(packet.bytes());
    assert_eq!((seen.src, seen.dst), (ROUTER.octets(), CLIENT));
    assert_eq!(
        seen.kind,
        Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::TtlExceededInTransit)
    );
    assert_eq!(
        seen.payload,
        frame[14..],
        "the packet as it came, RFC 1812, 4.3.2.3"
    );
    assert_eq!(
        seen.tos, 0xc8,
        "precedence 6 and the type of service it had, RFC 1812, 4.3.2.5"
    );
}

#[test]
fn too_long_a_packet_becomes_an_error_with_the_mtu_of_at_most_576_bytes() {
    let mut packet = buf(&datagram(&[7; 1472]));
    assert!(frag_needed(&mut packet, ROUTER, 1400));
    let seen = see(packet.bytes());
    let needed = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    assert_eq!(seen.kind, Icmpv4Type::DestinationUnreachable(needed));
    assert_eq!((seen.total_len, packet.bytes().len()), (576, 14 + 576));
    let mut may_be_fragmented = buf(&with_ip(datagram(&[7; 1472]), &[(6, 0)]));
    assert!(
        !frag_needed(&mut may_be_fragmented, ROUTER, 1400),
        "RFC 1191, 4"
    );
}

#[test]
fn a_destination_unreachable_carries_its_reason() {
    let mut packet = buf(&datagram(b""));
    assert!(dest_unreachable(
        &mut packet,
        ROUTER,
        Unreachable::Prohibited
    ));
    let prohibited = icmpv4::DestUnreachableHeader::FilterProhibited;
    assert_eq!(
        see(packet.bytes()).kind,
        Icmpv4Type::DestinationUnreachable(prohibited)
    );
}

/// RFC 1812, 4.3.2.7.
#[test]
fn no_error_is_sent_about_errors_later_fragments_and_what_was_for_many() {
    let whole = datagram(b"payload");
    let mut error = buf(&whole);
    assert!(time_exceeded(&mut error, ROUTER));
    let mut to_all = whole.clone();
    to_all[..6].fill(0xff);
    let mut unknown_icmp = echo_request(b"");
    unknown_icmp[34] = 40;
    let refused = [
        error.bytes().to_vec(),
        to_all,
        unknown_icmp,
        with_ip(whole.clone(), &[(7, 1)]),
        with_ip(whole.clone(), &[(12, 127)]),
        with_ip(whole.clone(), &[(16, 224)]),
        with_ip(whole.clone(), &[(16, 255), (17, 255), (18, 255), (19, 255)]),
        whole[..33].to_vec(),
    ];
    for frame in refused {
        let mut packet = buf(&frame);
        assert!(
            !dest_unreachable(&mut packet, ROUTER, Unreachable::Host),
            "{frame:02x?}"
        );
        assert_eq!(packet.bytes(), frame);
    }
    for told in [echo_request(b""), with_ip(whole, &[(6, 0x20)])] {
        assert!(
            time_exceeded(&mut buf(&told), ROUTER),
            "a query, and a first fragment"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        spoil in prop::collection::vec((0usize..46, any::<u8>()), 0..4),
        cut in 0usize..60,
    ) {
        let mut nearly = echo_request(b"data");
        for (at, byte) in spoil {
            nearly[at] = byte;
        }
        nearly.truncate(cut.max(10));
        for frame in [bytes, nearly] {
            let _ = echo_reply_in_place(&mut buf(&frame));
            let _ = time_exceeded(&mut buf(&frame), ROUTER);
            let _ = frag_needed(&mut buf(&frame), ROUTER, 576);
        }
    }
}
