//! SNAT: hosts behind the director reach the world from a WAN address (DPVS's tutorial, "SNAT").

use std::sync::Arc;

use inet::{IfIndex, Prefix, Route, RouteScope};
use ipvs_core::{
    Access, DestId, DeviceName, DropReason, EndRange, FwdMode, LaddrUseId, Match, Persistence,
    Plan, Protocol, SchedulerKind, Service, ServiceId, ServiceKey, ServiceOptions,
};
use testkit::director::*;
use testkit::frames::{self, Seen};

/// A host behind the director, and a host in the world, which is at the place of the client.
const HOST: &str = "192.168.100.2:40000";
const WORLD: &str = "10.0.0.48:80";
/// The WAN address. [`Setup`] makes it a local address, so it has a pool of ports.
const WAN_ADDR: &str = "192.168.100.200";

/// `-A -s rr -H proto=P,src-range=192.168.100.0-192.168.100.254,oif=dpdk1`, `-a ... -r WAN:0 -J`
pub(crate) fn director(protocol: Protocol) -> Director {
    let mut director = Setup {
        protocol,
        ..Setup::default()
    }
    .build();
    let full_nat = director.snapshot.services.iter().next().unwrap();
    let laddrs = full_nat.laddrs.clone();
    let mut dest = full_nat.dests[0].clone();
    dest.id = DestId(7);
    dest.addr = WAN_ADDR.parse().unwrap();
    dest.port = 0;
    dest.fwdmode = FwdMode::Snat;
    let dests = vec![dest];
    let range = EndRange {
        addrs: (
            "192.168.100.0".parse().unwrap(),
            "192.168.100.254".parse().unwrap(),
        ),
        ports: (0, 0),
    };
    let matcher = Match {
        src: Some(range),
        dst: None,
        iif: None,
        oif: DeviceName::new("dpdk1"),
    };
    let service = Service {
        id: ServiceId(3),
        key: ServiceKey {
            matcher: Some(matcher),
            ..ServiceKey::vip(protocol, [0, 0, 0, 0].into(), 0)
        },
        scheduler: SchedulerKind::Rr,
        leaving: Vec::new(),
        plan: Plan::new(SchedulerKind::Rr, &dests),
        dests,
        laddrs,
        options: ServiceOptions::default(),
        access: Access::default(),
    };
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
    director
}

/// The SNAT service of [`director`]
fn snat(director: &Director) -> Service {
    let mut services = director.snapshot.services.iter();
    let snat = services.find(|service| service.key.matcher.is_some());
    (**snat.unwrap()).clone()
}

/// Sends a host's packet. Returns what the world gets.
fn from_host(director: &mut Director, frame: &[u8]) -> Seen {
    one(director.receive(LAN, frame), WAN)
}

#[test]
fn a_host_s_tcp_conn_comes_from_the_wan_address_and_back() {
    let mut director = director(Protocol::Tcp);
    let syn = frames::tcp(HOST, WORLD).flags("S").seq(1000);
    let seen = from_host(&mut director, &syn.options(&SYN_OPTIONS).frame(FROM_DEST));
    assert_eq!(seen.dst, WORLD);
    assert!(seen.src.starts_with("192.168.100.200:"), "{}", seen.src);
    assert_eq!(
        (seen.seq, seen.options.as_slice()),
        (1000, &SYN_OPTIONS[..])
    );
    assert_eq!(
        (seen.ttl, seen.checksums_right, seen.to),
        (63, true, CLIENT_MAC)
    );

    let reply = frames::tcp(WORLD, &seen.src)
        .flags("SA")
        .seq(5000)
        .ack(1001);
    let back = one(director.receive(WAN, &reply.frame(FROM_CLIENT)), LAN);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (WORLD, HOST));
    assert_eq!((back.ack, back.checksums_right), (1001, true));

    let ack = frames::tcp(HOST, WORLD).flags("A").seq(1001).ack(5001);
    let seen = from_host(&mut director, &ack.frame(FROM_DEST));
    assert_eq!(seen.options, [], "no TOA towards the world");
    assert_eq!(director.states(), ["ESTABLISHED"]);
}

#[test]
fn hosts_share_the_wan_address_by_ports_and_give_them_back() {
    let mut director = director(Protocol::Udp);
    let ask = |host: &str| frames::udp(host, WORLD, b"ask", FROM_DEST);
    let one = from_host(&mut director, &ask("192.168.100.2:53"));
    let two = from_host(&mut director, &ask("192.168.100.3:53"));
    assert_ne!(one.src, two.src);
    let counted = |director: &Director| {
        let counted = director.engine.stats().laddr_use(LaddrUseId(0));
        (counted.conns.get(), counted.conflicts.get())
    };
    assert_eq!(counted(&director), (2, 0));
    let answer = frames::udp(WORLD, &two.src, b"answer", FROM_CLIENT);
    // The MAC address of 192.168.100.3 is not known yet, so its packet is held. It is addressed
    // correctly.
    assert_eq!(director.receive(WAN, &answer), []);
    assert_eq!(director.engine.stats().held.get(), 1);
    director.wait_s(400);
    assert!(director.states().is_empty());
    assert_eq!(counted(&director), (0, 0));
    let all = frames::udp(WORLD, &one.src, b"late", FROM_CLIENT);
    director.refuses(WAN, &all, DropReason::NoConn);
}

/// A WAN address may have services too. A local port that SNAT has chosen stays its own when a
/// service gets the same number, and a client of the service reaches the service.
#[test]
fn a_reply_to_a_host_is_no_call_of_a_service_on_the_same_port() {
    let mut director = director(Protocol::Tcp);
    let syn = frames::tcp(HOST, WORLD).flags("S").seq(1000);
    let seen = from_host(&mut director, &syn.frame(FROM_DEST));
    let local: std::net::SocketAddr = seen.src.parse().unwrap();
    let mut service = {
        let mut services = director.snapshot.services.iter();
        let full_nat = services.find(|service| service.key.matcher.is_none());
        (**full_nat.unwrap()).clone()
    };
    service.id = ServiceId(5);
    service.key = ServiceKey::vip(Protocol::Tcp, local.ip(), local.port());
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();

    let reply = frames::tcp(WORLD, &seen.src)
        .flags("SA")
        .seq(5000)
        .ack(1001);
    let back = one(director.receive(WAN, &reply.frame(FROM_CLIENT)), LAN);
    assert_eq!((back.src.as_str(), back.dst.as_str()), (WORLD, HOST));

    let call = frames::tcp("10.0.0.48:5555", &seen.src).flags("S");
    let to_dest = one(director.receive(WAN, &call.frame(FROM_CLIENT)), LAN);
    assert_eq!(to_dest.dst, DEST);
}

/// RFC 3022, 2.2: the identifier of an echo request stands for the port.
#[test]
fn a_host_pings_the_world_and_hears_the_answer() {
    let mut director = director(Protocol::Icmp);
    let ping = frames::echo_request("192.168.100.2", "10.0.0.48", b"data", FROM_DEST);
    let (port, sent) = director.receive(LAN, &ping).remove(0);
    let seen = Seen::parse(&sent);
    assert_eq!((port, seen.icmp), (WAN, Some((8, 0))));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (WAN_ADDR, "10.0.0.48")
    );
    assert_eq!((seen.ttl, seen.checksums_right), (63, true));
    let identifier = |frame: &[u8]| u16::from_be_bytes([frame[38], frame[39]]);
    assert!(identifier(&sent) >= 1025, "one of the pool");

    // The host in the world answers: it swaps the addresses and changes the type, and so the
    // checksum (RFC 792).
    let mut reply = frames::echo_request("10.0.0.48", WAN_ADDR, b"data", FROM_CLIENT);
    reply[34..42].copy_from_slice(&sent[34..42]);
    reply[34] = 0;
    let sum = u16::from_be_bytes([reply[36], reply[37]]);
    let sum = packet::checksum::Delta::of_u16(0x0800, 0).apply(sum);
    reply[36..38].copy_from_slice(&sum.to_be_bytes());
    let (port, back) = director.receive(WAN, &reply).remove(0);
    let seen = Seen::parse(&back);
    assert_eq!(
        (port, seen.icmp, seen.checksums_right),
        (LAN, Some((0, 0)), true)
    );
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.48", "192.168.100.2")
    );
    assert_eq!(identifier(&back), identifier(&ping));
    assert_eq!(director.states(), ["ICMP_NORMAL"]);

    // A router on the way sends an error about the request.
    let error = frames::unreachable("10.0.0.1", WAN_ADDR, &sent[14..], FROM_CLIENT);
    let (_, back) = director.receive(WAN, &error).remove(0);
    let seen = Seen::parse(&back);
    assert_eq!(
        (seen.dst.as_str(), seen.checksums_right),
        ("192.168.100.2", true)
    );
    let quoted = [&[0; 14][..], &seen.payload].concat();
    assert_eq!(identifier(&quoted), identifier(&ping));

    let ours = frames::echo_request("10.0.0.48", "10.0.0.100", b"", FROM_CLIENT);
    assert_eq!(
        one(director.receive(WAN, &ours), WAN).icmp,
        Some((0, 0)),
        "we still answer"
    );
}

#[test]
fn packets_that_match_no_service_go_to_the_kernel() {
    let mut director = director(Protocol::Udp);
    // Packets with another source, another protocol, another way out, and one for the director
    // itself.
    for frame in [
        frames::udp("192.168.101.2:53", WORLD, b"", FROM_DEST),
        frames::tcp(HOST, WORLD).flags("S").frame(FROM_DEST),
        frames::udp(HOST, "192.168.100.77:53", b"", FROM_DEST),
        frames::udp(HOST, "10.0.0.100:53", b"", FROM_DEST),
    ] {
        assert_eq!(director.receive(LAN, &frame), []);
    }
    assert_eq!(director.wire.to_kernel.len(), 4);
}

/// RFC 1112, RFC 919. Multicast and broadcast are not translated, wherever routes would lead them.
#[test]
fn multicast_and_broadcast_of_a_host_go_to_the_kernel() {
    let mut director = director(Protocol::Udp);
    let default = Route {
        prefix: Prefix::new([0, 0, 0, 0].into(), 0).unwrap(),
        ifindex: IfIndex(2),
        gateway: Some("10.0.0.48".parse().unwrap()),
        src: None,
        mtu: 1500,
        metric: 0,
        scope: RouteScope::Global,
        auto: false,
    };
    director.snapshot.net.routes.insert(default).unwrap();
    director.publish();
    let sent = director.receive(LAN, &frames::udp(HOST, "1.1.1.1:53", b"", FROM_DEST));
    assert_eq!(sent.len(), 1, "the way is known");
    for many in ["224.0.0.251:5353", "255.255.255.255:67"] {
        let frame = frames::udp(HOST, many, b"", FROM_DEST);
        assert_eq!(director.receive(LAN, &frame), []);
    }
    assert_eq!(director.wire.to_kernel.len(), 2);
}

#[test]
fn a_segment_without_a_conn_does_not_leave_the_director() {
    let mut director = director(Protocol::Tcp);
    let stray = frames::tcp(HOST, WORLD).flags("A").frame(FROM_DEST);
    director.rejects(LAN, &stray, DropReason::TcpNotSyn);
}

#[test]
fn errors_about_a_host_s_packet_reach_the_host() {
    let mut director = director(Protocol::Udp);
    let sent = director.receive(LAN, &frames::udp(HOST, WORLD, b"ask", FROM_DEST));
    let error = frames::unreachable("10.0.0.48", WAN_ADDR, &sent[0].1[14..], FROM_CLIENT);
    let seen = one(director.receive(WAN, &error), LAN);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.48", "192.168.100.2")
    );
    assert!(seen.checksums_right);
}

/// FullNAT and SNAT in one director. Packets to the VIP are not of the SNAT service.
#[test]
fn a_host_that_calls_the_vip_is_a_client_of_it() {
    let mut director = director(Protocol::Tcp);
    let syn = frames::tcp("192.168.100.9:5000", VIP)
        .flags("S")
        .frame(FROM_DEST);
    let seen = one(director.receive(LAN, &syn), LAN);
    assert_eq!(seen.dst, DEST);
}

/// A destination hash takes the address that the packet goes to, since the service has none.
#[test]
fn a_destination_hash_spreads_destinations_over_wan_addresses() {
    let mut director = director(Protocol::Udp);
    let mut service = snat(&director);
    service.scheduler = SchedulerKind::Dh;
    let second = ipvs_core::Dest {
        id: DestId(8),
        ..service.dests[0].clone()
    };
    service.dests.push(second);
    service.plan = Plan::new(service.scheduler, &service.dests);
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
    for last in 1..=40 {
        let to = format!("10.0.0.{last}:53");
        director.receive(LAN, &frames::udp(HOST, &to, b"", FROM_DEST));
    }
    let conns = |id| director.engine.stats().dest(DestId(id)).conns.get();
    assert_eq!(conns(7) + conns(8), 40);
    assert!(
        conns(7) > 5 && conns(8) > 5,
        "{} and {}",
        conns(7),
        conns(8)
    );
}

/// LVS man page, -p: a host keeps its WAN address while it has conns, and for the timeout after
/// that.
#[test]
fn a_persistent_host_s_wan_address_is_forgotten_after_its_conns() {
    let mut director = director(Protocol::Udp);
    let mut service = snat(&director);
    service.options.persistence = Some(Persistence {
        timeout_s: 60,
        prefix_len: 32,
    });
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
    for to in ["10.0.0.48:53", "10.0.0.49:53"] {
        director.receive(LAN, &frames::udp(HOST, to, b"ask", FROM_DEST));
    }
    assert_eq!(templates_of(&director, DestId(7)), 1);
    director.wait_s(700);
    assert!(director.states().is_empty());
    assert_eq!(templates_of(&director, DestId(7)), 0);
}

/// Templates in use
fn templates_of(director: &Director, dest: DestId) -> u64 {
    let stats = director.engine.stats();
    stats.dest(dest).persistent_conns.get()
}

/// IPVS keeps a template for each client and service. Match services cannot be told apart by their
/// address, since they have none.
#[test]
fn a_persistent_host_of_two_services_keeps_a_dest_of_each() {
    let mut director = director(Protocol::Udp);
    let all = snat(&director);
    director.snapshot.services.remove(&all.key);
    let towards = |addr: &str, id, dest| {
        let addr = addr.parse().unwrap();
        let range = EndRange {
            addrs: (addr, addr),
            ports: (0, 0),
        };
        let mut service = all.clone();
        service.id = ServiceId(id);
        service.key.matcher = service.key.matcher.map(|matcher| Match {
            dst: Some(range),
            ..matcher
        });
        service.options.persistence = Some(Persistence {
            timeout_s: 60,
            prefix_len: 32,
        });
        service.dests[0].id = DestId(dest);
        service.plan = Plan::new(service.scheduler, &service.dests);
        Arc::new(service)
    };
    let both = [towards("10.0.0.48", 3, 7), towards("10.0.0.49", 4, 8)];
    director.snapshot.services.insert_all(both);
    director.publish();
    for to in [
        "10.0.0.48:53",
        "10.0.0.49:53",
        "10.0.0.48:54",
        "10.0.0.49:54",
    ] {
        director.receive(LAN, &frames::udp(HOST, to, b"ask", FROM_DEST));
    }
    let conns = |id| director.engine.stats().dest(DestId(id)).conns.get();
    assert_eq!((conns(7), conns(8)), (2, 2));
    let kept = [7, 8].map(|id| templates_of(&director, DestId(id)));
    assert_eq!(kept, [1, 1]);
}

/// A server in the world with DPVS's toa module would believe it.
#[test]
fn a_host_s_toa_does_not_leave() {
    let mut director = director(Protocol::Tcp);
    let syn = frames::tcp(HOST, WORLD).flags("S").seq(1000);
    let syn = syn.options(&[2, 4, 5, 0xb4, 254, 8, 0, 1, 1, 2, 3, 4]);
    let seen = director.to_client(&syn.frame(FROM_DEST));
    assert_eq!(seen.options, [2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert!(seen.checksums_right);
}

/// RFC 4291, 2.5.6; RFC 3927, 2.7: what is link-local stays on its link.
#[test]
fn packets_to_link_local_addresses_do_not_leave() {
    let mut director = director(Protocol::Udp);
    let link = Route {
        prefix: Prefix::new([0, 0, 0, 0].into(), 0).unwrap(),
        ifindex: IfIndex(2),
        gateway: Some("10.0.0.48".parse().unwrap()),
        src: None,
        mtu: 1500,
        metric: 0,
        scope: RouteScope::Global,
        auto: false,
    };
    director.snapshot.net.routes.insert(link).unwrap();
    director.publish();
    let frame = frames::udp(HOST, "169.254.169.254:80", b"", FROM_DEST);
    assert_eq!(director.receive(LAN, &frame), []);
    assert_eq!(director.wire.to_kernel.len(), 1);
}

/// The first fragment has the ports. One that overtakes it waits, and does not leave with the
/// host's own address.
#[rstest::rstest]
fn fragments_leave_together_in_any_order(
    #[values([0, 1, 2], [1, 0, 2], [2, 1, 0])] order: [usize; 3],
) {
    let mut director = director(Protocol::Udp);
    let whole = frames::udp(HOST, "10.0.0.48:53", &[7; 60], FROM_DEST);
    let fragments = [0, 24, 48].map(|from: usize| {
        let (l4_at, end) = (34, 34 + (from + 24).min(68));
        let mut fragment = [&whole[..l4_at], &whole[l4_at + from..end]].concat();
        let more = u16::from(from < 48) << 13;
        let total_len = (fragment.len() - 14) as u16;
        fragment[16..18].copy_from_slice(&total_len.to_be_bytes());
        fragment[20..22].copy_from_slice(&((from / 8) as u16 | more).to_be_bytes());
        frames::repair_ip(&mut fragment);
        fragment
    });
    let mut sent = Vec::new();
    for at in order {
        sent.extend(director.receive(LAN, &fragments[at]));
    }
    assert!(director.wire.to_kernel.is_empty());
    assert_eq!(sent.len(), 3);
    for (port, frame) in sent {
        assert_eq!((port, &frame[26..30]), (WAN, &[192, 168, 100, 200][..]));
    }
}
