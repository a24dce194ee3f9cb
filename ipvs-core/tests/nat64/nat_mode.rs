//! NAT between both address families: the dest sees the client by its address in the other family
//! (RFC 6052).

use std::net::{IpAddr, SocketAddr};

use inet::IfIndex;
use ipvs_core::{DropReason, FwdMode, Protocol};
use packet::nat64::Nat64Prefix;
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

const L2_LEN: usize = 14;
/// The prefix of clients that have an IPv4 address, and the client 192.0.2.33.
const PREFIX: &str = "2001:db8:1::";
const CLIENT64: &str = "[2001:db8:1::c000:221]:40000";
/// 127.0.0.1 behind the prefix.
const LOOPBACK64: &str = "[2001:db8:1::7f00:1]:40000";
const CLIENT64_SEEN: &str = "192.0.2.33:40000";
/// [`CLIENT`] behind the prefix.
const CLIENT46_SEEN: &str = "[2001:db8:1::a00:30]:40000";

fn setup(protocol: Protocol, vip: &'static str, dest: &'static str) -> Setup {
    Setup {
        protocol,
        fwdmode: FwdMode::Nat,
        vip,
        dests: vec![dest],
        laddrs: Vec::new(),
        ..Setup::default()
    }
}

fn with_prefix(mut director: Director) -> Director {
    director.snapshot.nat64_prefix = Nat64Prefix::new(PREFIX.parse().unwrap(), 96).unwrap();
    for client in [CLIENT64, LOOPBACK64] {
        let addr = addr_of(client);
        director.neighbours.add_static(IfIndex(2), addr, CLIENT_MAC);
    }
    director.publish();
    director
}

fn nat64(protocol: Protocol) -> Director {
    with_prefix(setup(protocol, VIP6, DEST).build())
}

fn nat46(protocol: Protocol) -> Director {
    with_prefix(setup(protocol, VIP, DEST6).build())
}

fn addr_of(end: &str) -> IpAddr {
    end.parse::<SocketAddr>().unwrap().ip()
}

/// Sequence numbers stay, and there is no TOA, since the dest sees the client by its address.
#[rstest]
#[case::nat64(nat64(Protocol::Tcp), CLIENT64, VIP6, DEST, CLIENT64_SEEN)]
#[case::nat46(nat46(Protocol::Tcp), CLIENT, VIP, DEST6, CLIENT46_SEEN)]
fn the_dest_sees_the_client_in_its_own_family(
    #[case] mut director: Director,
    #[case] client: &str,
    #[case] vip: &str,
    #[case] dest: &str,
    #[case] seen: &str,
) {
    let opened = director.open_between(client, vip, dest);
    assert_eq!(opened.laddr, seen);
    assert_eq!((opened.syn.dst.as_str(), opened.syn.ttl), (dest, 63));
    assert_eq!((opened.syn.seq, opened.ack.options.len()), (1000, 0));
    assert_eq!(
        (opened.syn_ack.src.as_str(), opened.syn_ack.dst.as_str()),
        (vip, client)
    );
    for frame in [&opened.syn, &opened.syn_ack, &opened.ack] {
        assert!(frame.checksums_right);
    }
    assert_eq!(director.states(), ["ESTABLISHED"]);
    let data = frames::tcp(client, vip).flags("PA").seq(1001).ack(5001);
    let there = director.to_dest(&data.payload(b"GET /").frame(FROM_CLIENT));
    let answer = frames::tcp(dest, &there.src).flags("PA").seq(5001);
    let back = director.to_client(&answer.ack(1006).payload(b"200").frame(FROM_DEST));
    assert_eq!(
        (there.payload, back.payload),
        (b"GET /".to_vec(), b"200".to_vec())
    );
    assert_eq!(back.ack, 1006);
}

/// RFC 6146. A client without an IPv4 address is seen by a local address. So is one whose IPv4
/// address no client can have.
#[rstest]
#[case::this_network(CLIENT6)]
#[case::loopback(LOOPBACK64)]
fn a_client_without_an_ipv4_address_is_seen_by_a_local_one(#[case] client: &str) {
    let mut lone = nat64(Protocol::Udp);
    let ask = frames::udp(client, VIP6, b"ask", FROM_CLIENT);
    lone.rejects(WAN, &ask, DropReason::NoLaddr);

    let with_laddr = Setup {
        laddrs: vec![LADDR],
        ..setup(Protocol::Udp, VIP6, DEST)
    };
    let mut director = with_prefix(with_laddr.build());
    let there = director.to_dest(&ask);
    assert!(there.src.starts_with("192.168.100.200:"), "{}", there.src);
    let answer = frames::udp(DEST, &there.src, b"answer", FROM_DEST);
    let back = director.to_client(&answer);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (VIP6, client));
    assert_eq!(
        (back.payload.as_slice(), back.checksums_right),
        (&b"answer"[..], true)
    );
}

/// A local port belongs to its conn until the conn ends.
#[test]
fn a_local_port_comes_back_when_its_conn_ends() {
    let setup = Setup {
        laddrs: vec![LADDR],
        ..setup(Protocol::Udp, VIP6, DEST)
    };
    let mut director = setup.build();
    let ask = |port: u16| {
        let client = format!("[2001:db8:1::48]:{port}");
        frames::udp(&client, VIP6, b"ask", FROM_CLIENT)
    };
    let mut first_round: Vec<String> = Vec::new();
    for port in 1..=1000 {
        first_round.push(director.to_dest(&ask(port)).src);
    }
    first_round.sort();
    first_round.dedup();
    assert_eq!(first_round.len(), 1000, "no port twice");
    director.wait_s(400);
    assert_eq!(director.conns().len(), 0);
    // The pool has 64,512 ports, so this many conns need the ports of the first ones again.
    for round in 0..70 {
        for port in 1..=1000 {
            director.to_dest(&ask(port));
        }
        director.wait_s(400);
        assert_eq!(director.conns().len(), 0, "round {round}");
    }
}

/// A packet of a dest that belongs to no conn does not leave the director.
#[rstest]
#[case::nat64(nat64(Protocol::Tcp), DEST, CLIENT64_SEEN)]
#[case::nat46(nat46(Protocol::Tcp), DEST6, CLIENT46_SEEN)]
fn a_packet_of_a_dest_without_a_conn_does_not_leave_the_director(
    #[case] mut director: Director,
    #[case] dest: &str,
    #[case] seen: &str,
) {
    let stray = frames::tcp(dest, seen).flags("A").frame(FROM_DEST);
    let reset = director.rejects(LAN, &stray, DropReason::NatNoConn);
    assert_eq!((reset.src.as_str(), reset.flags.as_str()), (seen, "R"));
}

#[rstest]
#[case::nat64(VIP6, DEST, CLIENT64, CLIENT64_SEEN)]
#[case::nat46(VIP, DEST6, CLIENT, CLIENT46_SEEN)]
fn a_reply_at_another_worker_is_handed_over(
    #[case] vip: &'static str,
    #[case] dest: &'static str,
    #[case] client: &str,
    #[case] seen: &str,
) {
    let setup = Setup {
        workers: 2,
        ..setup(Protocol::Udp, vip, dest)
    };
    let mut workers: Vec<Director> = setup.build_all().into_iter().map(with_prefix).collect();
    let ask = frames::udp(client, vip, b"ask", FROM_CLIENT);
    let owner = config::owner_of(2, client, vip);
    let at_dest = one(receive_at(&mut workers, 1 - owner, WAN, &ask), LAN);
    assert_eq!(at_dest.src, seen);
    let answer = frames::udp(dest, seen, b"answer", FROM_DEST);
    let back = one(receive_at(&mut workers, 1 - owner, LAN, &answer), WAN);
    assert_eq!(handed_over(&workers), 2);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (vip, client));
    assert!(back.checksums_right);
}

/// RFC 7915, 4.2 and 5.2
#[rstest]
#[case::nat64(nat64(Protocol::Udp), [CLIENT64, VIP6, DEST, CLIENT64_SEEN], [(1, 4), (3, 3)])]
#[case::nat46(nat46(Protocol::Udp), [CLIENT, VIP, DEST6, CLIENT46_SEEN], [(3, 3), (1, 4)])]
fn errors_of_icmp_are_translated_both_ways(
    #[case] mut director: Director,
    #[case] ends: [&str; 4],
    #[case] expected: [(u8, u8); 2],
) {
    let [client, vip, dest, seen] = ends;
    let [to_client, to_dest] = expected;
    let unreachable = |src: &str, dst: &str, frame: &[u8], macs| {
        let [src, dst] = [src, dst].map(|end| addr_of(end).to_string());
        frames::unreachable(&src, &dst, &frame[L2_LEN..], macs)
    };
    let ask = frames::udp(client, vip, b"ask", FROM_CLIENT);
    let (_, sent) = only(director.receive(WAN, &ask));
    let told = director.to_client(&unreachable(dest, seen, &sent, FROM_DEST));
    assert_eq!(told.icmp, Some(to_client));
    assert_eq!(told.dst, addr_of(client).to_string());
    assert!(told.checksums_right);

    let answer = frames::udp(dest, seen, b"yes", FROM_DEST);
    let (_, back) = only(director.receive(LAN, &answer));
    let told = director.to_dest(&unreachable(client, vip, &back, FROM_CLIENT));
    assert_eq!(told.icmp, Some(to_dest));
    let [src, dst] = [seen, dest].map(|end| addr_of(end).to_string());
    assert_eq!((told.src, told.dst, told.checksums_right), (src, dst, true));
}

/// RFC 6052, 2.1
#[test]
fn the_prefix_is_the_well_known_one_unless_told_otherwise() {
    let mut director = setup(Protocol::Udp, VIP, DEST6).build();
    let there = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    assert_eq!(there.src, "[64:ff9b::a00:30]:40000");
}
