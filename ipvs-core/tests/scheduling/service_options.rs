//! Options of a service: persistence, any port, limits, access lists.

use inet::Prefix;
use ipvs_core::{
    AddrSet, Command, Defence, DestId, DropReason, FwdMode, Persistence, Protocol, Service,
};
use rstest::rstest;
use testkit::director::*;
use testkit::frames;

const DESTS: [&str; 3] = ["192.168.100.2:80", "192.168.100.3:80", "192.168.100.4:80"];

fn setup(protocol: Protocol, fwdmode: FwdMode) -> Setup {
    Setup {
        protocol,
        fwdmode,
        dests: DESTS.to_vec(),
        ..Setup::default()
    }
}

fn udp(fwdmode: FwdMode) -> Director {
    setup(Protocol::Udp, fwdmode).build()
}

/// `-p 300 -M MASK`
fn persist(prefix_len: u8) -> impl Fn(&mut Service) {
    move |service| {
        service.options.persistence = Some(Persistence {
            timeout_s: 300,
            prefix_len,
        });
    }
}

/// The dest that a datagram of this client goes to.
fn dest_of(director: &mut Director, client: &str, vip: &str) -> String {
    let seen = director.to_dest(&frames::udp(client, vip, b"ask", FROM_CLIENT));
    assert!(seen.checksums_right);
    seen.dst
}

/// LVS man page, -p: requests of the same client go to the same dest until the timeout.
#[test]
fn a_client_keeps_to_its_dest_and_others_take_turns() {
    let mut director = udp(FwdMode::FullNat);
    director.edit(persist(32));
    let first = dest_of(&mut director, "10.0.0.48:1", VIP);
    for port in 2..10 {
        let client = format!("10.0.0.48:{port}");
        assert_eq!(dest_of(&mut director, &client, VIP), first);
    }
    let second = dest_of(&mut director, "10.0.0.49:1", VIP);
    assert_ne!(second, first, "round robin among clients");
    let of = |director: &Director, dest| {
        director
            .engine
            .stats()
            .dest(DestId(dest))
            .persistent_conns
            .get()
    };
    let persistent: u64 = (0..3).map(|dest| of(&director, dest)).sum();
    assert_eq!(persistent, 2);
    // The conns end after 300 s and the templates a while later. Then the round robin goes on.
    director.wait_s(700);
    let persistent: u64 = (0..3).map(|dest| of(&director, dest)).sum();
    assert_eq!(persistent, 0);
    assert_ne!(dest_of(&mut director, "10.0.0.48:1", VIP), first);
}

/// LVS man page, -M: clients of one network are one client.
#[test]
fn a_network_keeps_to_its_dest() {
    let mut director = udp(FwdMode::FullNat);
    director.edit(persist(24));
    let first = dest_of(&mut director, "10.0.0.1:1", VIP);
    assert_eq!(dest_of(&mut director, "10.0.0.200:1", VIP), first);
    assert_ne!(dest_of(&mut director, "10.0.1.1:1", VIP), first);
}

/// The conns of a client come to any worker. Each worker reads the templates of the others.
#[test]
fn workers_know_each_other_s_clients() {
    let mut workers = Setup {
        workers: 3,
        ..setup(Protocol::Udp, FwdMode::DirectRoute)
    }
    .build_all();
    let mut dests = Vec::new();
    for (port, worker) in (1..).zip(&mut workers) {
        worker.edit(persist(32));
        let frame = frames::udp(&format!("10.0.0.48:{port}"), VIP, b"ask", FROM_CLIENT);
        let (_, sent) = only(worker.receive(WAN, &frame));
        dests.push(sent[..6].to_vec());
    }
    // Without persistence each worker begins the round robin at a dest of its own.
    dests.dedup();
    assert_eq!(dests.len(), 1);
}

#[test]
fn a_drained_dest_keeps_its_clients_unless_it_expires_quiescent() {
    for expires_quiescent in [false, true] {
        let mut director = udp(FwdMode::FullNat);
        director.edit(persist(32));
        let first = dest_of(&mut director, "10.0.0.48:1", VIP);
        director.edit(|service| {
            service.options.expires_quiescent = expires_quiescent;
            for dest in &mut service.dests {
                if format!("{}:80", dest.addr) == first {
                    dest.weight = 0;
                }
            }
        });
        let again = dest_of(&mut director, "10.0.0.48:2", VIP);
        assert_eq!(again != first, expires_quiescent);
    }
}

#[test]
fn a_dest_that_is_gone_is_not_kept() {
    let mut director = udp(FwdMode::FullNat);
    director.edit(persist(32));
    let first = dest_of(&mut director, "10.0.0.48:1", VIP);
    director.edit(|service| {
        service
            .dests
            .retain(|dest| format!("{}:80", dest.addr) != first)
    });
    assert_ne!(dest_of(&mut director, "10.0.0.48:2", VIP), first);
}

/// LVS-HOWTO, "persistent connection": port 0 is every port, and a client's ports all go to one
/// dest.
#[rstest]
fn a_service_of_any_port_hands_each_port_on(
    #[values(FwdMode::FullNat, FwdMode::Nat)] fwdmode: FwdMode,
) {
    let mut director = udp(fwdmode);
    director.edit(|service| {
        persist(32)(service);
        service.key.port = 0;
        for dest in &mut service.dests {
            dest.port = 0;
        }
    });
    let first = dest_of(&mut director, CLIENT, "10.0.0.100:21");
    let dest = first.strip_suffix(":21").unwrap();
    assert_eq!(
        dest_of(&mut director, CLIENT, "10.0.0.100:3000"),
        format!("{dest}:3000")
    );
    let asked = director.to_dest(&frames::udp(CLIENT, "10.0.0.100:4000", b"ask", FROM_CLIENT));
    let answer = frames::udp(&asked.dst, &asked.src, b"answer", FROM_DEST);
    assert_eq!(director.to_client(&answer).src, "10.0.0.100:4000");
    if fwdmode == FwdMode::Nat {
        let stray = frames::udp("192.168.100.2:999", CLIENT, b"", FROM_DEST);
        director.refuses(LAN, &stray, DropReason::NatNoConn);
    }
}

/// LVS man page, -o: each datagram is scheduled on its own.
#[test]
fn a_service_has_no_more_conns_than_it_may() {
    let mut workers = Setup {
        workers: 2,
        ..setup(Protocol::Udp, FwdMode::DirectRoute)
    }
    .build_all();
    for worker in &mut workers {
        worker.edit(|service| service.options.conn_limit = Some(3));
    }
    let ask = |port: u16| frames::udp(&format!("10.0.0.48:{port}"), VIP, b"", FROM_CLIENT);
    only(workers[0].receive(WAN, &ask(1)));
    only(workers[0].receive(WAN, &ask(2)));
    only(workers[1].receive(WAN, &ask(3)));
    workers[0].rejects(WAN, &ask(4), DropReason::ConnLimit);
    workers[1].rejects(WAN, &ask(5), DropReason::ConnLimit);
    only(workers[0].receive(WAN, &ask(1)));
    // The conns of the first worker end.
    workers[0].wait_s(400);
    only(workers[1].receive(WAN, &ask(6)));
}

#[test]
fn a_service_gets_no_more_conns_per_second_than_it_may() {
    let mut workers = Setup {
        workers: 2,
        ..setup(Protocol::Udp, FwdMode::DirectRoute)
    }
    .build_all();
    for worker in &mut workers {
        worker.edit(|service| service.options.conn_rate_limit = Some(10));
    }
    let mut port = 0;
    let mut taken_in_a_second = |workers: &mut Vec<Director>| {
        let mut taken = 0;
        for _ in 0..20 {
            for worker in &mut *workers {
                port += 1;
                let ask = frames::udp(&format!("10.0.0.48:{port}"), VIP, b"", FROM_CLIENT);
                let sent = worker.receive(WAN, &ask);
                taken += sent.iter().filter(|(port, _)| *port == LAN).count();
                worker.now.ns += 50_000_000;
            }
        }
        taken
    };
    let first = taken_in_a_second(&mut workers);
    assert!(
        (18..=22).contains(&first),
        "a second's worth at once, then the rate: {first}"
    );
    let second = taken_in_a_second(&mut workers);
    assert!((9..=11).contains(&second), "{second}");
    let refused = workers[0].drops()[DropReason::ConnRateLimit as usize];
    assert!(refused > 0);
}

#[test]
fn access_lists_say_who_gets_conns() {
    let mut director = udp(FwdMode::DirectRoute);
    let list = |addr: &str, len| {
        let mut set = AddrSet::default();
        set.insert(Prefix::new(addr.parse().unwrap(), len).unwrap());
        Some(set)
    };
    let ask = |from: &str| frames::udp(&format!("{from}:1"), VIP, b"", FROM_CLIENT);
    director.edit(|service| service.access.deny = list("10.0.1.0", 24));
    director.rejects(WAN, &ask("10.0.1.7"), DropReason::Denied);
    only(director.receive(WAN, &ask("10.0.2.7")));
    director.edit(|service| {
        service.access.deny = None;
        service.access.allow = list("10.0.1.0", 24);
    });
    director.rejects(WAN, &ask("10.0.3.7"), DropReason::NotAllowed);
    only(director.receive(WAN, &ask("10.0.1.7")));
    assert_eq!(director.engine.stats().conns.get(), 2);
}

/// DPVS, tcp_conn_lookup and udp_conn_lookup: a denied client's next packet is dropped, whatever
/// conns it has.
#[rstest]
fn a_denied_client_s_next_packet_is_dropped(
    #[values(Protocol::Tcp, Protocol::Udp)] protocol: Protocol,
    #[values(FwdMode::FullNat, FwdMode::Nat, FwdMode::DirectRoute)] fwdmode: FwdMode,
    #[values(true, false)] by_deny_list: bool,
) {
    let mut director = setup(protocol, fwdmode).build();
    let packets = |number: u32| match protocol {
        Protocol::Udp => frames::udp(CLIENT, VIP, b"ask", FROM_CLIENT),
        _ if number == 0 => frames::tcp(CLIENT, VIP)
            .flags("S")
            .seq(1)
            .frame(FROM_CLIENT),
        _ => frames::tcp(CLIENT, VIP)
            .flags("A")
            .seq(2)
            .ack(9)
            .frame(FROM_CLIENT),
    };
    only(director.receive(WAN, &packets(0)));
    only(director.receive(WAN, &packets(1)));
    let list = |addr: &str| {
        let mut set = AddrSet::default();
        set.insert(Prefix::host(addr.parse().unwrap()));
        Some(set)
    };
    let reason = if by_deny_list {
        director.edit(|service| service.access.deny = list("10.0.0.48"));
        DropReason::Denied
    } else {
        director.edit(|service| service.access.allow = list("10.0.0.49"));
        DropReason::NotAllowed
    };
    director.refuses(WAN, &packets(1), reason);
    director.refuses(WAN, &packets(1), reason);
    director.edit(|service| service.access = ipvs_core::Access::default());
    only(director.receive(WAN, &packets(1)));
}

/// The same of an established conn, whose packets take the fast path. Its dest is told when the
/// conn expires.
#[test]
fn a_denied_client_s_established_conn_stops_and_expires_with_a_reset_to_the_dest() {
    let mut director = Setup::default().build();
    director.open();
    let data = frames::tcp(CLIENT, VIP).flags("A").seq(1001).ack(5001);
    let data = data.payload(b"data").frame(FROM_CLIENT);
    director.to_dest(&data);
    director.edit(|service| {
        let mut set = AddrSet::default();
        set.insert(Prefix::new([10, 0, 0, 0].into(), 8).unwrap());
        service.access.deny = Some(set);
    });
    director.refuses(WAN, &data, DropReason::Denied);
    let resets = director.wait_s(120);
    assert!(resets.iter().any(|(port, _)| *port == LAN));
    assert!(director.states().is_empty());
}

/// DPVS: defence_tcp_drop and defence_udp_drop.
#[test]
fn a_defended_vip_shows_the_kernel_nothing() {
    let mut director = udp(FwdMode::DirectRoute);
    let other_port = frames::udp(CLIENT, "10.0.0.100:81", b"", FROM_CLIENT);
    director.receive(WAN, &other_port);
    assert_eq!(director.wire.to_kernel.len(), 1);
    director.snapshot.defence = Defence {
        udp_drop: true,
        ..Defence::default()
    };
    director.publish();
    director.refuses(WAN, &other_port, DropReason::NoService);
    director.receive(WAN, &frames::udp(CLIENT, "10.0.0.99:81", b"", FROM_CLIENT));
    let tcp = frames::tcp(CLIENT, "10.0.0.100:81").flags("S");
    director.receive(WAN, &tcp.frame(FROM_CLIENT));
    assert_eq!(
        director.wire.to_kernel.len(),
        3,
        "neither another address nor TCP"
    );
}

/// With `--expire-quiescent`, or after the deadline of a drain, control ends the conns of a dest.
#[test]
fn the_conns_of_a_dest_end_on_order_with_resets() {
    let mut director = Setup::default().build();
    let opened = director.open();
    director.command(Command::EndConns(DestId(0)));
    let sent = director.wait_s(1);
    let ends: Vec<_> = sent
        .iter()
        .map(|(_, frame)| frames::Seen::parse(frame))
        .map(|rst| (rst.dst, rst.flags))
        .collect();
    let expected = [(CLIENT, "RA"), (DEST, "RA")];
    assert_eq!(
        ends,
        expected.map(|(dst, flags)| (dst.to_owned(), flags.to_owned()))
    );
    assert!(director.states().is_empty());
    assert_ne!(director.open().laddr, opened.laddr);
}
