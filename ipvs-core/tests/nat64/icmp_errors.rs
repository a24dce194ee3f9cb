//! ICMP errors become those of the other family (RFC 7915, 4.2 and 5.2).

use etherparse::{Ipv4Header, Ipv6Header};
use ipvs_core::{DropReason, Protocol};
use testkit::director::*;
use testkit::frames;

use super::{L2_LEN, nat46, nat64, seen};

const ROUTER: &str = "192.168.100.9";
const ROUTER6: &str = "2001:db8:100::9";

/// RFC 7915, 4.2 and 4.3. Errors from the dest's side to an IPv6 client.
#[test]
fn nat64_translates_errors_of_icmp() {
    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    for (error, expected) in [
        (
            frames::unreachable("192.168.100.2", LADDR, &sent[L2_LEN..], FROM_DEST),
            (1, 4),
        ),
        // The error quotes only 8 bytes of L4, which is what RFC 792 promises.
        (
            frames::unreachable(ROUTER, LADDR, &sent[L2_LEN..L2_LEN + 28], FROM_DEST),
            (1, 4),
        ),
        (
            frames::fragmentation_needed(ROUTER, LADDR, 1400, &sent[L2_LEN..], FROM_DEST),
            (2, 0),
        ),
    ] {
        let (port, frame) = only(director.receive(LAN, &error));
        let seen = seen(&frame);
        assert_eq!((port, seen.icmp), (WAN, Some(expected)));
        assert_eq!(
            (seen.src.as_str(), seen.dst.as_str()),
            ("2001:db8:1::100", "2001:db8:1::48")
        );
        assert!(seen.checksums_right);
        let (quoted, l4) = Ipv6Header::from_slice(&seen.payload).unwrap();
        assert_eq!(quoted.source_addr().to_string(), "2001:db8:1::48");
        assert_eq!(quoted.destination_addr().to_string(), "2001:db8:1::100");
        assert_eq!((quoted.next_header.0, quoted.hop_limit), (17, 63));
        assert_eq!(usize::from(quoted.payload_length), ask.len() - L2_LEN - 40);
        assert_eq!(
            l4[..8],
            ask[L2_LEN + 40..L2_LEN + 48],
            "ports, length and checksum of the client"
        );
        if expected == (2, 0) {
            assert_eq!(frame[L2_LEN + 44..L2_LEN + 48], 1420u32.to_be_bytes());
        }
    }
}

/// RFC 7915, 5.2 and 5.3. Errors from the client's side to an IPv4 dest.
#[test]
fn nat64_translates_errors_of_icmpv6() {
    let mut director = nat64(Protocol::Udp);
    let there = director.to_dest(&frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT));
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let vip = "2001:db8:1::100";
    for (error, expected) in [
        (
            frames::unreachable("2001:db8:1::48", vip, &back[L2_LEN..], FROM_CLIENT),
            (3, 3),
        ),
        (
            frames::fragmentation_needed("2001:db8:1::9", vip, 1400, &back[L2_LEN..], FROM_CLIENT),
            (3, 4),
        ),
    ] {
        let (port, frame) = only(director.receive(WAN, &error));
        let seen = seen(&frame);
        assert_eq!((port, seen.icmp), (LAN, Some(expected)));
        assert_eq!(
            (seen.src.as_str(), seen.dst.as_str()),
            (LADDR, "192.168.100.2")
        );
        assert!(seen.checksums_right);
        let (quoted, l4) = Ipv4Header::from_slice(&seen.payload).unwrap();
        assert_eq!(quoted.header_checksum, quoted.calc_header_checksum());
        assert_eq!(
            (quoted.source, quoted.destination),
            ([192, 168, 100, 2], [192, 168, 100, 200])
        );
        assert_eq!(l4, &answer[L2_LEN + 20..], "as the dest had sent it");
        if expected == (3, 4) {
            assert_eq!(frame[L2_LEN + 26..L2_LEN + 28], 1380u16.to_be_bytes());
        }
    }
}

#[test]
fn nat46_translates_errors_both_ways() {
    let mut director = nat46(Protocol::Udp);
    let ask = frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    let laddr = seen(&sent).src;
    let error = frames::fragmentation_needed(ROUTER6, LADDR6, 1400, &sent[L2_LEN..], FROM_DEST);
    let (port, frame) = only(director.receive(LAN, &error));
    let to_client = seen(&frame);
    assert_eq!((port, to_client.icmp), (WAN, Some((3, 4))));
    assert_eq!(
        (to_client.src.as_str(), to_client.dst.as_str()),
        ("10.0.0.100", "10.0.0.48")
    );
    assert_eq!(frame[L2_LEN + 26..L2_LEN + 28], 1380u16.to_be_bytes());
    assert!(to_client.checksums_right);
    assert_eq!(to_client.payload[20..], ask[L2_LEN + 20..]);

    let answer = frames::udp(DEST6, &laddr, b"answer", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let error = frames::unreachable("10.0.0.48", "10.0.0.100", &back[L2_LEN..], FROM_CLIENT);
    let (port, frame) = only(director.receive(WAN, &error));
    let to_dest = seen(&frame);
    assert_eq!((port, to_dest.icmp), (LAN, Some((1, 4))));
    assert_eq!(
        (to_dest.src.as_str(), to_dest.dst.as_str()),
        (LADDR6, "2001:db8:100::2")
    );
    assert!(to_dest.checksums_right);
    assert_eq!(to_dest.payload[40..], answer[L2_LEN + 40..]);
}

/// RFC 7915, figure 3. An error that points at a field which the other header does not have is
/// dropped.
#[test]
fn errors_that_say_nothing_in_the_other_family_are_dropped() {
    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    let mut error = frames::unreachable(ROUTER, LADDR, &sent[L2_LEN..], FROM_DEST);
    // Parameter problem: the header checksum
    error[34..42].copy_from_slice(&[12, 0, 0, 0, 10, 0, 0, 0]);
    let sum = packet::checksum::checksum(&error[34..]);
    error[36..38].copy_from_slice(&sum.to_be_bytes());
    director.refuses(LAN, &error, DropReason::IcmpUntranslatable);
}
