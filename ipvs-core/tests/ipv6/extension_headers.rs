//! Extension headers, fragments among them.

use ipvs_core::{DropReason, FwdMode, Origin, Protocol};
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{HEADER_LEN, HOP_BY_HOP, L2_LEN, PADDING, cut, director, extended, question};

const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;

/// Extension headers stay where they are, and the L4 header behind them is found (RFC 8200, 4.1).
#[test]
fn extension_headers_are_walked_and_kept() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let frame = extended(
        &question(),
        &[(HOP_BY_HOP, PADDING), (DESTINATION, PADDING)],
    );
    let (_, received) = only(director.receive(WAN, &frame));
    assert_eq!(
        received[L2_LEN + HEADER_LEN..][..16],
        frame[L2_LEN + HEADER_LEN..][..16]
    );
    let seen = Seen::parse(&received);
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST6, true));
    assert_eq!(seen.payload, b"ask");
}

#[test]
fn extension_headers_without_end_and_source_routes_are_dropped() {
    let mut director = director(Protocol::Udp, FwdMode::FullNat);
    let many = extended(&question(), &[(DESTINATION, PADDING); 9]);
    director.refuses(WAN, &many, DropReason::Ipv6Extensions);
    // RFC 5095: type 0 with a segment left
    let routed = extended(&question(), &[(ROUTING, &[0, 0, 1, 0, 0, 0, 0])]);
    director.refuses(WAN, &routed, DropReason::Ipv6SourceRoute);
    let past_the_end = extended(&question(), &[(DESTINATION, &[200, 1, 4, 0, 0, 0, 0])]);
    let before = director.drops();
    assert_eq!(director.receive(WAN, &past_the_end), []);
    assert_ne!(director.drops(), before);
}

/// Reassembles fragments and leaves out destination options.
fn join(fragments: &[Vec<u8>]) -> Seen {
    let l4_at = L2_LEN + HEADER_LEN + 8;
    let mut parts: Vec<(u16, &[u8])> = fragments
        .iter()
        .map(|fragment| {
            let offset = [fragment[l4_at - 6], fragment[l4_at - 5]];
            (u16::from_be_bytes(offset) & 0xfff8, &fragment[l4_at..])
        })
        .collect();
    parts.sort_unstable();
    let mut l4: Vec<u8> = parts.iter().flat_map(|(_, part)| *part).copied().collect();
    if fragments[0][l4_at - 8] == DESTINATION {
        l4.drain(..8);
    }
    let mut head = fragments[0][..L2_LEN + HEADER_LEN].to_vec();
    head[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&(l4.len() as u16).to_be_bytes());
    head[L2_LEN + 6] = 17;
    Seen::parse(&[head, l4].concat())
}

#[rstest]
#[case::in_order([0, 1, 2])]
#[case::the_first_in_the_middle([1, 0, 2])]
#[case::the_first_at_last([2, 1, 0])]
fn fragments_arrive_whole(
    #[case] order: [usize; 3],
    #[values(true, false)] in_one_batch: bool,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
    #[values(&[], &[(DESTINATION, PADDING)])] options: &[(u8, &[u8])],
) {
    let mut director = director(Protocol::Udp, fwdmode);
    let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let datagram = frames::udp(CLIENT6, VIP6, &payload, FROM_CLIENT);
    let whole = cut(&extended(&datagram, options), 400);
    let fragments: Vec<_> = order.iter().map(|at| whole[*at].clone()).collect();
    let batch = if in_one_batch { 3 } else { 1 };
    for fragments in fragments.chunks(batch) {
        let packets = fragments.iter().map(|fragment| VecBuf::new(WAN, fragment));
        director
            .engine
            .process(director.now, Origin::Nic, packets, &mut director.wire);
        director.check_that_every_packet_has_its_end();
    }
    let sent = std::mem::take(&mut director.wire.sent);
    assert!(sent.iter().all(|(port, _)| *port == LAN));
    let sent: Vec<_> = sent.into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(sent.len(), 3);
    let seen = join(&sent);
    assert_eq!((seen.dst.as_str(), seen.checksums_right), (DEST6, true));
    assert_eq!(seen.payload, payload);
    assert_eq!(director.engine.stats().conns.get(), 1);
}
