//! Fragments of SCTP packets whose ports are rewritten. The checksum (RFC 9260, 6.8) lies in the
//! first fragment and covers the whole packet with its ports. The tests reassemble the fragments
//! and then check the checksum with a crate for CRC32c.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header};
use ipvs_core::{DropReason, FwdMode, Origin, Protocol};
use packet::PortId;
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{Macs, sctp_checksum};

const L2_LEN: usize = 14;
const SCTP: u8 = 132;
/// A destination options header of 16 bytes with nothing but PadN (RFC 8200, 4.2 and 4.6)
const OPTIONS: [u8; 16] = [SCTP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const OTHER_PORT: &str = "192.168.100.2:8080";
const OTHER_PORT6: &str = "[2001:db8:100::2]:8080";

/// Client, VIP, dest and local address
type Ends = [&'static str; 4];
const V4: Ends = [CLIENT, VIP, OTHER_PORT, LADDR];
const V6: Ends = [CLIENT6, VIP6, OTHER_PORT6, LADDR6];
const NAT64: Ends = [CLIENT6, VIP6, OTHER_PORT, LADDR];
const NAT46: Ends = [CLIENT, VIP, OTHER_PORT6, LADDR6];

/// An SCTP packet of this length with one chunk of this kind.
fn chunk(kind: u8, len: usize, src: &str, dst: &str) -> Vec<u8> {
    let port = |end: &str| end.parse::<SocketAddr>().unwrap().port().to_be_bytes();
    let head = [port(src), port(dst)].concat();
    // RFC 9260, 8.5.1: an INIT has no verification tag.
    let tag = if kind == INIT { [0; 4] } else { [7; 4] };
    let mut l4 = [&head[..], &tag, &[7; 4], &[kind, 0]].concat();
    l4.extend((len as u16 - 12).to_be_bytes());
    l4.extend((0..=250).cycle().take(len - 16));
    let sum = sctp_checksum(&l4);
    l4[8..12].copy_from_slice(&sum);
    l4
}

/// A fragment of an SCTP packet, or the whole packet.
struct Piece<'a> {
    payload: &'a [u8],
    /// What the payload begins with
    protocol: u8,
    offset: usize,
    more: bool,
    identification: u16,
    ttl: u8,
}

impl Piece<'_> {
    fn frame(&self, src: &str, dst: &str, (from, to): Macs) -> Vec<u8> {
        let addr = |end: &str| end.parse::<SocketAddr>().unwrap().ip();
        let ip = match (addr(src), addr(dst)) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.ipv4(src.octets(), dst.octets()),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.ipv6(src.octets(), dst.octets()),
            _ => unreachable!(),
        };
        let ethertype = if ip[0] >> 4 == 4 {
            [8, 0]
        } else {
            [0x86, 0xdd]
        };
        [&to.0[..], &from.0, &ethertype, &ip, self.payload].concat()
    }

    fn ipv4(&self, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
        let len = self.payload.len() as u16;
        let mut header = Ipv4Header::new(len, self.ttl, IpNumber(SCTP), src, dst).unwrap();
        header.dont_fragment = false;
        header.identification = self.identification;
        header.more_fragments = self.more;
        header.fragment_offset = ((self.offset / 8) as u16).try_into().unwrap();
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    }

    /// RFC 8200, 4.5
    fn ipv6(&self, src: [u8; 16], dst: [u8; 16]) -> Vec<u8> {
        let [high, low] = (self.offset as u16 | u16::from(self.more)).to_be_bytes();
        let [c, d] = self.identification.to_be_bytes();
        let fragment = [self.protocol, 0, high, low, 0, 1, c, d];
        let is_whole = self.offset == 0 && !self.more;
        let extension = if is_whole { &[][..] } else { &fragment };
        let header = Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: (extension.len() + self.payload.len()) as u16,
            next_header: IpNumber(if is_whole { self.protocol } else { 44 }),
            hop_limit: self.ttl,
            source: src,
            destination: dst,
        };
        [&header.to_bytes()[..], extension].concat()
    }
}

/// Cuts an SCTP packet into fragments of this size. A smaller packet stays whole.
fn cut(l4: &[u8], size: usize, identification: u16, src: &str, dst: &str) -> Vec<Vec<u8>> {
    let macs = if [CLIENT, CLIENT6].contains(&src) {
        FROM_CLIENT
    } else {
        FROM_DEST
    };
    let pieces = l4.chunks(size).enumerate().map(|(at, payload)| Piece {
        payload,
        protocol: SCTP,
        offset: at * size,
        more: (at + 1) * size < l4.len(),
        identification,
        ttl: 64,
    });
    pieces.map(|piece| piece.frame(src, dst, macs)).collect()
}

/// The addresses, the offset, whether more fragments follow, and the payload of IP.
fn parse(frame: &[u8]) -> (IpAddr, IpAddr, usize, bool, &[u8]) {
    if frame[12..14] == [8, 0] {
        let (ip, l4) = Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        assert_eq!(
            (ip.protocol.0, usize::from(ip.total_len)),
            (SCTP, 20 + l4.len())
        );
        let offset = usize::from(ip.fragment_offset.value()) * 8;
        return (
            ip.source.into(),
            ip.destination.into(),
            offset,
            ip.more_fragments,
            l4,
        );
    }
    let (ip, l4) = Ipv6Header::from_slice(&frame[L2_LEN..]).unwrap();
    assert_eq!(usize::from(ip.payload_length), l4.len());
    let (src, dst) = (ip.source.into(), ip.destination.into());
    if ip.next_header.0 != 44 {
        return (src, dst, 0, false, l4);
    }
    let field = u16::from_be_bytes([l4[2], l4[3]]);
    (
        src,
        dst,
        usize::from(field & 0xfff8),
        field & 1 == 1,
        &l4[8..],
    )
}

fn is_fragment(frame: &[u8]) -> bool {
    let (_, _, offset, more, _) = parse(frame);
    offset != 0 || more
}

/// Reassembles fragments as their receiver does: both ends and the packet.
#[derive(Debug)]
struct Whole {
    src: String,
    dst: String,
    l4: Vec<u8>,
}

impl Whole {
    fn is_right(&self) -> bool {
        self.l4[8..12] == sctp_checksum(&self.l4)
    }
}

fn join(frames: &[Vec<u8>]) -> Whole {
    join_behind(frames, 0)
}

/// Reassembles fragments that have so many bytes of options before the SCTP header.
fn join_behind(frames: &[Vec<u8>], options_len: usize) -> Whole {
    let mut parts: Vec<_> = frames.iter().map(|frame| parse(frame)).collect();
    parts.sort_by_key(|(_, _, offset, ..)| *offset);
    let (src, dst, ..) = parts[0];
    let mut l4 = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        assert_eq!((part.0, part.1, part.2), (src, dst, l4.len()));
        assert_eq!(part.3, at + 1 < parts.len());
        l4.extend(part.4);
    }
    l4.drain(..options_len);
    let port = |at: usize| u16::from_be_bytes([l4[at], l4[at + 1]]);
    let (src, dst) = (SocketAddr::new(src, port(0)), SocketAddr::new(dst, port(2)));
    Whole {
        src: src.to_string(),
        dst: dst.to_string(),
        l4,
    }
}

fn director([_, vip, dest, laddr]: Ends, fwdmode: FwdMode) -> Director {
    let (dests, laddrs) = (vec![dest], vec![laddr]);
    let protocol = Protocol::Sctp;
    Setup {
        protocol,
        fwdmode,
        vip,
        dests,
        laddrs,
        ..Setup::default()
    }
    .build()
}

/// A director with one conn, and the address and port by which the dest sees the client.
fn opened(ends: Ends, fwdmode: FwdMode) -> (Director, String) {
    let [client, vip, dest, _] = ends;
    let mut director = director(ends, fwdmode);
    let init = cut(&chunk(INIT, 32, client, vip), 64, 0, client, vip);
    let seen = join(&pass(&mut director, WAN, &init, 1));
    assert!(seen.is_right());
    assert_eq!(seen.dst, dest);
    (director, seen.src)
}

/// Fragments come in, so many in a batch. Returns what leaves by the other port.
fn pass(director: &mut Director, port: PortId, frames: &[Vec<u8>], batch: usize) -> Vec<Vec<u8>> {
    for frames in frames.chunks(batch) {
        let packets = frames.iter().map(|frame| VecBuf::new(port, frame));
        director
            .engine
            .process(director.now, Origin::Nic, packets, &mut director.wire);
        director.check_that_every_packet_has_its_end();
    }
    let sent = std::mem::take(&mut director.wire.sent);
    assert!(sent.iter().all(|(to, _)| *to != port));
    sent.into_iter().map(|(_, frame)| frame).collect()
}

fn ordered(frames: &[Vec<u8>], order: [usize; 3]) -> Vec<Vec<u8>> {
    order.iter().map(|at| frames[*at].clone()).collect()
}

fn held(director: &Director) -> u64 {
    director.engine.stats().held.get()
}

fn fragments_dropped(director: &Director) -> u64 {
    director.drops()[DropReason::Fragment as usize]
}

#[rstest]
#[case::in_order([0, 1, 2])]
#[case::reversed([2, 1, 0])]
#[case::last_first([2, 0, 1])]
#[case::first_in_the_middle([1, 0, 2])]
fn fragments_with_other_ports_arrive_whole(
    #[case] order: [usize; 3],
    #[values(1, 2, 3)] batch: usize,
    #[values(V4, V6, NAT64, NAT46)] ends: Ends,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let [client, vip, dest, _] = ends;
    let (mut director, inside) = opened(ends, fwdmode);
    let sent = chunk(DATA, 1001, client, vip);
    let fragments = ordered(&cut(&sent, 400, 4711, client, vip), order);
    let seen = join(&pass(&mut director, WAN, &fragments, batch));
    assert_eq!((&seen.src, seen.dst.as_str()), (&inside, dest));
    assert!(seen.is_right());
    assert_eq!(seen.l4[12..], sent[12..]);
    assert_eq!(director.states(), ["INIT"]);

    let answer = chunk(DATA, 2000, dest, &inside);
    let fragments = ordered(&cut(&answer, 800, 4712, dest, &inside), order);
    let seen = join(&pass(&mut director, LAN, &fragments, batch));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (vip, client));
    assert!(seen.is_right());
    assert_eq!(seen.l4[12..], answer[12..]);
    assert_eq!(director.states(), ["ESTABLISHED"]);
    assert_eq!(
        (held(&director), director.engine.stats().drops_total()),
        (0, 0)
    );
}

/// RFC 9260, 5.1. When the director was slow, a batch may hold a client's INIT and what it sent
/// after that. Being in one batch must lose nothing, and the conn is made in either order.
#[rstest]
#[case::after_the_init([0, 1, 2, 3])]
#[case::before_the_init([1, 2, 3, 0])]
#[case::around_the_init([1, 0, 2, 3])]
#[case::the_last_ahead([3, 0, 1, 2])]
fn fragments_in_the_batch_of_their_init_arrive_whole(
    #[case] order: [usize; 4],
    #[values(V4, V6, NAT64, NAT46)] ends: Ends,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let [client, vip, dest, _] = ends;
    let mut director = director(ends, fwdmode);
    let data = chunk(DATA, 1001, client, vip);
    let mut frames = cut(&chunk(INIT, 32, client, vip), 64, 0, client, vip);
    frames.extend(cut(&data, 400, 4711, client, vip));
    let batch = order.map(|at| frames[at].clone());
    let sent = pass(&mut director, WAN, &batch, batch.len());
    let (fragments, init): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|frame| is_fragment(frame));
    let (init, seen) = (join(&init), join(&fragments));
    assert!(init.is_right() && seen.is_right());
    assert_eq!((&seen.src, seen.dst.as_str()), (&init.src, dest));
    assert_eq!(seen.l4[12..], data[12..]);
    assert_eq!(director.states(), ["INIT"]);
    assert_eq!(
        (held(&director), director.engine.stats().drops_total()),
        (0, 0)
    );
}

/// RFC 9260, 8.4. A first fragment that opens no conn is treated like a whole packet that opens
/// none.
#[rstest]
fn a_first_fragment_makes_no_conn(#[values(V4, V6, NAT64, NAT46)] ends: Ends) {
    let [client, vip, ..] = ends;
    let mut director = director(ends, FwdMode::FullNat);
    let data = cut(&chunk(DATA, 1000, client, vip), 400, 1, client, vip);
    director.refuses(WAN, &data[0], DropReason::SctpNotInit);
    let init = cut(&chunk(INIT, 1000, client, vip), 400, 2, client, vip);
    director.refuses(WAN, &init[0], DropReason::Fragment);
    assert_eq!(director.engine.stats().conns.get(), 0);
}

/// The largest packet that IP allows, and a packet whose last fragment is one byte.
#[rstest]
#[case(V4, 65_515)]
#[case(V6, 65_535)]
#[case(V4, 1481)]
#[case(V6, 1481)]
fn long_packets_arrive_whole(#[case] ends: Ends, #[case] len: usize) {
    let [client, vip, dest, _] = ends;
    let (mut director, _) = opened(ends, FwdMode::FullNat);
    let fragments = cut(&chunk(DATA, len, client, vip), 1440, 1, client, vip);
    let seen = join(&pass(&mut director, WAN, &fragments, 64));
    assert_eq!((seen.dst.as_str(), seen.l4.len()), (dest, len));
    assert!(seen.is_right());
}

/// RFC 9260, 6.8. The receiver must notice that a packet was damaged on its way.
#[rstest]
fn a_wrong_checksum_stays_wrong(
    #[values(V4, V6)] ends: Ends,
    #[values([0, 1, 2], [2, 1, 0])] order: [usize; 3],
) {
    let [client, vip, ..] = ends;
    let (mut director, _) = opened(ends, FwdMode::FullNat);
    let mut sent = chunk(DATA, 1000, client, vip);
    sent[500] ^= 0x10;
    let fragments = ordered(&cut(&sent, 400, 1, client, vip), order);
    let mut seen = join(&pass(&mut director, WAN, &fragments, 1));
    assert!(!seen.is_right());
    seen.l4[500] ^= 0x10;
    assert!(seen.is_right(), "and nothing else is wrong");
}

#[rstest]
fn a_first_fragment_without_its_last_waits_for_a_moment_only(#[values(V4, V6)] ends: Ends) {
    let [client, vip, ..] = ends;
    let (mut director, _) = opened(ends, FwdMode::FullNat);
    let fragments = cut(&chunk(DATA, 1000, client, vip), 400, 1, client, vip);
    assert_eq!(pass(&mut director, WAN, &fragments[..1], 1).len(), 0);
    assert_eq!(pass(&mut director, WAN, &fragments[1..2], 1).len(), 1);
    assert_eq!((held(&director), fragments_dropped(&director)), (1, 0));
    director.wait_s(1);
    assert_eq!((held(&director), fragments_dropped(&director)), (0, 1));
}

#[rstest]
fn a_flood_of_first_fragments_takes_no_memory_and_others_pass(#[values(V4, V6)] ends: Ends) {
    const FLOOD: u64 = 10_000;
    let [client, vip, ..] = ends;
    let (mut director, _) = opened(ends, FwdMode::FullNat);
    let sent = chunk(DATA, 1000, client, vip);
    let first = |number| cut(&sent, 400, number, client, vip).remove(0);
    let flood: Vec<_> = (0..FLOOD as u16).map(first).collect();
    assert_eq!(pass(&mut director, WAN, &flood, 7).len(), 0);
    assert_eq!(
        (held(&director), fragments_dropped(&director)),
        (64, FLOOD - 64)
    );
    let fragments = cut(&sent, 400, 0xffff, client, vip);
    assert!(join(&pass(&mut director, WAN, &fragments, 1)).is_right());
    director.wait_s(1);
    assert_eq!((held(&director), fragments_dropped(&director)), (0, FLOOD));
}

/// RFC 791, 3.2. Identifications are used again, and networks may deliver a packet twice.
#[rstest]
fn fragments_that_come_twice_do_no_harm(#[values(V4, V6)] ends: Ends) {
    let [client, vip, ..] = ends;
    let (mut director, _) = opened(ends, FwdMode::FullNat);
    let fragments = cut(&chunk(DATA, 1000, client, vip), 400, 1, client, vip);
    let twice = [0, 0, 1, 2].map(|at| fragments[at].clone());
    let sent = pass(&mut director, WAN, &twice, 1);
    assert!(join(&sent).is_right());
    assert_eq!(fragments_dropped(&director), 1);
    let again = pass(&mut director, WAN, &ordered(&fragments, [2, 1, 0]), 1);
    assert!(join(&again).is_right());
    // Because of what is noted of those, the last fragment of the next packet leaves before its
    // first one.
    let next = cut(&chunk(DATA, 1111, client, vip), 400, 1, client, vip);
    let seen = join(&pass(&mut director, WAN, &ordered(&next, [2, 0, 1]), 1));
    assert!(seen.is_right());
    assert_eq!((seen.l4.len(), held(&director)), (1111, 0));
}

/// A last fragment may claim a length that no packet can have, or one that does not fit the first
/// fragment. Then the first fragment is not released by it.
#[rstest]
fn lengths_that_lie_are_ignored(#[values(V4, V6)] ends: Ends) {
    let [client, vip, ..] = ends;
    let (mut director, _) = opened(ends, FwdMode::FullNat);
    let fragments = cut(&chunk(DATA, 1000, client, vip), 400, 1, client, vip);
    let last = |offset, identification| Piece {
        payload: &[0; 16],
        protocol: SCTP,
        offset,
        more: false,
        identification,
        ttl: 64,
    };
    pass(&mut director, WAN, &fragments[..1], 1);
    let too_long = last(65_528, 1).frame(client, vip, FROM_CLIENT);
    director.refuses(WAN, &too_long, DropReason::Fragment);
    assert_eq!(held(&director), 1);
    // This fragment would end within the first one. RFC 5722 forbids to reassemble those.
    let too_short = last(16, 1).frame(client, vip, FROM_CLIENT);
    let sent = pass(&mut director, WAN, &[too_short], 1);
    assert_eq!(
        (sent.len(), held(&director), fragments_dropped(&director)),
        (1, 0, 2)
    );
}

/// RFC 9260, 9.1. An ABORT ends its association, also when it is so long that it is fragmented.
#[rstest]
fn a_cut_packet_moves_its_conn_as_a_whole_one(#[values(V4, V6)] ends: Ends) {
    let [client, vip, dest, _] = ends;
    let (mut director, inside) = opened(ends, FwdMode::FullNat);
    let answer = cut(&chunk(INIT_ACK, 300, dest, &inside), 160, 1, dest, &inside);
    pass(&mut director, LAN, &answer[..1], 1);
    assert_eq!(director.states(), ["INIT"], "it has not left yet");
    pass(&mut director, LAN, &answer[1..], 1);
    assert_eq!(director.states(), ["ESTABLISHED"]);
    // RFC 9260, 8.5.1: it has the tag that the INIT ACK has named.
    let mut abort = chunk(ABORT, 300, client, vip);
    abort.copy_within(16..20, 4);
    let sum = sctp_checksum(&abort);
    abort[8..12].copy_from_slice(&sum);
    pass(&mut director, WAN, &cut(&abort, 160, 1, client, vip), 1);
    assert_eq!(director.states(), ["CLOSED"]);
}

/// RFC 792. The sender gets an error that quotes the packet as it was sent.
#[test]
fn a_first_fragment_whose_time_is_over_is_answered() {
    let (mut director, _) = opened(V4, FwdMode::FullNat);
    let sent = chunk(DATA, 1000, CLIENT, VIP);
    let piece = |offset, more, payload, ttl| Piece {
        payload,
        protocol: SCTP,
        offset,
        more,
        identification: 1,
        ttl,
    };
    let first = piece(0, true, &sent[..400], 1).frame(CLIENT, VIP, FROM_CLIENT);
    let last = piece(400, false, &sent[400..], 64).frame(CLIENT, VIP, FROM_CLIENT);
    assert_eq!(director.receive(WAN, &first), []);
    let answers = director.receive(WAN, &last);
    let (_, error) = answers.iter().find(|(port, _)| *port == WAN).unwrap();
    assert_eq!(error[L2_LEN + 20], 11, "time exceeded");
    assert_eq!(error[L2_LEN + 28 + 20..L2_LEN + 28 + 28], sent[..8]);
}

/// A first fragment waits at the worker that owns the conn.
#[rstest]
fn fragments_of_another_worker_s_conn_arrive_whole(#[values(V4, V6)] ends: Ends) {
    let [client, vip, dest, laddr] = ends;
    let (dests, laddrs) = (vec![dest], vec![laddr]);
    let (protocol, workers) = (Protocol::Sctp, 2);
    let mut directors = Setup {
        protocol,
        workers,
        vip,
        dests,
        laddrs,
        ..Setup::default()
    }
    .build_all();
    let [other, owner] = &mut directors[..] else {
        unreachable!()
    };
    let init = cut(&chunk(INIT, 32, client, vip), 64, 0, client, vip);
    let inside = join(&pass(owner, WAN, &init, 1)).src;
    let answer = cut(&chunk(DATA, 1000, dest, &inside), 400, 1, dest, &inside);
    assert_eq!(pass(other, LAN, &answer, 1).len(), 0);
    let handed_over = std::mem::take(&mut other.wire.redirected);
    assert_eq!((handed_over.len(), held(other)), (3, 0));
    let sent = handed_over
        .into_iter()
        .flat_map(|(_, packet)| owner.receive_from(Origin::Worker, packet));
    let sent: Vec<_> = sent.map(|(_, frame)| frame).collect();
    let seen = join(&sent);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (vip, client));
    assert!(seen.is_right());
}

#[rstest]
fn every_random_fragment_has_its_end(#[values(V4, V6, NAT64, NAT46)] ends: Ends) {
    let [client, vip, dest, _] = ends;
    let (mut director, inside) = opened(ends, FwdMode::FullNat);
    let mut samples = cut(&chunk(DATA, 90, client, vip), 40, 1, client, vip);
    samples.extend(cut(&chunk(DATA, 90, dest, &inside), 40, 1, dest, &inside));
    director.withstand(&samples, 50_000);
}

/// A packet behind a destination options header, which is cut into fragments along with it (RFC
/// 8200, 4.1).
fn cut_with_options(l4: &[u8], src: &str, dst: &str) -> Vec<Vec<u8>> {
    let mut frames = cut(&[&OPTIONS[..], l4].concat(), 400, 1, src, dst);
    frames.iter_mut().for_each(|frame| frame[L2_LEN + 40] = 60);
    frames
}

/// The checksum does not cover the options.
#[rstest]
#[case([0, 1, 2])]
#[case([2, 1, 0])]
fn options_before_the_header_are_not_counted(#[case] order: [usize; 3]) {
    let (mut director, _) = opened(V6, FwdMode::FullNat);
    let data = chunk(DATA, 1000, CLIENT6, VIP6);
    let fragments = ordered(&cut_with_options(&data, CLIENT6, VIP6), order);
    let sent = pass(&mut director, WAN, &fragments, 1);
    let seen = join_behind(&sent, OPTIONS.len());
    assert_eq!(seen.dst, OTHER_PORT6);
    assert!(seen.is_right());
}

/// RFC 7915, 5.1. The IPv4 packet has no such options, and its offsets do not count them.
#[rstest]
fn options_before_the_header_are_left_out_between_the_families(
    #[values([0, 1, 2], [2, 1, 0], [1, 0, 2])] order: [usize; 3],
    #[values(1, 3)] batch: usize,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let (mut nat64, inside) = opened(NAT64, fwdmode);
    let data = chunk(DATA, 1000, CLIENT6, VIP6);
    let fragments = ordered(&cut_with_options(&data, CLIENT6, VIP6), order);
    let seen = join(&pass(&mut nat64, WAN, &fragments, batch));
    assert_eq!((&seen.src, seen.dst.as_str()), (&inside, OTHER_PORT));
    assert!(seen.is_right());
    assert_eq!(seen.l4[12..], data[12..]);

    let (mut nat46, inside) = opened(NAT46, fwdmode);
    let answer = chunk(DATA, 1000, OTHER_PORT6, &inside);
    let fragments = ordered(&cut_with_options(&answer, OTHER_PORT6, &inside), order);
    let seen = join(&pass(&mut nat46, LAN, &fragments, batch));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert!(seen.is_right());
    assert_eq!(seen.l4[12..], answer[12..]);
    assert_eq!((held(&nat46), fragments_dropped(&nat46)), (0, 0));
}
