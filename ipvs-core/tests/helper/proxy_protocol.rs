//! The PROXY protocol over TCP: HAProxy's specification, with DPVS's two modes.

use ipvs_core::{DropReason, FwdMode, Protocol, ProxyProtocol};
use packet::proxy::Version;
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

const V1_LINE: &[u8] = b"PROXY TCP4 10.0.0.48 10.0.0.100 40000 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x30\x0a\0\0\x64\x9c\x40\0\x50";
/// Headers of other addresses, as a client may send them.
const CLAIMED_V1: &[u8] = b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n";
const CLAIMED_V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a";

fn director(setup: Setup, version: Version, is_insecure: bool) -> Director {
    let mut director = setup.build();
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version,
            is_insecure,
            is_in_each_datagram: false,
        });
    });
    director
}

fn tcp(version: Version, is_insecure: bool) -> Director {
    director(Setup::default(), version, is_insecure)
}

/// The client sends data, for the first time or again. Returns what the dest gets.
fn says(director: &mut Director, seq: u32, payload: &[u8]) -> Seen {
    let segment = frames::tcp(CLIENT, VIP).flags("PA").seq(seq).ack(5001);
    let seen = director.to_dest(&segment.payload(payload).frame(FROM_CLIENT));
    assert!(seen.checksums_right);
    seen
}

/// The dest acknowledges so many bytes. Returns what the client gets.
fn acknowledges(director: &mut Director, opened: &Opened, relative: u32, options: &[u8]) -> Seen {
    let ack = opened.isn_at_dest + 1 + relative;
    let segment = frames::tcp(DEST, &opened.laddr)
        .flags("A")
        .seq(5001)
        .ack(ack);
    let seen = director.to_client(&segment.options(options).frame(FROM_DEST));
    assert!(seen.checksums_right);
    seen
}

#[rstest]
#[case(Version::V1, V1_LINE)]
#[case(Version::V2, V2)]
fn the_first_byte_comes_after_the_header_and_numbers_follow(
    #[case] version: Version,
    #[case] header: &[u8],
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        ..Setup::default()
    };
    let mut director = director(setup, version, false);
    let opened = director.open();
    let len = header.len() as u32;
    assert_eq!(opened.ack.options, [], "no TOA beside it");
    let isn = opened.isn_at_dest;

    let first = says(&mut director, 1001, b"GET / HTTP/1.0\r\n");
    assert_eq!(first.payload, [header, b"GET / HTTP/1.0\r\n"].concat());
    assert_eq!(first.seq, isn + 1);
    let again = says(&mut director, 1001, b"GET / HTTP/1.0\r\n");
    assert_eq!((again.seq, &again.payload), (first.seq, &first.payload));
    let second = says(&mut director, 1017, b"\r\n");
    assert_eq!(
        (second.seq, second.payload.as_slice()),
        (isn + 17 + len, &b"\r\n"[..])
    );

    // An acknowledgment within the header acknowledges none of the client's bytes.
    assert_eq!(acknowledges(&mut director, &opened, 5, &[]).ack, 1001);
    assert_eq!(acknowledges(&mut director, &opened, len, &[]).ack, 1001);
    let blocks = sack(isn + 1 + len + 10, isn + 1 + len + 18);
    let seen = acknowledges(&mut director, &opened, len + 4, &blocks);
    assert_eq!((seen.ack, seen.options), (1005, sack(1011, 1019)));
    let seen = acknowledges(&mut director, &opened, len + 18, &[]);
    assert_eq!(seen.ack, 1019);
    // The end of the header, and a late copy of the first segment.
    let fin = frames::tcp(CLIENT, VIP).flags("FA").seq(1019).ack(5001);
    assert_eq!(
        director.to_dest(&fin.frame(FROM_CLIENT)).seq,
        isn + 19 + len
    );
    let late = says(&mut director, 1001, b"GET / HTTP/1.0\r\n");
    assert_eq!(
        (late.seq, late.payload.len()),
        (isn + 1 + len, 16),
        "without a second header"
    );
}

fn sack(from: u32, to: u32) -> Vec<u8> {
    [&[1, 1, 5, 10][..], &from.to_be_bytes(), &to.to_be_bytes()].concat()
}

/// RFC 2018, 3: the edges are numbers of the client's stream, also while the header is lost.
#[rstest]
fn sack_blocks_are_translated_before_the_header_is_acknowledged(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let setup = Setup {
        fwdmode,
        ..Setup::default()
    };
    let mut director = director(setup, Version::V2, false);
    let opened = director.open();
    let first = opened.isn_at_dest + 1;
    says(&mut director, 1001, b"GET / HTTP/1.0\r\n");
    says(&mut director, 1017, b"more");
    // The first segment is lost, the second one has arrived.
    let block = sack(first + 28 + 16, first + 28 + 20);
    let seen = acknowledges(&mut director, &opened, 0, &block);
    assert_eq!((seen.ack, seen.options), (1001, sack(1017, 1021)));
    let seen = acknowledges(&mut director, &opened, 28 + 20, &[]);
    assert_eq!(seen.ack, 1021);
    // A later one, after the header was acknowledged.
    let block = sack(first + 28 + 30, first + 28 + 40);
    let seen = acknowledges(&mut director, &opened, 28 + 20, &block);
    assert_eq!((seen.ack, seen.options), (1021, sack(1031, 1041)));
}

/// RFC 9293, 3.4: numbers go around. A stream may be longer than the half of them.
#[test]
fn numbers_far_behind_the_header_are_translated() {
    let mut director = tcp(Version::V2, false);
    let opened = director.open();
    says(&mut director, 1001, b"GET");
    acknowledges(&mut director, &opened, 28 + 3, &[]);
    const FAR: u32 = 3_000_000_000;
    let seen = says(&mut director, 1001 + FAR, b"on");
    let first = opened.isn_at_dest.wrapping_add(1);
    assert_eq!(seen.seq, first.wrapping_add(28 + FAR));
    let ack = first.wrapping_add(28 + FAR + 2);
    let segment = frames::tcp(DEST, &opened.laddr).flags("A").seq(5001);
    let segment = segment.ack(ack).frame(FROM_DEST);
    assert_eq!(director.to_client(&segment).ack, 1001 + FAR + 2);
}

#[test]
fn a_client_that_sends_no_data_is_not_announced() {
    let mut director = tcp(Version::V2, false);
    let opened = director.open();
    let fin = frames::tcp(CLIENT, VIP).flags("FA").seq(1001).ack(5001);
    let seen = director.to_dest(&fin.frame(FROM_CLIENT));
    assert_eq!((seen.seq, seen.payload.len()), (opened.isn_at_dest + 1, 0));
    assert_eq!(acknowledges(&mut director, &opened, 1, &[]).ack, 1002);
}

/// In the secure mode a client's own header is replaced. In the insecure mode it is believed, and
/// translated if need be.
#[rstest]
#[case(Version::V2, false, CLAIMED_V2, V2)]
#[case(Version::V2, false, CLAIMED_V1, V2)]
#[case(Version::V1, false, CLAIMED_V2, V1_LINE)]
#[case(Version::V2, true, CLAIMED_V2, CLAIMED_V2)]
#[case(Version::V2, true, CLAIMED_V1, CLAIMED_V2)]
#[case(Version::V1, true, CLAIMED_V2, CLAIMED_V1)]
#[case(Version::V1, true, b"", V1_LINE)]
fn what_a_client_claims(
    #[case] version: Version,
    #[case] is_insecure: bool,
    #[case] claimed: &[u8],
    #[case] told: &[u8],
) {
    let mut director = tcp(version, is_insecure);
    let opened = director.open();
    let said = [claimed, b"hello"].concat();
    let first = says(&mut director, 1001, &said);
    assert_eq!(first.payload, [told, b"hello"].concat());
    let next = 1001 + said.len() as u32;
    let second = says(&mut director, next, b"!");
    assert_eq!(second.seq, opened.isn_at_dest + 1 + told.len() as u32 + 5);
    let seen = acknowledges(&mut director, &opened, told.len() as u32 + 6, &[]);
    assert_eq!(seen.ack, next + 1);
}

#[test]
fn ipv6_and_nat64_tell_the_client_s_own_family() {
    for dest in [DEST, DEST6] {
        let setup = Setup {
            dests: vec![dest],
            laddrs: vec![LADDR, LADDR6],
            ..setup6(Protocol::Tcp, FwdMode::FullNat)
        };
        let mut director = director(setup, Version::V1, false);
        director.open_between(CLIENT6, VIP6, dest);
        let segment = frames::tcp(CLIENT6, VIP6).flags("PA").seq(1001).ack(5001);
        let seen = director.to_dest(&segment.payload(b"hi").frame(FROM_CLIENT));
        let line = "PROXY TCP6 2001:db8:1::48 2001:db8:1::100 40000 80\r\nhi";
        assert_eq!(String::from_utf8(seen.payload).unwrap(), line);
        assert!(seen.checksums_right);
    }
}

#[test]
fn the_mss_leaves_room_and_what_does_not_fit_is_refused() {
    let mut director = tcp(Version::V2, false);
    let opened = director.open();
    assert_eq!(opened.syn_ack.options, [2, 4, 5, 0xb4 - 107]);
    let mut large = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1001)
        .ack(5001)
        .payload(&[7; 1440])
        .frame(FROM_CLIENT);
    large[14 + 6] = 0x40;
    frames::repair_ip(&mut large);
    let (port, answer) = only(director.receive(WAN, &large));
    assert_eq!((port, Seen::parse(&answer).icmp), (WAN, Some((3, 4))));
    let fits = says(&mut director, 1001, &[7; 1393]);
    assert_eq!(fits.payload.len(), 28 + 1393);
}

#[test]
fn a_wrong_checksum_does_not_become_right() {
    let mut director = tcp(Version::V2, false);
    director.open();
    let mut wrong = frames::tcp(CLIENT, VIP)
        .flags("PA")
        .seq(1001)
        .ack(5001)
        .payload(b"GET")
        .frame(FROM_CLIENT);
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &wrong, DropReason::TcpBadChecksum);
}

/// An end accepts a reset only with exactly the number that it expects (RFC 5961, 3.2).
#[test]
fn resets_have_the_numbers_that_each_end_expects() {
    let mut director = tcp(Version::V2, false);
    let opened = director.open();
    says(&mut director, 1001, b"GET");
    acknowledges(&mut director, &opened, 28 + 3, &[]);
    let resets: Vec<_> = director
        .wait_s(1000)
        .iter()
        .map(|(_, frame)| Seen::parse(frame))
        .collect();
    assert_eq!((resets[0].seq, resets[0].ack), (5001, 1004));
    assert_eq!(resets[1].seq, opened.isn_at_dest + 1 + 28 + 3);
}

/// A conn that is opened again begins with a header again.
#[test]
fn a_reopened_conn_is_announced_again() {
    let mut director = tcp(Version::V2, false);
    director.open();
    says(&mut director, 1001, b"GET");
    let rst = frames::tcp(CLIENT, VIP).flags("R").seq(1004);
    director.to_dest(&rst.frame(FROM_CLIENT));
    director.open();
    assert_eq!(
        says(&mut director, 1001, b"GET").payload,
        [V2, b"GET"].concat()
    );
}
