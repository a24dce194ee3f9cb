//! Fragments of IPv4: they are forwarded in any order, and wait for their first one only shortly
//! (RFC 791, RFC 1858, RFC 3128).

use etherparse::Ipv4Header;
use ipvs_core::{DropReason, Encapsulation, FwdMode, Origin, Protocol, WorkerId};
use packet::PortId;
use rstest::rstest;
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

const L2_LEN: usize = 14;

/// Cuts a frame into fragments with so much payload each, which is a multiple of 8.
fn cut(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = Ipv4Header::from_slice(&frame[L2_LEN..]).unwrap();
    let count = payload.len().div_ceil(size);
    (0..count)
        .map(|at| {
            let part = &payload[at * size..payload.len().min((at + 1) * size)];
            let mut header = header.clone();
            header.identification = 4711;
            header.more_fragments = at + 1 < count;
            header.fragment_offset = ((at * size / 8) as u16).try_into().unwrap();
            header.set_payload_len(part.len()).unwrap();
            header.header_checksum = header.calc_header_checksum();
            let mut fragment = frame[..L2_LEN].to_vec();
            header.write(&mut fragment).unwrap();
            fragment.extend(part);
            fragment
        })
        .collect()
}

/// Reassembles fragments as their receiver does.
fn join(fragments: &[Vec<u8>]) -> Seen {
    let mut parts: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut whole = None;
    for fragment in fragments {
        let (header, payload) = Ipv4Header::from_slice(&fragment[L2_LEN..]).unwrap();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let offset = header.fragment_offset.value() * 8;
        parts.push((offset, payload.to_vec()));
        if offset == 0 {
            whole = Some((fragment[..L2_LEN].to_vec(), header));
        }
    }
    parts.sort();
    let (mut frame, mut header) = whole.expect("a first fragment");
    let payload: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).collect();
    header.more_fragments = false;
    header.set_payload_len(payload.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    header.write(&mut frame).unwrap();
    frame.extend(payload);
    Seen::parse(&frame)
}

fn udp_director(fwdmode: FwdMode) -> Director {
    Setup {
        protocol: Protocol::Udp,
        fwdmode,
        ..Setup::default()
    }
    .build()
}

fn question() -> Vec<Vec<u8>> {
    let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
    cut(&frames::udp(CLIENT, VIP, &payload, FROM_CLIENT), 400)
}

/// This fragment with another identification, as if it were of another packet.
fn identified(fragment: &[u8], number: u16) -> Vec<u8> {
    let mut fragment = fragment.to_vec();
    fragment[L2_LEN + 4..L2_LEN + 6].copy_from_slice(&number.to_be_bytes());
    fragment[L2_LEN + 10..L2_LEN + 12].fill(0);
    let header = Ipv4Header::from_slice(&fragment[L2_LEN..]).unwrap().0;
    let sum = header.calc_header_checksum();
    fragment[L2_LEN + 10..L2_LEN + 12].copy_from_slice(&sum.to_be_bytes());
    fragment
}

/// Receives frames in one batch. Returns what was sent, all of which must have left by this port.
fn receive_all(
    director: &mut Director,
    port: PortId,
    fragments: &[Vec<u8>],
    to: PortId,
) -> Vec<Vec<u8>> {
    let packets = fragments.iter().map(|fragment| VecBuf::new(port, fragment));
    let (engine, wire) = (&mut director.engine, &mut director.wire);
    engine.process(director.now, Origin::Nic, packets, wire);
    director.check_that_every_packet_has_its_end();
    let sent = std::mem::take(&mut director.wire.sent);
    assert!(sent.iter().all(|(port, _)| *port == to));
    sent.into_iter().map(|(_, frame)| frame).collect()
}

#[rstest]
#[case::in_order([0, 1, 2])]
#[case::the_first_in_the_middle([1, 0, 2])]
#[case::the_first_at_last([2, 1, 0])]
fn fragments_of_a_new_conn_s_packet_arrive_whole(
    #[case] order: [usize; 3],
    #[values(true, false)] in_one_batch: bool,
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = udp_director(fwdmode);
    let fragments: Vec<_> = order.iter().map(|at| question()[*at].clone()).collect();
    let sent = if in_one_batch {
        receive_all(&mut director, WAN, &fragments, LAN)
    } else {
        let one_by_one = fragments.iter().flat_map(|fragment| {
            receive_all(&mut director, WAN, std::slice::from_ref(fragment), LAN)
        });
        one_by_one.collect()
    };
    assert_eq!(sent.len(), 3);
    let seen = join(&sent);
    assert_eq!((seen.dst.as_str(), seen.ttl), (DEST, 63));
    assert!(seen.checksums_right);
    assert_eq!(seen.payload.len(), 1000);
    assert_eq!(director.engine.stats().conns.get(), 1);
    assert_eq!(director.engine.stats().held.get(), 0);

    let answer = frames::udp(DEST, &seen.src, &[9; 1200], FROM_DEST);
    let sent = receive_all(&mut director, LAN, &cut(&answer, 800), WAN);
    let seen = join(&sent);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert!(seen.checksums_right);
}

#[test]
fn a_tunnel_carries_each_fragment() {
    let mut director = udp_director(FwdMode::Tunnel(Encapsulation::IpIp));
    let sent = receive_all(&mut director, WAN, &question(), LAN);
    let inner: Vec<Vec<u8>> = sent
        .iter()
        .map(|frame| [&frame[..L2_LEN], &frame[L2_LEN + 20..]].concat())
        .collect();
    assert!(sent.iter().all(|frame| frame[L2_LEN + 9] == 4));
    let seen = join(&inner);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (CLIENT, VIP));
    assert!(seen.checksums_right);
}

/// TOA would move the data, which the offsets of later fragments count. So it is left out, and that
/// is counted.
#[test]
fn tcp_fragments_carry_no_toa() {
    let mut director = Setup::default().build();
    director.open();
    let data = frames::tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let data = data.payload(&[7; 900]).frame(FROM_CLIENT);
    let sent = receive_all(&mut director, WAN, &cut(&data, 480), LAN);
    let seen = join(&sent);
    assert_eq!((seen.options.len(), seen.payload.len()), (0, 900));
    assert!(seen.checksums_right);
    assert_eq!(director.engine.stats().toa_no_space.get(), 1);
}

/// RFC 3128. A fragment at offset 1 could change the flags of the TCP header that was checked.
#[test]
fn a_fragment_that_overwrites_a_tcp_header_is_dropped() {
    let mut director = Setup::default().build();
    let mut syn = cut(
        &frames::tcp(CLIENT, VIP)
            .flags("S")
            .payload(&[0; 100])
            .frame(FROM_CLIENT),
        8,
    );
    director.refuses(WAN, &syn.remove(0), DropReason::TcpMalformed);
    director.refuses(WAN, &syn.remove(0), DropReason::TinyFragment);
}

#[test]
fn a_fragment_without_its_first_waits_for_a_moment_only() {
    let mut director = udp_director(FwdMode::FullNat);
    assert_eq!(director.receive(WAN, &question()[1]), []);
    assert_eq!(director.engine.stats().held.get(), 1);
    director.wait_s(1);
    assert_eq!(director.engine.stats().held.get(), 0);
    assert_eq!(director.drops()[DropReason::Fragment as usize], 1);
}

#[test]
fn a_flood_of_later_fragments_is_dropped_and_counted() {
    let mut director = udp_director(FwdMode::FullNat);
    let later = question().remove(1);
    for number in 0..10_000u16 {
        assert_eq!(director.receive(WAN, &identified(&later, number)), []);
    }
    let held = director.engine.stats().held.get();
    assert_eq!(held, 64);
    assert_eq!(
        director.drops()[DropReason::Fragment as usize],
        10_000 - held
    );
    let sent = receive_all(&mut director, WAN, &question(), LAN);
    assert_eq!(join(&sent).dst, DEST, "and others go on");
}

/// The first fragment of a reply is handed to the worker that owns the local port, and later
/// fragments follow it.
#[test]
fn later_fragments_are_handed_over_as_the_first() {
    let mut director = Setup {
        protocol: Protocol::Udp,
        workers: 2,
        ..Setup::default()
    }
    .build();
    let owners = config::owners(2);
    let is_other_s = |port: &u16| {
        owners.of_v4([192, 168, 100, 2], [192, 168, 100, 200], 80, *port) == WorkerId(1)
    };
    let port = (1025..).find(is_other_s).unwrap();
    let reply = frames::udp(DEST, &format!("{LADDR}:{port}"), &[9; 1200], FROM_DEST);
    for fragment in cut(&reply, 800) {
        assert_eq!(director.receive(LAN, &fragment), []);
    }
    let redirected = director.wire.redirected.iter();
    let workers: Vec<u16> = redirected.map(|(worker, _)| *worker).collect();
    assert_eq!(workers, [1, 1]);
}

/// Three workers, one of which has the client's conn. The first receives the dest's fragments in
/// these batches; what leaves the director.
fn at_three_workers(batches: &[&[usize]], answer: &[Vec<u8>]) -> (Vec<Director>, Vec<Vec<u8>>) {
    let setup = Setup {
        protocol: Protocol::Udp,
        fwdmode: FwdMode::Nat,
        workers: 3,
        ..Setup::default()
    };
    let mut workers = setup.build_all();
    for fragment in question() {
        receive_at(&mut workers, 2, WAN, &fragment);
    }
    let mut sent = Vec::new();
    for batch in batches {
        let batch: Vec<&[u8]> = batch.iter().map(|at| &answer[*at][..]).collect();
        sent.extend(receive_batch_at(&mut workers, 0, LAN, &batch));
    }
    (workers, sent.into_iter().map(|(_, frame)| frame).collect())
}

/// With NAT a reply is handed to the worker that has its conn. So are its later fragments, also
/// those that came before the first.
#[rstest]
#[case::together(&[&[0, 1, 2][..]])]
#[case::one_by_one(&[&[0][..], &[1], &[2]])]
#[case::before_their_first(&[&[1, 0, 2][..]])]
#[case::long_before_their_first(&[&[2][..], &[1], &[0]])]
fn later_fragments_in_nat_mode_follow_the_first(#[case] batches: &[&[usize]]) {
    let answer = frames::udp(DEST, CLIENT, &[9; 1000], FROM_DEST);
    let (workers, sent) = at_three_workers(batches, &cut(&answer, 400));
    let seen = join(&sent);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert!(seen.checksums_right);
    let is_done = |worker: &Director| {
        worker.engine.stats().held.get() == 0 && worker.wire.to_kernel.is_empty()
    };
    assert!(workers.iter().all(is_done));
}

/// When no worker has a conn for a packet, none of its fragments leaves the director.
#[test]
fn fragments_without_a_conn_at_any_worker_do_not_leave_the_director() {
    let answer = frames::udp(DEST, "10.0.0.77:5000", &[9; 1000], FROM_DEST);
    let (workers, sent) = at_three_workers(&[&[0, 1, 2]], &cut(&answer, 400));
    assert_eq!(sent, Vec::<Vec<u8>>::new());
    for Director { wire, engine, .. } in &workers {
        assert!(wire.to_kernel.is_empty() && wire.sent.is_empty() && wire.redirected.is_empty());
        assert_eq!(engine.stats().held.get(), 0);
    }
    let dropped = |worker: &Director| worker.engine.stats().drops_by(DropReason::NatNoConn).get();
    assert_eq!(workers.iter().map(dropped).sum::<u64>(), 3);
}

#[test]
fn fragments_for_other_addresses_go_to_the_kernel() {
    let mut director = udp_director(FwdMode::FullNat);
    let other = frames::udp(CLIENT, "10.0.0.99:500", &[1; 1000], FROM_CLIENT);
    for fragment in cut(&other, 800) {
        assert_eq!(director.receive(WAN, &fragment), []);
    }
    assert_eq!(director.wire.to_kernel.len(), 2);
}

/// Receives frames one by one. Returns what was sent, all of which must have left by this port.
fn receive_each(
    director: &mut Director,
    port: PortId,
    fragments: &[Vec<u8>],
    to: PortId,
) -> Vec<Vec<u8>> {
    let alone = fragments.iter().map(std::slice::from_ref);
    alone
        .flat_map(|fragment| receive_all(director, port, fragment, to))
        .collect()
}

/// With NAT a dest answers to the client's own address. Only the ports in the first fragment tell
/// that it belongs to a conn, and fragments may come in any order (RFC 791, 3.2).
#[rstest]
fn answers_to_clients_in_nat_mode_may_overtake_their_first_fragment(
    #[values([1, 0, 2], [2, 1, 0], [1, 2, 0])] order: [usize; 3],
    #[values(Protocol::Udp, Protocol::Tcp)] protocol: Protocol,
) {
    let mut director = Setup {
        protocol,
        fwdmode: FwdMode::Nat,
        ..Setup::default()
    }
    .build();
    let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let answer = if protocol == Protocol::Tcp {
        director.open();
        let data = frames::tcp(DEST, CLIENT).flags("PA").seq(5001).ack(1001);
        data.payload(&payload).frame(FROM_DEST)
    } else {
        receive_all(&mut director, WAN, &question(), LAN);
        frames::udp(DEST, CLIENT, &payload, FROM_DEST)
    };
    let fragments = cut(&answer, 400);
    let fragments = order.map(|at| fragments[at].clone());
    let seen = join(&receive_each(&mut director, LAN, &fragments, WAN));
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert!(seen.checksums_right);
    assert_eq!(seen.payload, payload);
    assert_eq!(director.engine.stats().held.get(), 0);
    assert!(director.wire.to_kernel.is_empty());
}

/// RFC 1812, 5.2.6. Packets of a dest that belong to no conn are routed by the kernel. A router
/// should not hold back fragments.
#[test]
fn a_later_fragment_of_a_nat_dest_without_its_first_goes_to_the_kernel_in_time() {
    let mut director = udp_director(FwdMode::Nat);
    let answer = cut(&frames::udp(DEST, CLIENT, &[9; 1000], FROM_DEST), 400);
    assert_eq!(director.receive(LAN, &answer[1]), []);
    assert_eq!(director.engine.stats().held.get(), 1);
    assert!(director.wire.to_kernel.is_empty());
    director.wait_s(1);
    assert_eq!(director.engine.stats().held.get(), 0);
    assert_eq!(director.wire.to_kernel, [answer[1].clone()]);
    assert_eq!(director.engine.stats().drops_total(), 0);
}

/// A packet from another port than the service's belongs to no conn.
#[test]
fn a_nat_dest_s_own_fragments_go_to_the_kernel_with_their_first() {
    let mut director = udp_director(FwdMode::Nat);
    receive_all(&mut director, WAN, &question(), LAN);
    let own = frames::udp("192.168.100.2:9999", CLIENT, &[9; 1000], FROM_DEST);
    let own = cut(&own, 400);
    let order = [1, 0, 2].map(|at| own[at].clone());
    receive_each(&mut director, LAN, &order, WAN);
    assert_eq!(director.wire.to_kernel, [0, 1, 2].map(|at| own[at].clone()));
    let stats = director.engine.stats();
    assert_eq!((stats.held.get(), stats.drops_total()), (0, 0));
}

#[test]
fn a_flood_of_a_nat_dest_s_later_fragments_takes_no_memory() {
    const FLOOD: usize = 10_000;
    let mut director = udp_director(FwdMode::Nat);
    let answer = frames::udp(DEST, CLIENT, &[9; 1000], FROM_DEST);
    let later = cut(&answer, 400).remove(1);
    for number in 0..FLOOD as u16 {
        assert_eq!(director.receive(LAN, &identified(&later, number)), []);
    }
    assert_eq!(director.engine.stats().held.get(), 64);
    assert_eq!(director.wire.to_kernel.len(), FLOOD - 64);
    director.wait_s(1);
    assert_eq!(director.engine.stats().held.get(), 0);
    assert_eq!(director.wire.to_kernel.len(), FLOOD);
    assert_eq!(director.engine.stats().drops_total(), 0);
}

/// Fragments that cannot be of a reply of a NAT dest do not wait.
#[rstest]
#[case::another_host(FwdMode::Nat, "192.168.100.3:80")]
#[case::a_dest_of_another_mode(FwdMode::FullNat, DEST)]
fn later_fragments_of_others_go_to_the_kernel_at_once(
    #[case] fwdmode: FwdMode,
    #[case] from: &str,
) {
    let mut director = udp_director(fwdmode);
    let fragments = cut(&frames::udp(from, CLIENT, &[9; 1000], FROM_DEST), 400);
    assert_eq!(director.receive(LAN, &fragments[1]), []);
    let segment = frames::tcp(DEST, CLIENT).payload(&[9; 1000]);
    let segment = cut(&segment.frame(FROM_DEST), 400);
    assert_eq!(director.receive(LAN, &segment[1]), []);
    assert_eq!(director.engine.stats().held.get(), 0);
    assert_eq!(director.wire.to_kernel.len(), 2);
}
