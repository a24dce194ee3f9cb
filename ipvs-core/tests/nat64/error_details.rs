//! What ICMP errors carry besides type, code and the quoted packet: the traffic class, extensions
//! (RFC 4884), and a quoted fragment. The bytes are read by hand: the library that reads frames
//! elsewhere does not know extensions.

use ipvs_core::Protocol;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

use super::{L2_LEN, nat46, nat64, seen};

const ROUTER: &str = "192.168.100.9";
const ROUTER6: &str = "2001:db8:100::9";
/// An extension structure (RFC 4884, 7) with an MPLS label stack (RFC 4950).
const EXTENSION: [u8; 12] = [0x20, 0, 0x1e, 0x2f, 0, 8, 1, 1, 0xaa, 0xbb, 0xc1, 0xff];

/// The ICMP message of a frame.
fn icmp(frame: &[u8]) -> &[u8] {
    let is_v4 = frame[12..14] == [8, 0];
    &frame[L2_LEN + if is_v4 { 20 } else { 40 }..]
}

/// Computes the checksum of an error again.
fn repair(frame: &mut [u8]) {
    let is_v4 = frame[12..14] == [8, 0];
    if is_v4 {
        frames::repair_ip(frame);
    }
    let at = L2_LEN + if is_v4 { 20 } else { 40 };
    let pseudo = if is_v4 {
        Vec::new()
    } else {
        let len = (frame.len() - at) as u32;
        [
            &frame[L2_LEN + 8..L2_LEN + 40],
            &len.to_be_bytes(),
            &[0, 0, 0, 58],
        ]
        .concat()
    };
    frame[at + 2..at + 4].fill(0);
    let sum = packet::checksum::checksum(&[&pseudo, &frame[at..]].concat());
    frame[at + 2..at + 4].copy_from_slice(&sum.to_be_bytes());
}

/// Whether the checksum of an error is right.
fn is_right(frame: &[u8]) -> bool {
    let mut again = frame.to_vec();
    repair(&mut again);
    again == frame
}

/// A director for both directions, its dest, and what a client's datagram became.
fn asked(is_nat64: bool, payload: &[u8]) -> (Director, Vec<u8>) {
    let (mut director, ask) = if is_nat64 {
        let ask = frames::udp(CLIENT6, VIP6, payload, FROM_CLIENT);
        (nat64(Protocol::Udp), ask)
    } else {
        let ask = frames::udp(CLIENT, VIP, payload, FROM_CLIENT);
        (nat46(Protocol::Udp), ask)
    };
    let (_, sent) = only(director.receive(WAN, &ask));
    (director, sent)
}

/// A router's time exceeded about a datagram to the dest.
fn time_exceeded(is_nat64: bool, quoted: &[u8]) -> Vec<u8> {
    let (router, laddr, kind) = if is_nat64 {
        (ROUTER, LADDR, 11)
    } else {
        (ROUTER6, LADDR6, 3)
    };
    let mut error = frames::unreachable(router, laddr, quoted, FROM_DEST);
    let at = error.len() - icmp(&error).len();
    error[at..at + 2].copy_from_slice(&[kind, 0]);
    repair(&mut error);
    error
}

/// RFC 7915, 4.1, 4.3, 5.1 and 5.3: it is copied, outside and in the quoted packet.
#[rstest]
fn the_traffic_class_is_kept_outside_and_in_the_quote(#[values(true, false)] is_nat64: bool) {
    let (mut director, sent) = asked(is_nat64, b"ask");
    let mut quoted = sent[L2_LEN..].to_vec();
    let mut error = time_exceeded(is_nat64, &quoted);
    let set = |ip: &mut [u8], class: u8| {
        if ip[0] >> 4 == 4 {
            ip[1] = class;
        } else {
            ip[0] = 0x60 | class >> 4;
            ip[1] = class << 4;
        }
    };
    set(&mut quoted, 0x2e);
    let quoted_at = error.len() - quoted.len();
    error[quoted_at..].copy_from_slice(&quoted);
    set(&mut error[L2_LEN..], 0xc0);
    repair(&mut error);
    let (_, told) = only(director.receive(LAN, &error));
    let class = |ip: &[u8]| match ip[0] >> 4 {
        4 => ip[1],
        _ => ip[0] << 4 | ip[1] >> 4,
    };
    assert_eq!(
        (class(&told[L2_LEN..]), class(&icmp(&told)[8..])),
        (0xc0, 0x2e)
    );
    assert!(is_right(&told));
}

/// RFC 7915, 4.2 and 5.2; RFC 4884, 3 to 5: the length counts other units, and the quoted packet is
/// filled up to at least 128 bytes and to whole units before the extension.
#[rstest]
fn extensions_follow_the_quoted_packet(
    #[values(true, false)] is_nat64: bool,
    #[values(20, 100, 101, 200)] payload_len: usize,
) {
    let (mut director, sent) = asked(is_nat64, &vec![7; payload_len]);
    let unit = if is_nat64 { 4 } else { 8 };
    let mut quoted = sent[L2_LEN..].to_vec();
    let quoted_len = quoted.len();
    quoted.resize(quoted_len.max(128).next_multiple_of(unit), 0);
    let length = quoted.len() / unit;
    quoted.extend(EXTENSION);
    let mut error = time_exceeded(is_nat64, &quoted);
    let at = error.len() - icmp(&error).len();
    error[at + if is_nat64 { 5 } else { 4 }] = length as u8;
    repair(&mut error);

    let (_, told) = only(director.receive(LAN, &error));
    assert!(is_right(&told));
    let message = icmp(&told);
    let (length, unit) = if is_nat64 {
        (message[4], 8)
    } else {
        (message[5], 4)
    };
    let before = usize::from(length) * unit;
    assert!(before >= 128, "RFC 4884, 3");
    assert_eq!(message[8 + before..], EXTENSION);
    let header_len = if is_nat64 { 40 } else { 20 };
    let datagram = &message[8 + header_len..8 + header_len + 8 + payload_len];
    assert_eq!(datagram[8..], vec![7; payload_len]);
    assert!(
        message[8 + header_len + 8 + payload_len..8 + before]
            .iter()
            .all(|byte| *byte == 0)
    );
}

/// Packet too big has no length in ICMPv6, so what would follow is left out.
#[test]
fn an_error_that_can_have_no_extension_in_icmpv6_loses_it() {
    let (mut director, sent) = asked(true, &[7; 200]);
    let quoted = [&sent[L2_LEN..], &EXTENSION].concat();
    let mut error = frames::fragmentation_needed(ROUTER, LADDR, 1400, &quoted, FROM_DEST);
    error[L2_LEN + 20 + 5] = (quoted.len() / 4 - 3) as u8;
    repair(&mut error);
    let (_, told) = only(director.receive(LAN, &error));
    assert_eq!(icmp(&told).len(), 8 + 40 + 8 + 200);
    assert_eq!(icmp(&told)[4..8], 1420u32.to_be_bytes());
    assert!(is_right(&told));
}

/// A length that lies takes the error for one without extensions.
#[rstest]
fn a_length_beyond_the_message_is_not_believed(#[values(1, 31, 255)] length: u8) {
    let (mut director, sent) = asked(true, &[7; 100]);
    let mut error = time_exceeded(true, &sent[L2_LEN..]);
    error[L2_LEN + 20 + 5] = length;
    repair(&mut error);
    let (_, told) = only(director.receive(LAN, &error));
    assert_eq!((icmp(&told)[4], icmp(&told).len()), (0, 8 + 40 + 8 + 100));
    assert!(is_right(&told));
}

/// RFC 7915, 4.3 and 5.3: a quoted first fragment stays one.
#[test]
fn a_quoted_first_fragment_is_one_in_the_other_family() {
    let (mut director, sent) = asked(true, &[7; 100]);
    let mut quoted = sent[L2_LEN..].to_vec();
    quoted[4..8].copy_from_slice(&[0x12, 0x34, 0x20, 0]);
    let (_, told) = only(director.receive(LAN, &time_exceeded(true, &quoted)));
    let message = icmp(&told);
    let datagram_len = 108u16;
    assert_eq!(message[8 + 4..8 + 6], (8 + datagram_len).to_be_bytes());
    assert_eq!(message[8 + 6], 44);
    assert_eq!(message[48..56], [17, 0, 0, 1, 0, 0, 0x12, 0x34]);
    assert_eq!(message[56 + 8..], [7; 100]);
    assert!(is_right(&told));

    let (mut director, sent) = asked(false, &[7; 100]);
    let (head, datagram) = sent[L2_LEN..].split_at(40);
    let mut quoted = [head, &[17, 0, 0, 1, 0, 0, 0x12, 0x34], datagram].concat();
    quoted[6] = 44;
    quoted[4..6].copy_from_slice(&(8 + datagram_len).to_be_bytes());
    let (_, told) = only(director.receive(LAN, &time_exceeded(false, &quoted)));
    let message = icmp(&told);
    assert_eq!(message[8 + 2..8 + 8], [0, 128, 0x12, 0x34, 0x20, 0]);
    assert_eq!(message[28 + 8..], [7; 100]);
    assert!(is_right(&told));
    assert_eq!(seen(&told).icmp, Some((11, 0)));
}

/// RFC 768: 0 means that there is none, in the quoted datagram too. None can come from here, so a
/// router that sends such an error makes it up.
#[rstest]
fn a_quoted_datagram_without_a_checksum_has_none_afterwards(#[values(true, false)] is_nat64: bool) {
    let (mut director, sent) = asked(is_nat64, b"ask");
    let mut quoted = sent[L2_LEN..].to_vec();
    let checksum_at = quoted.len() - 3 - 2;
    quoted[checksum_at..checksum_at + 2].fill(0);
    let (_, told) = only(director.receive(LAN, &time_exceeded(is_nat64, &quoted)));
    assert!(is_right(&told));
    assert_eq!(told[told.len() - 5..told.len() - 3], [0, 0]);
}
