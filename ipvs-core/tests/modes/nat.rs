//! NAT: the dest sees the client, and its answers come back through the director.

use etherparse::{NetSlice, SlicedPacket};
use ipvs_core::{DestId, DropReason, FwdMode, Origin, Protocol, ServiceId};
use testkit::VecBuf;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{L2_LEN, director, syn, udp_director};

/// LVS-HOWTO, "LVS-NAT": on the way in only the destination is changed, on the way back only the
/// source. TCP options and numbers stay as they are.
#[test]
fn nat_rewrites_the_dest_s_end_only() {
    let mut director = director(FwdMode::Nat);
    let seen = director.to_dest(&syn());
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (CLIENT, DEST));
    assert_eq!((seen.seq, seen.ttl, seen.checksums_right), (1000, 63, true));
    assert_eq!(seen.options, SYN_OPTIONS);
    assert_eq!((seen.from, seen.to), (LAN_MAC, DEST_MAC));

    let reply = frames::tcp(DEST, CLIENT).flags("SA").seq(5000).ack(1001);
    let reply = reply.options(&[2, 4, 5, 0xb4]).frame(FROM_DEST);
    let seen = director.to_client(&reply);
    assert_eq!((seen.src.as_str(), seen.dst.as_str()), (VIP, CLIENT));
    assert_eq!(
        (seen.seq, seen.ack, seen.checksums_right),
        (5000, 1001, true)
    );
    assert_eq!(seen.options, [2, 4, 5, 0xb4]);

    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    let seen = director.to_dest(&ack.frame(FROM_CLIENT));
    assert_eq!(seen.options, [], "NAT needs no TOA");
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

/// LVS-HOWTO, "LVS-NAT": the port of a dest may differ from that of the service.
#[test]
fn nat_may_change_the_port() {
    let mut director = Setup {
        fwdmode: FwdMode::Nat,
        dests: vec!["192.168.100.2:8080"],
        protocol: Protocol::Udp,
        ..Setup::default()
    }
    .build();
    let seen = director.to_dest(&frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT));
    assert_eq!(seen.dst, "192.168.100.2:8080");
    let reply = frames::udp("192.168.100.2:8080", CLIENT, b"answer", FROM_DEST);
    let seen = director.to_client(&reply);
    assert_eq!((seen.src.as_str(), seen.checksums_right), (VIP, true));
}

#[test]
fn nat_lets_no_reply_out_that_belongs_to_no_conn() {
    let mut director = director(FwdMode::Nat);
    let stray = frames::tcp(DEST, CLIENT).flags("A").seq(5).ack(6);
    director.rejects(LAN, &stray.frame(FROM_DEST), DropReason::NatNoConn);
    assert!(director.wire.to_kernel.is_empty());
    let other_port = frames::tcp("192.168.100.2:22", CLIENT).flags("A");
    director.receive(LAN, &other_port.frame(FROM_DEST));
    assert_eq!(director.wire.to_kernel.len(), 1, "ssh is not the service");
}

/// A reply may come to any worker. It is handed to the one that the client's packets come to, and
/// answered there if it has no conn.
#[test]
fn a_nat_reply_goes_to_the_worker_that_the_client_s_packets_come_to() {
    let setup = Setup {
        fwdmode: FwdMode::Nat,
        workers: 8,
        ..Setup::default()
    };
    let mut workers = setup.build_all();
    let owner = config::owners(8).of_v4([10, 0, 0, 48], [10, 0, 0, 100], 40_000, 80);
    let at = usize::from(owner.next(8).0);
    let stray = frames::tcp(DEST, "10.0.0.48:40000").flags("A");
    let reset = one(
        receive_at(&mut workers, at, LAN, &stray.frame(FROM_DEST)),
        LAN,
    );
    assert_eq!(
        (reset.src.as_str(), reset.flags.as_str()),
        ("10.0.0.48:40000", "R")
    );
    assert_eq!(
        workers[owner.index()].drops()[DropReason::NatNoConn as usize],
        1
    );
    assert_eq!(handed_over(&workers), 1);
}

/// Two services share a dest. A client that uses the same port for both would get replies that
/// cannot be told apart.
#[test]
fn a_second_nat_conn_with_the_same_way_back_is_refused() {
    let mut director = udp_director(FwdMode::Nat);
    let mut second = (**director.snapshot.services.iter().next().unwrap()).clone();
    second.id = ServiceId(1);
    second.key.port = 81;
    second.dests[0].id = DestId(5);
    director.snapshot.services.insert_all([second.into()]);
    director.publish();
    director.to_dest(&frames::udp(CLIENT, VIP, b"one", FROM_CLIENT));
    let clash = frames::udp(CLIENT, "10.0.0.100:81", b"two", FROM_CLIENT);
    director.rejects(WAN, &clash, DropReason::NatTupleInUse);
    let other = frames::udp("10.0.0.48:40001", "10.0.0.100:81", b"two", FROM_CLIENT);
    director.to_dest(&other);

    // This holds within one batch, too, where the second conn is looked up before the first is
    // made.
    let both = ["10.0.0.100:80", "10.0.0.100:81"]
        .map(|vip| frames::udp("10.0.0.48:40002", vip, b"ask", FROM_CLIENT));
    let packets = both.iter().map(|frame| VecBuf::new(WAN, frame));
    let (engine, wire) = (&mut director.engine, &mut director.wire);
    engine.process(director.now, Origin::Nic, packets, wire);
    let ports: Vec<_> = director.wire.sent.iter().map(|(port, _)| *port).collect();
    assert_eq!(ports, [LAN, WAN], "the second client is refused");
    assert_eq!(director.drops()[DropReason::NatTupleInUse as usize], 2);
    assert_eq!(director.engine.stats().conns.get(), 3);
    director.check_that_every_packet_has_its_end();
}

/// In every mode that sees both directions, an established conn that expires is reset at both ends.
#[test]
fn an_established_nat_conn_that_expires_is_reset_at_both_ends() {
    let mut director = director(FwdMode::Nat);
    director.to_dest(&syn());
    let reply = frames::tcp(DEST, CLIENT).flags("SA").seq(5000).ack(1001);
    director.to_client(&reply.frame(FROM_DEST));
    let ack = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    director.to_dest(&ack.frame(FROM_CLIENT));
    let sent = director.wait_s(1000);
    let resets: Vec<_> = sent.iter().map(|(_, frame)| Seen::parse(frame)).collect();
    let ends: Vec<_> = resets
        .iter()
        .map(|rst| (rst.src.as_str(), rst.dst.as_str(), rst.seq))
        .collect();
    assert_eq!(ends, [(VIP, CLIENT, 5001), (CLIENT, DEST, 1001)]);
    assert!(resets.iter().all(|rst| rst.checksums_right));
}

/// An ICMP error of the dest quotes the packet that the dest got. The client gets an error that
/// quotes the packet it sent.
#[test]
fn nat_translates_errors_from_the_dest() {
    let mut director = udp_director(FwdMode::Nat);
    let (_, sent) = only(director.receive(WAN, &frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT)));
    let error = frames::unreachable("192.168.100.2", "10.0.0.48", &sent[L2_LEN..], FROM_DEST);
    let seen = director.to_client(&error);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.100", "10.0.0.48")
    );
    assert!(seen.checksums_right);
    let quoted = SlicedPacket::from_ip(&seen.payload).unwrap();
    let Some(NetSlice::Ipv4(quoted)) = quoted.net else {
        panic!("no IPv4")
    };
    assert_eq!(quoted.header().destination(), [10, 0, 0, 100]);
}
