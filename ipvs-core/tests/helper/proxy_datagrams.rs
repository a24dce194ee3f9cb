//! The PROXY protocol over UDP: version 2 of HAProxy's specification, where DPVS puts it, and that
//! no datagram goes ahead of its header.

use ipvs_core::{DropReason, FwdMode, Origin, Protocol, ProxyProtocol};
use packet::PortId;
use packet::proxy::Version;
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::config::TO_DESTS;
use testkit::director::*;
use testkit::frames::{self, Seen};

use crate::fragmentation::{in_two, may_be_fragmented, payload, reassemble};

const L2_LEN: usize = 14;
const V4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x0a\0\0\x30\x0a\0\0\x64\x9c\x40\0\x50";
/// Headers that a client made up, whole and up to the length of its addresses.
const FORGED: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x09\0\x0a";
const FORGED_LINE: &[u8] = b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n";

/// The header of a client's datagrams: section 2.2 of the specification.
fn header(vip: &str) -> Vec<u8> {
    if vip == VIP {
        return V4.to_vec();
    }
    let start = b"\r\n\r\n\0\r\nQUIT\n\x21\x22\0\x24";
    let addr = |last: [u8; 2]| [&[0x20, 1, 0xd, 0xb8, 0, 1][..], &[0; 8], &last].concat();
    let (from, to) = (addr([0, 0x48]), addr([1, 0]));
    [&start[..], &from, &to, b"\x9c\x40\0\x50"].concat()
}

fn udp(vip: &'static str, dest: &'static str, fwdmode: FwdMode) -> Setup {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        vip,
        dests: vec![dest],
        laddrs: vec![LADDR, LADDR6],
        ..Setup::default()
    }
}

fn v4() -> Setup {
    udp(VIP, DEST, FwdMode::FullNat)
}

fn announcing(setup: &Setup, is_in_each_datagram: bool, is_insecure: bool) -> Director {
    let mut director = setup.build();
    director.edit(|service| {
        service.options.proxy_protocol = Some(ProxyProtocol {
            version: Version::V2,
            is_insecure,
            is_in_each_datagram,
        });
    });
    director
}

fn client_of(vip: &str) -> &'static str {
    if vip == VIP { CLIENT } else { CLIENT6 }
}

fn ask(vip: &str, payload: &[u8]) -> Vec<u8> {
    frames::udp(client_of(vip), vip, payload, FROM_CLIENT)
}

/// The client sends a datagram; the payloads of those that the dest gets, in their order.
fn says(director: &mut Director, frame: &[u8]) -> Vec<Vec<u8>> {
    payloads(director.receive(WAN, frame))
}

fn payloads(sent: Vec<(PortId, Vec<u8>)>) -> Vec<Vec<u8>> {
    let payload_of = |(port, frame): (PortId, Vec<u8>)| {
        let seen = Seen::parse(&frame);
        assert_eq!((port, seen.checksums_right), (LAN, true));
        assert_eq!((seen.from, seen.to), (LAN_MAC, DEST_MAC));
        seen.payload
    };
    sent.into_iter().map(payload_of).collect()
}

/// The datagrams that reach the dest in these fragments, by their payloads.
fn reassembled(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let whole = reassemble(frames).into_iter();
    whole.map(|(_, udp)| udp[8..].to_vec()).collect()
}

#[rstest]
fn the_first_datagram_is_announced_or_each(
    #[values((VIP, DEST), (VIP6, DEST6), (VIP6, DEST), (VIP, DEST6))] ends: (
        &'static str,
        &'static str,
    ),
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(false, true)] each: bool,
    #[values(false, true)] is_insecure: bool,
) {
    let (vip, dest) = ends;
    let mut director = announcing(&udp(vip, dest, fwdmode), each, is_insecure);
    for (number, payload) in [&b"one"[..], b"three", b"", b"four"]
        .into_iter()
        .enumerate()
    {
        let seen = director.to_dest(&ask(vip, payload));
        let has_header = each || number == 0;
        let header = if has_header { header(vip) } else { Vec::new() };
        assert_eq!(seen.payload, [&header, payload].concat(), "{number}");
        assert!(seen.checksums_right);
        let answer = frames::udp(dest, &seen.src, b"answer", FROM_DEST);
        let back = director.to_client(&answer);
        assert_eq!(
            (back.payload.as_slice(), back.checksums_right),
            (&b"answer"[..], true)
        );
    }
}

/// The longest datagram of a way with an MTU of 1500, which nobody may fragment.
fn longest(vip: &str, dest: &str) -> Vec<u8> {
    // NAT46 makes the header 20 bytes longer.
    let header_len = if vip == VIP && dest == DEST { 20 } else { 40 };
    let mut frame = ask(vip, &payload(1500 - header_len - 8));
    if vip == VIP {
        frame[L2_LEN + 6] = 0x40;
        frames::repair_ip(&mut frame);
    }
    frame
}

/// As in DPVS, a datagram with the header and no more goes ahead.
#[rstest]
fn ahead_of_a_datagram_without_room_goes_its_header(
    #[values((VIP, DEST), (VIP6, DEST6), (VIP6, DEST), (VIP, DEST6))] ends: (
        &'static str,
        &'static str,
    ),
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(false, true)] each: bool,
) {
    let (vip, dest) = ends;
    let mut director = announcing(&udp(vip, dest, fwdmode), each, false);
    let long = longest(vip, dest);
    let whole = Seen::parse(&long).payload;
    assert_eq!(says(&mut director, &long), [header(vip), whole.clone()]);
    let (then, again) = if each {
        (
            vec![[&header(vip)[..], b"ask"].concat()],
            vec![header(vip), whole],
        )
    } else {
        (vec![b"ask".to_vec()], vec![whole])
    };
    assert_eq!(says(&mut director, &ask(vip, b"ask")), then);
    assert_eq!(says(&mut director, &long), again);
}

#[rstest]
fn ahead_of_a_datagram_in_an_mbuf_without_headroom_goes_its_header(
    #[values(false, true)] each: bool,
) {
    let mut director = announcing(&v4(), each, false);
    let full = || VecBuf::without_headroom(WAN, &ask(VIP, b"ask"));
    let sent = director.receive_from(Origin::Nic, full());
    assert_eq!(payloads(sent), [V4, b"ask"]);
    let sent = payloads(director.receive_from(Origin::Nic, full()));
    if each {
        assert_eq!(sent, [V4, b"ask"]);
    } else {
        assert_eq!(sent, [b"ask"]);
    }
}

/// The offsets of later fragments leave no room in the first one.
#[rstest]
fn ahead_of_a_fragmented_datagram_goes_its_header(
    #[values((VIP, DEST), (VIP6, DEST6), (VIP6, DEST), (VIP, DEST6))] ends: (
        &'static str,
        &'static str,
    ),
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(false, true)] each: bool,
    #[values(false, true)] later_first: bool,
) {
    let (vip, dest) = ends;
    let mut director = announcing(&udp(vip, dest, fwdmode), each, false);
    for number in 0..2 {
        let mut parts = in_two(client_of(vip), vip, &payload(600), FROM_CLIENT);
        if later_first {
            parts.reverse();
        }
        let sent = parts.map(|part| director.receive(WAN, &part)).concat();
        let frames: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
        let has_header = each || number == 0;
        assert_eq!(frames.len(), 2 + usize::from(has_header), "{number}");
        let (ahead, parts) = frames.split_at(frames.len() - 2);
        assert_eq!(reassembled(parts), [payload(600)]);
        if has_header {
            assert_eq!(reassembled(ahead), [header(vip)]);
        }
        // Both packets have the same identification.
        director.wait_s(3);
    }
}

/// RFC 791, 2.3: what its sender allows to be fragmented is fragmented, header and all.
#[rstest]
fn a_datagram_that_grows_too_long_is_fragmented(
    #[values(DEST, DEST6)] dest: &'static str,
    #[values(false, true)] each: bool,
) {
    let mut director = announcing(&udp(VIP, dest, FwdMode::FullNat), each, false);
    for number in 0..2 {
        let asked = may_be_fragmented(ask(VIP, &payload(1472)), number);
        let sent = director.receive(WAN, &asked);
        let frames: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
        let has_header = each || number == 0;
        let header = if has_header { V4 } else { &[] };
        assert_eq!(reassembled(&frames), [[header, &payload(1472)].concat()]);
        assert!(frames.iter().all(|frame| frame.len() <= L2_LEN + 1500));
    }
}

/// A datagram that stays behind does not use the header up.
#[rstest]
fn what_does_not_leave_leaves_the_header_to_the_next(#[values(false, true)] each: bool) {
    let mut director = announcing(&v4(), each, false);
    let long = longest(VIP, DEST);
    // No mbuf is left for the header.
    director.wire.out_of_mbufs = true;
    assert_eq!(director.receive(WAN, &long), []);
    assert_eq!(director.drops()[DropReason::BeforeHeader as usize], 1);
    director.wire.out_of_mbufs = false;
    // Its time to live is over.
    let mut late = ask(VIP, b"late");
    late[L2_LEN + 8] = 1;
    frames::repair_ip(&mut late);
    director.rejects(WAN, &late, DropReason::TtlExpired);
    // It is too long even without a header.
    let mut large = ask(VIP, &payload(1473));
    large[L2_LEN + 6] = 0x40;
    frames::repair_ip(&mut large);
    director.rejects(WAN, &large, DropReason::MtuExceeded);
    // Its checksum is wrong.
    let mut wrong = ask(VIP, b"wrong");
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &wrong, DropReason::UdpBadChecksum);
    assert_eq!(
        says(&mut director, &ask(VIP, b"ask")),
        [[V4, b"ask"].concat()]
    );
}

/// In secure mode, a header of the client's own counts in no datagram.
#[rstest]
fn a_client_s_own_header_is_removed_from_every_datagram(
    #[values(FORGED, FORGED_LINE)] forged: &[u8],
    #[values(false, true)] each: bool,
) {
    let mut director = announcing(&v4(), each, false);
    let asked = ask(VIP, &[forged, b"ask"].concat());
    let then: &[u8] = if each { V4 } else { &[] };
    assert_eq!(says(&mut director, &asked), [[V4, b"ask"].concat()]);
    assert_eq!(says(&mut director, &asked), [[then, b"ask"].concat()]);
    // Without room, too.
    let mut director = announcing(&v4(), each, false);
    let full = VecBuf::without_headroom(WAN, &ask(VIP, &[forged, b"ask"].concat()));
    let sent = payloads(director.receive_from(Origin::Nic, full));
    assert_eq!(sent.concat(), [V4, b"ask"].concat());
}

/// In insecure mode the client's header is the only one, and stays where it is.
#[rstest]
fn a_trusted_client_s_own_header_counts(#[values(false, true)] each: bool) {
    let mut director = announcing(&v4(), each, true);
    let announced = [FORGED, b"ask"].concat();
    let seen = director.to_dest(&ask(VIP, &announced));
    assert_eq!(seen.payload, announced);
    let then: &[u8] = if each { V4 } else { &[] };
    assert_eq!(
        says(&mut director, &ask(VIP, b"on")),
        [[then, b"on"].concat()]
    );
    assert_eq!(says(&mut director, &ask(VIP, &announced)), [announced]);
    // Version 1 becomes version 2, as long as a header is due.
    let mut director = announcing(&v4(), each, true);
    let line = ask(VIP, &[FORGED_LINE, b"ask"].concat());
    assert_eq!(says(&mut director, &line), [[FORGED, b"ask"].concat()]);
}

/// What replaces a header would move the data of a fragment. A header that goes on in a later
/// fragment is not seen here at all.
#[rstest]
#[case::whole(FORGED)]
#[case::line(FORGED_LINE)]
#[case::with_addresses_later(&FORGED[..16])]
#[case::with_the_signature_s_end_later(&FORGED[..8])]
fn a_fragmented_datagram_with_a_client_s_own_header_is_dropped(
    #[case] start: &[u8],
    #[values(false, true)] each: bool,
    #[values(false, true)] is_first: bool,
) {
    let mut director = announcing(&v4(), each, false);
    if !is_first {
        director.to_dest(&ask(VIP, b"ask"));
    }
    let mut frame = ask(VIP, start);
    frame[L2_LEN + 6] = 0x20;
    frames::repair_ip(&mut frame);
    director.refuses(WAN, &frame, DropReason::Fragment);
}

/// The header goes first, also from the queue of a neighbour that is being resolved.
#[test]
fn the_header_waits_for_the_neighbour_ahead_of_its_datagram() {
    let setup = Setup {
        resolve: false,
        ..v4()
    };
    let mut director = announcing(&setup, false, false);
    let long = longest(VIP, DEST);
    assert_eq!(director.receive(WAN, &long), []);
    assert_eq!(director.receive(WAN, &ask(VIP, b"ask")), []);
    let dest = DEST.split(':').next().unwrap().parse().unwrap();
    director.neighbours.add_static(TO_DESTS, dest, DEST_MAC);
    director.publish();
    let sent = std::mem::take(&mut director.wire.sent);
    assert_eq!(
        payloads(sent),
        [V4.to_vec(), payload(1472), b"ask".to_vec()]
    );
}

/// What finds no room in the queue of a neighbour does not use the header up.
#[rstest]
fn a_full_queue_leaves_the_header_to_the_next(
    #[values(2, 3, 4)] waiting: usize,
    #[values(false, true)] fits: bool,
) {
    let setup = Setup {
        resolve: false,
        ..v4()
    };
    let mut director = announcing(&setup, false, false);
    // Four packets may wait.
    for _ in 0..waiting {
        let asked = frames::udp("10.0.0.48:1", VIP, b"other", FROM_CLIENT);
        assert_eq!(director.receive(WAN, &asked), []);
    }
    let asked = if fits {
        ask(VIP, b"first")
    } else {
        longest(VIP, DEST)
    };
    assert_eq!(director.receive(WAN, &asked), []);
    let dest = DEST.split(':').next().unwrap().parse().unwrap();
    director.neighbours.add_static(TO_DESTS, dest, DEST_MAC);
    director.publish();
    let sent = payloads(std::mem::take(&mut director.wire.sent)).split_off(waiting);
    let then = says(&mut director, &ask(VIP, b"ask"));
    let heard = [sent, then].concat().concat();
    assert!(heard.starts_with(V4), "{heard:?}");
    assert_eq!(
        heard.windows(V4.len()).filter(|part| *part == V4).count(),
        1
    );
}

/// Who comes back after the conn has ended is announced again.
#[test]
fn a_conn_made_anew_is_announced_again() {
    let mut director = announcing(&v4(), false, false);
    for _ in 0..2 {
        assert_eq!(
            says(&mut director, &ask(VIP, b"ask")),
            [[V4, b"ask"].concat()]
        );
        assert_eq!(says(&mut director, &ask(VIP, b"ask")), [b"ask"]);
        director.wait_s(400);
        assert_eq!(director.engine.stats().conns.get(), 0);
    }
}
