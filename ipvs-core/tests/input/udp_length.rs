//! Datagrams that end before their IP packet does (RFC 768). RFC 9868 puts options behind them.

use ipvs_core::{DropReason, FwdMode, Protocol, ProxyProtocol};
use packet::proxy::Version;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;
/// What stands behind a datagram: NOP and padding, an odd number of bytes.
const SURPLUS: [u8; 7] = [1, 1, 1, 0, 0, 0, 9];
const V2_UDP: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x0a\0\0\x30\x0a\0\0\x64\x9c\x40\0\x50";

fn l4_at(frame: &[u8]) -> usize {
    let is_ipv4 = frame[12..14] == [8, 0];
    L2_LEN + if is_ipv4 { 20 } else { 40 }
}

/// The frame with [`SURPLUS`] behind its datagram.
fn with_surplus(frame: &[u8]) -> Vec<u8> {
    let mut frame = [frame, &SURPLUS].concat();
    let is_ipv4 = frame[12..14] == [8, 0];
    let (at, header_len) = if is_ipv4 { (16, 0) } else { (18, 40) };
    let len = (frame.len() - L2_LEN - header_len) as u16;
    frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
    if is_ipv4 {
        frames::repair_ip(&mut frame);
    }
    frame
}

fn without_checksum(frame: &[u8]) -> Vec<u8> {
    let at = l4_at(frame) + 6;
    let mut frame = frame.to_vec();
    frame[at..at + 2].fill(0);
    frame
}

fn ask(client: &str, vip: &str) -> Vec<u8> {
    with_surplus(&frames::udp(client, vip, b"ask", FROM_CLIENT))
}

/// A datagram that left with its surplus: its payload, and the whole of it.
fn check(sent: &[u8], payload: &[u8]) {
    let seen = Seen::parse(sent);
    assert_eq!(
        (seen.payload.as_slice(), seen.checksums_right),
        (payload, true)
    );
    assert!(sent.ends_with(&[payload, &SURPLUS].concat()), "{sent:?}");
    assert_eq!(usize::from(seen.total_len), sent.len() - L2_LEN);
    let len_at = l4_at(sent) + 4;
    let len = (8 + payload.len()) as u16;
    assert_eq!(sent[len_at..len_at + 2], len.to_be_bytes());
}

#[rstest]
#[case(VIP, CLIENT, DEST, LADDR)]
#[case(VIP6, CLIENT6, DEST6, LADDR6)]
#[case::nat64(VIP6, CLIENT6, DEST, LADDR)]
#[case::nat46(VIP, CLIENT, DEST6, LADDR6)]
fn what_is_behind_a_datagram_goes_on_as_it_came(
    #[case] vip: &'static str,
    #[case] client: &str,
    #[case] dest: &'static str,
    #[case] laddr: &'static str,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = Setup {
        vip,
        dests: vec![dest],
        laddrs: vec![laddr],
        protocol: Protocol::Udp,
        fwdmode,
        ..Setup::default()
    }
    .build();
    for _ in 0..2 {
        let (_, sent) = only(director.receive(WAN, &ask(client, vip)));
        check(&sent, b"ask");
        let answer = frames::udp(dest, &Seen::parse(&sent).src, b"answer", FROM_DEST);
        let (_, back) = only(director.receive(LAN, &with_surplus(&answer)));
        check(&back, b"answer");
    }
}

/// RFC 7915, 4.5: over IPv6 a datagram needs a checksum. It covers the datagram alone (RFC 768).
#[test]
fn nat46_computes_the_checksum_of_the_datagram() {
    let mut director = Setup {
        dests: vec![DEST6],
        laddrs: vec![LADDR6],
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let asked = without_checksum(&ask(CLIENT, VIP));
    check(&only(director.receive(WAN, &asked)).1, b"ask");
}

#[rstest]
fn a_proxy_header_makes_the_datagram_longer_and_no_more(#[values(true, false)] has_checksum: bool) {
    let mut director = Setup {
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version: Version::V2,
            is_insecure: false,
            is_in_each_datagram: true,
        });
    });
    let mut asked = ask(CLIENT, VIP);
    if !has_checksum {
        asked = without_checksum(&asked);
    }
    for _ in 0..2 {
        let (_, sent) = only(director.receive(WAN, &asked));
        check(&sent, &[V2_UDP, b"ask"].concat());
    }
    // The client's own header ends with the datagram.
    let cut = with_surplus(&frames::udp(CLIENT, VIP, &V2_UDP[..24], FROM_CLIENT));
    let (_, sent) = only(director.receive(WAN, &cut));
    check(&sent, &[V2_UDP, &V2_UDP[..24]].concat());
    let mut wrong = ask(CLIENT, VIP);
    let payload_at = l4_at(&wrong) + 8;
    wrong[payload_at] ^= 1;
    director.refuses(WAN, &wrong, DropReason::UdpBadChecksum);
}
