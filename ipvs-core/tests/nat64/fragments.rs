//! Fragments become those of the other family.

use etherparse::Ipv4Header;
use ipvs_core::{DropReason, Protocol};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, nat46, nat64, seen};

/// Cuts an IPv4 datagram in two at this byte of its payload.
fn cut_v4(frame: &[u8], at: usize) -> [Vec<u8>; 2] {
    let (header, payload) = Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
    [(0, true), (at, false)].map(|(from, more)| {
        let part = if more {
            &payload[..at]
        } else {
            &payload[from..]
        };
        let mut fragment = frame[..L2_LEN + 20].to_vec();
        fragment.extend(part);
        fragment[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        fragment[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&4711u16.to_be_bytes());
        let field = (from / 8) as u16 | u16::from(more) << 13;
        fragment[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
        frames::repair_ip(&mut fragment);
        assert_eq!(header.protocol.0, 17);
        fragment
    })
}

/// Cuts an IPv6 datagram in two at this byte of its payload.
fn cut_v6(frame: &[u8], at: usize) -> [Vec<u8>; 2] {
    let (head, l4) = frame.split_at(L2_LEN + 40);
    [(0, true), (at, false)].map(|(from, more)| {
        let part = if more { &l4[..at] } else { &l4[from..] };
        let mut head = head.to_vec();
        head[L2_LEN + 6] = 44;
        head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
        let [high, low] = (from as u16 | u16::from(more)).to_be_bytes();
        [&head[..], &[17, 0, high, low, 0, 1, 0x12, 0x67], part].concat()
    })
}

/// Puts a destination options header before the L4 header (RFC 8200, 4.6).
fn with_options(mut frame: Vec<u8>) -> Vec<u8> {
    let next = frame[L2_LEN + 6];
    let l4_at = L2_LEN + 40;
    frame.splice(l4_at..l4_at, [next, 0, 1, 4, 0, 0, 0, 0]);
    frame
}

/// Cuts an IPv6 datagram with destination options in two. The options are part of what is cut, so
/// offsets count from them (RFC 8200, 4.5).
fn cut_with_options(frame: Vec<u8>, at: usize) -> [Vec<u8>; 2] {
    cut_v6(&with_options(frame), at).map(|mut fragment| {
        fragment[L2_LEN + 40] = 60;
        fragment
    })
}

/// RFC 7915, 5.1. The options are left out, so the offsets behind them change.
#[rstest]
fn fragments_with_options_before_their_ports_are_translated(
    #[values(false, true)] last_comes_first: bool,
) {
    let pass = |director: &mut Director, port, mut fragments: [Vec<u8>; 2]| {
        if last_comes_first {
            fragments.reverse();
        }
        let sent = fragments.map(|fragment| director.receive(port, &fragment));
        let frames = sent.into_iter().flatten().map(|(_, frame)| frame);
        frames.collect::<Vec<_>>()
    };
    let payload: Vec<u8> = (0..=255).cycle().take(600).collect();

    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, &payload, FROM_CLIENT);
    let there = pass(&mut director, WAN, cut_with_options(ask, 304));
    let there = join_v4(there);
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST, true));
    assert_eq!(there.payload, payload);

    let mut director = nat46(Protocol::Udp);
    let ask = frames::udp(CLIENT, VIP, &payload, FROM_CLIENT);
    let there = seen(&only(director.receive(WAN, &ask)).1);
    let answer = frames::udp(DEST6, &there.src, &payload, FROM_DEST);
    let back = pass(&mut director, LAN, cut_with_options(answer, 304));
    let back = join_v4(back);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP, CLIENT));
    assert!(back.checksums_right && back.payload == payload);
    assert_eq!(director.engine.stats().held.get(), 0);
}

/// RFC 5722 and RFC 3128. Without the options such a fragment would become a second first one, or
/// would overwrite the L4 header.
#[rstest]
#[case::within_the_options(Protocol::Udp, 8, DropReason::Fragment)]
#[case::of_tcp_s_flags(Protocol::Tcp, 16, DropReason::TinyFragment)]
fn fragments_over_the_header_behind_options_are_dropped(
    #[case] protocol: Protocol,
    #[case] at: usize,
    #[case] reason: DropReason,
) {
    let mut director = nat64(protocol);
    let frame = if protocol == Protocol::Tcp {
        let syn = frames::tcp(CLIENT6, VIP6).flags("S");
        syn.payload(&[0; 100]).frame(FROM_CLIENT)
    } else {
        frames::udp(CLIENT6, VIP6, &[7; 100], FROM_CLIENT)
    };
    let [first, _] = cut_with_options(frame.clone(), 56);
    let [_, overlapping] = cut_with_options(frame, at);
    assert_eq!(director.receive(WAN, &first).len(), 1);
    director.refuses(WAN, &overlapping, reason);
}

/// Reassembles two IPv4 fragments in either order.
fn join_v4(mut fragments: Vec<Vec<u8>>) -> Seen {
    fragments.sort_by_key(|fragment| [fragment[L2_LEN + 6] & 0x1f, fragment[L2_LEN + 7]]);
    let mut end = 0;
    for fragment in &fragments {
        let (header, payload) = Ipv4Header::from_slice(&fragment[L2_LEN..]).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let of_first = u16::from_be_bytes([fragments[0][L2_LEN + 4], fragments[0][L2_LEN + 5]]);
        assert_eq!(header.identification, of_first);
        assert_eq!(usize::from(header.fragment_offset.value()) * 8, end);
        end += payload.len();
    }
    let l4: Vec<u8> = fragments
        .iter()
        .flat_map(|fragment| fragment[L2_LEN + 20..].to_vec())
        .collect();
    let mut whole = [&fragments[0][..L2_LEN + 20], &l4].concat();
    whole[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&(20 + l4.len() as u16).to_be_bytes());
    whole[L2_LEN + 6..L2_LEN + 8].fill(0);
    frames::repair_ip(&mut whole);
    seen(&whole)
}

fn join_v6(mut fragments: Vec<Vec<u8>>) -> Seen {
    fragments.sort_by_key(|fragment| [fragment[L2_LEN + 42], fragment[L2_LEN + 43] & 0xf8]);
    for fragment in &fragments {
        assert_eq!(fragment[L2_LEN + 6], 44);
        assert_eq!(fragment[L2_LEN + 40], 17);
        let identification = L2_LEN + 44..L2_LEN + 48;
        assert_eq!(
            fragment[identification.clone()],
            fragments[0][identification]
        );
    }
    let l4: Vec<u8> = fragments
        .iter()
        .flat_map(|fragment| fragment[L2_LEN + 48..].to_vec())
        .collect();
    let mut whole = [&fragments[0][..L2_LEN + 40], &l4].concat();
    whole[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(l4.len() as u16).to_be_bytes());
    whole[L2_LEN + 6] = 17;
    seen(&whole)
}

/// RFC 7915, 4.1 and 5.1.1. A fragment becomes one of the other family, in any order.
#[rstest]
fn fragments_become_those_of_the_other_family(#[values(false, true)] last_comes_first: bool) {
    let order = |mut fragments: [Vec<u8>; 2]| {
        if last_comes_first {
            fragments.reverse();
        }
        fragments
    };
    let pass = |director: &mut Director, port, fragments: [Vec<u8>; 2]| {
        let sent = order(fragments).map(|fragment| director.receive(port, &fragment));
        sent.into_iter()
            .flatten()
            .map(|(_, frame)| frame)
            .collect::<Vec<_>>()
    };
    let payload: Vec<u8> = (0..=255).cycle().take(600).collect();

    let mut director = nat64(Protocol::Udp);
    let ask = frames::udp(CLIENT6, VIP6, &payload, FROM_CLIENT);
    let there = join_v4(pass(&mut director, WAN, cut_v6(&ask, 304)));
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST, true));
    assert_eq!(there.payload, payload);
    let answer = frames::udp(DEST, &there.src, &payload, FROM_DEST);
    let back = join_v6(pass(&mut director, LAN, cut_v4(&answer, 304)));
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP6, CLIENT6));
    assert!(back.checksums_right && back.payload == payload);

    let mut director = nat46(Protocol::Udp);
    let ask = frames::udp(CLIENT, VIP, &payload, FROM_CLIENT);
    let there = join_v6(pass(&mut director, WAN, cut_v4(&ask, 304)));
    assert_eq!((there.dst.as_str(), there.checksums_right), (DEST6, true));
    let answer = frames::udp(DEST6, &there.src, &payload, FROM_DEST);
    let back = join_v4(pass(&mut director, LAN, cut_v6(&answer, 304)));
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP, CLIENT));
    assert!(back.checksums_right && back.payload == payload);
    assert_eq!(director.engine.stats().held.get(), 0);

    // RFC 7915, 4.5. A fragmented datagram without a checksum cannot be translated.
    let mut none = frames::udp(CLIENT, VIP, &payload, FROM_CLIENT);
    none[L2_LEN + 26..L2_LEN + 28].fill(0);
    let [first, _] = cut_v4(&none, 304);
    director.refuses(WAN, &first, DropReason::Fragment);
}
