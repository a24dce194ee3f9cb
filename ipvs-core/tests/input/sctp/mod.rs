//! SCTP (RFC 9260).

mod aborts;
mod fragments;

use ipvs_core::{DropReason, Encapsulation, FwdMode, Protocol};
use packet::{checksum, sctp};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{repair_ip, sctp_checksum};

const L2_LEN: usize = 14;
pub(crate) const INIT: u8 = 1;
pub(crate) const INIT_ACK: u8 = 2;
pub(crate) const ABORT: u8 = 6;
pub(crate) const DATA: u8 = 0;

/// An SCTP packet with one chunk of 20 bytes. It is made from a UDP frame.
pub(crate) fn packet_of(kind: u8, src: &str, dst: &str, macs: testkit::frames::Macs) -> Vec<u8> {
    let mut frame = testkit::frames::udp(src, dst, &[0; 24], macs);
    let is_v4 = frame[12..14] == [8, 0];
    let l4_at = if is_v4 { L2_LEN + 20 } else { L2_LEN + 40 };
    if is_v4 {
        frame[L2_LEN + 9] = 132;
        repair_ip(&mut frame);
    } else {
        frame[L2_LEN + 6] = 132;
    }
    let l4 = &mut frame[l4_at..];
    l4[4..].fill(0);
    l4[12..16].copy_from_slice(&[kind, 0, 0, 20]);
    let sum = sctp_checksum(l4);
    l4[8..12].copy_from_slice(&sum);
    frame
}

/// Source and destination of a frame that left, whose checksums must be right.
pub(crate) fn seen(frame: &[u8]) -> (String, String) {
    let is_v4 = frame[12..14] == [8, 0];
    let (src, dst, l4) = if is_v4 {
        assert_eq!(
            checksum::fold(checksum::sum(&frame[L2_LEN..L2_LEN + 20])),
            0xffff
        );
        let (ip, l4) = etherparse::Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
        (
            std::net::IpAddr::from(ip.source),
            std::net::IpAddr::from(ip.destination),
            l4,
        )
    } else {
        let (ip, l4) = etherparse::Ipv6Header::from_slice(&frame[L2_LEN..]).unwrap();
        (
            std::net::IpAddr::from(ip.source),
            std::net::IpAddr::from(ip.destination),
            l4,
        )
    };
    assert_eq!(l4[8..12], sctp_checksum(l4));
    let (sport, dport) = sctp::ports(l4).unwrap();
    let end = |addr, port| std::net::SocketAddr::new(addr, port).to_string();
    (end(src, sport), end(dst, dport))
}

fn director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        protocol: Protocol::Sctp,
        fwdmode,
        ..Setup::default()
    };
    setup.build()
}

#[test]
fn fullnat_rewrites_ports_and_checksum_both_ways() {
    let mut director = director(FwdMode::FullNat);
    let (port, sent) = only(director.receive(WAN, &packet_of(INIT, CLIENT, VIP, FROM_CLIENT)));
    let (src, dst) = seen(&sent);
    assert_eq!((port, dst.as_str()), (LAN, DEST));
    assert!(src.starts_with(LADDR));
    assert_eq!(director.states(), ["INIT"]);
    let answer = packet_of(INIT_ACK, DEST, &src, FROM_DEST);
    let (port, back) = only(director.receive(LAN, &answer));
    assert_eq!(
        (port, seen(&back)),
        (WAN, (VIP.to_owned(), CLIENT.to_owned()))
    );
    assert_eq!(director.states(), ["ESTABLISHED"]);
    let abort = packet_of(ABORT, CLIENT, VIP, FROM_CLIENT);
    assert_eq!(seen(&only(director.receive(WAN, &abort)).1).1, DEST);
    assert_eq!(director.states(), ["CLOSED"]);
    director.receive(WAN, &packet_of(INIT, CLIENT, VIP, FROM_CLIENT));
    assert_eq!(director.states(), ["INIT"], "it begins anew");
    director.wait_s(70);
    assert!(director.states().is_empty());
}

#[rstest]
#[case(FwdMode::Nat, CLIENT, DEST)]
#[case(FwdMode::DirectRoute, CLIENT, VIP)]
fn nat_and_dr_forward_sctp(#[case] fwdmode: FwdMode, #[case] src: &str, #[case] dst: &str) {
    let mut director = director(fwdmode);
    let (port, sent) = only(director.receive(WAN, &packet_of(INIT, CLIENT, VIP, FROM_CLIENT)));
    assert_eq!((port, seen(&sent)), (LAN, (src.to_owned(), dst.to_owned())));
    if fwdmode == FwdMode::Nat {
        let answer = packet_of(INIT_ACK, DEST, CLIENT, FROM_DEST);
        let (_, back) = only(director.receive(LAN, &answer));
        assert_eq!(seen(&back), (VIP.to_owned(), CLIENT.to_owned()));
    }
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

#[test]
fn a_tunnel_ipv6_and_nat64_forward_sctp() {
    let mut tunnel = director(FwdMode::Tunnel(Encapsulation::IpIp));
    let sent = packet_of(INIT, CLIENT, VIP, FROM_CLIENT);
    let (_, received) = only(tunnel.receive(WAN, &sent));
    assert_eq!(received[L2_LEN + 20 + 20..], sent[L2_LEN + 20..]);
    for (vip, client, dest, laddr) in [
        (VIP6, CLIENT6, DEST6, LADDR6),
        (VIP6, CLIENT6, DEST, LADDR),
        (VIP, CLIENT, DEST6, LADDR6),
    ] {
        let mut director = Setup {
            vip,
            dests: vec![dest],
            laddrs: vec![laddr],
            protocol: Protocol::Sctp,
            ..Setup::default()
        }
        .build();
        let (_, sent) = only(director.receive(WAN, &packet_of(INIT, client, vip, FROM_CLIENT)));
        let (src, dst) = seen(&sent);
        assert_eq!(dst, dest);
        let (_, back) = only(director.receive(LAN, &packet_of(INIT_ACK, dest, &src, FROM_DEST)));
        assert_eq!(seen(&back), (vip.to_owned(), client.to_owned()));
    }
}

/// The packet with these chunks of four bytes each.
fn with_chunks(chunks: &[u8], src: &str, dst: &str, macs: testkit::frames::Macs) -> Vec<u8> {
    let mut frame = packet_of(DATA, src, dst, macs);
    let l4 = &mut frame[L2_LEN + 20..];
    for (place, kind) in l4[12..].chunks_mut(4).zip(chunks) {
        place.copy_from_slice(&[*kind, 0, 0, 4]);
    }
    let sum = sctp_checksum(l4);
    l4[8..12].copy_from_slice(&sum);
    frame
}

/// RFC 9260, 6.10: control chunks may stand before ABORT in the same packet.
#[rstest]
fn an_abort_behind_other_chunks_ends_the_association(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    const SACK: u8 = 3;
    const ERROR: u8 = 9;
    let mut director = director(fwdmode);
    director.receive(WAN, &packet_of(INIT, CLIENT, VIP, FROM_CLIENT));
    let chunks = [SACK, ERROR, ABORT, SACK, SACK];
    let abort = with_chunks(&chunks, CLIENT, VIP, FROM_CLIENT);
    assert_eq!(director.receive(WAN, &abort).len(), 1);
    assert_eq!(director.states(), ["CLOSED"]);
}

/// RFC 9260, 6.10 and 8.5.1: an INIT is alone in its packet, and the packet has no verification
/// tag. Otherwise its receiver discards it.
#[test]
fn an_init_that_its_receiver_discards_opens_nothing() {
    let mut director = director(FwdMode::FullNat);
    let bundled = with_chunks(&[INIT, DATA], CLIENT, VIP, FROM_CLIENT);
    director.refuses(WAN, &bundled, DropReason::SctpNotInit);
    let mut tagged = packet_of(INIT, CLIENT, VIP, FROM_CLIENT);
    let l4 = &mut tagged[L2_LEN + 20..];
    l4[7] = 1;
    let sum = sctp_checksum(l4);
    l4[8..12].copy_from_slice(&sum);
    director.refuses(WAN, &tagged, DropReason::SctpNotInit);
    assert!(director.states().is_empty());
}

/// Cuts a packet into two fragments, the first with `at` bytes.
fn cut(frame: &[u8], at: usize) -> [Vec<u8>; 2] {
    let l4_at = L2_LEN + 20;
    [(0, true), (at, false)].map(|(from, more)| {
        let end = if more { l4_at + at } else { frame.len() };
        let mut fragment = [&frame[..l4_at], &frame[l4_at + from..end]].concat();
        let total_len = (fragment.len() - L2_LEN) as u16;
        fragment[L2_LEN + 2..L2_LEN + 4].copy_from_slice(&total_len.to_be_bytes());
        let field = (from / 8) as u16 | u16::from(more) << 13;
        fragment[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&field.to_be_bytes());
        repair_ip(&mut fragment);
        fragment
    })
}

/// Without a change of ports no fragment has to wait. `sctp_fragments.rs` has the tests with one.
#[rstest]
#[case(FwdMode::Nat)]
#[case(FwdMode::DirectRoute)]
fn sctp_fragments_pass_when_ports_are_not_rewritten(#[case] fwdmode: FwdMode) {
    let mut director = director(fwdmode);
    let data = packet_of(DATA, CLIENT, VIP, FROM_CLIENT);
    for fragment in cut(&packet_of(INIT, CLIENT, VIP, FROM_CLIENT), 16) {
        director.receive(WAN, &fragment);
    }
    assert!(director.states().is_empty(), "an INIT is never cut");
    director.wait_s(3);
    director.receive(WAN, &packet_of(INIT, CLIENT, VIP, FROM_CLIENT));
    for fragment in cut(&data, 16) {
        let (port, sent) = only(director.receive(WAN, &fragment));
        assert_eq!(port, LAN);
        assert_eq!(sent[L2_LEN + 20..], fragment[L2_LEN + 20..]);
    }
}

#[test]
fn a_packet_that_opens_no_association_or_is_broken_is_dropped() {
    let mut director = director(FwdMode::FullNat);
    let data = packet_of(DATA, CLIENT, VIP, FROM_CLIENT);
    director.refuses(WAN, &data, DropReason::SctpNotInit);
    let mut wrong = packet_of(INIT, CLIENT, VIP, FROM_CLIENT);
    *wrong.last_mut().unwrap() ^= 1;
    director.refuses(WAN, &wrong, DropReason::SctpBadChecksum);
    director.receive(WAN, &packet_of(INIT, CLIENT, VIP, FROM_CLIENT));
    director.refuses(WAN, &wrong, DropReason::SctpBadChecksum);
    let mut short = packet_of(INIT, CLIENT, VIP, FROM_CLIENT);
    short.truncate(L2_LEN + 20 + 11);
    short[L2_LEN + 3] = 31;
    repair_ip(&mut short);
    director.refuses(WAN, &short, DropReason::SctpMalformed);
}
