//! Active FTP (PORT and EPRT): the dest opens the data conn.

use std::sync::Arc;

use ipvs_core::{Command, DestId, DropReason, FwdMode, LaddrId, LaddrUseId, Plan, ServiceId};
use rstest::rstest;
use testkit::director::*;
use testkit::frames::{self, Seen};

use super::{
    DEST_FTP, EPRT, VIP_FTP, announce, answers, control, director, ports_in_use, says, text,
};

/// With NAT the line names the client correctly. The data conn of the dest comes to the client from
/// the VIP.
#[rstest]
#[case("PORT 10,0,0,48,156,65\r\n")]
#[case("EPRT |1|10.0.0.48|40001|\r\n")]
fn nat_lets_the_dest_connect_to_the_client(#[case] line: &str) {
    let mut director = director(FwdMode::Nat);
    control(&mut director);
    assert_eq!(text(&says(&mut director, 1001, 5001, line)), line);
    let call = frames::tcp("192.168.100.2:20", "10.0.0.48:40001")
        .flags("S")
        .seq(7);
    let seen = director.to_client(&call.frame(FROM_DEST));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.100:20", "10.0.0.48:40001")
    );
    let answer = frames::tcp("10.0.0.48:40001", "10.0.0.100:20")
        .flags("SA")
        .seq(70)
        .ack(8);
    let seen = director.to_dest(&answer.frame(FROM_CLIENT));
    assert_eq!(
        (seen.dst.as_str(), seen.seq, seen.ack),
        ("192.168.100.2:20", 70, 8)
    );
    assert!(seen.checksums_right);
    let mut states = director.states();
    states.sort_unstable();
    assert_eq!(states, ["ESTABLISHED", "ESTABLISHED"]);
    let data = frames::tcp("192.168.100.2:20", "10.0.0.48:40001")
        .flags("PA")
        .seq(8)
        .ack(71);
    let seen = director.to_client(&data.payload(b"file").frame(FROM_DEST));
    assert_eq!((seen.src.as_str(), seen.seq), ("10.0.0.100:20", 8));
}

/// ip_vs_ftp reads the first line of a segment up to the last number, however it ends.
#[rstest]
#[case("port\t10,0,0,48,156,65", "\n")]
#[case("PORT 10,0,0,48,156,65", " \r\nRETR file\r\n")]
#[case("EPRT |1|10.0.0.48|40001|", " \r\nRETR file\r\n")]
fn the_client_s_line_is_read_however_it_ends(#[case] line: &str, #[case] rest: &str) {
    let mut director = director(FwdMode::FullNat);
    control(&mut director);
    let seen = says(&mut director, 1001, 5001, &format!("{line}{rest}"));
    let said = text(&seen);
    assert!(said.contains("192,168,100,200,") || said.contains("|192.168.100.200|"));
    assert!(!said.contains("10,0,0,48") && !said.contains("10.0.0.48"));
    assert!(said.ends_with(rest), "{said}");
}

/// With FullNAT the dest connects to a local port.
#[test]
fn fullnat_gives_the_dest_a_local_port_to_connect_to() {
    let mut director = director(FwdMode::FullNat);
    let control = control(&mut director);
    let delta = control.delta;
    let line = "PORT 10,0,0,48,156,65\r\n";
    let seen = says(&mut director, 1001, 5001, line);
    let again = says(&mut director, 1001, 5001, line);
    assert_eq!(
        text(&seen),
        text(&again),
        "the same port when it is said again"
    );
    let numbers = text(&seen)
        .strip_prefix("PORT 192,168,100,200,")
        .unwrap()
        .trim();
    let (high, low) = numbers.split_once(',').unwrap();
    let lport = high.parse::<u16>().unwrap() << 8 | low.parse::<u16>().unwrap();
    let longer = (seen.payload.len() - line.len()) as u32;
    assert!(longer > 0);
    // The line has become longer by so much.
    let got = 1001 + line.len() as u32;
    let answer = answers(
        &mut director,
        &control,
        5001,
        got + delta + longer,
        "200 PORT\r\n",
    );
    assert_eq!(answer.ack, got);
    let seen = says(&mut director, got, 5011, "RETR file\r\n");
    assert_eq!(seen.seq, got + delta + longer);

    let to = format!("192.168.100.200:{lport}");
    let call = frames::tcp("192.168.100.2:20", &to).flags("S").seq(7);
    let seen = director.to_client(&call.frame(FROM_DEST));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("10.0.0.100:20", "10.0.0.48:40001")
    );
    let reply = frames::tcp("10.0.0.48:40001", "10.0.0.100:20")
        .flags("SA")
        .seq(70)
        .ack(8);
    let seen = director.to_dest(&reply.frame(FROM_CLIENT));
    assert_eq!(
        (seen.src, seen.dst.as_str(), seen.ack),
        (to.clone(), "192.168.100.2:20", 8)
    );
    // A second data conn is not accepted.
    let other = frames::tcp("192.168.100.2:2000", &to).flags("S");
    director.rejects(LAN, &other.frame(FROM_DEST), DropReason::NoConn);
}

/// DPVS's `fast_xmit`: no route leads to the client, so the dest's call goes to where the packets
/// of the client's control conn come from.
#[test]
fn the_dest_s_call_reaches_a_client_without_a_route() {
    let mut director = director(FwdMode::FullNat);
    let net = &mut director.snapshot.net;
    net.routes
        .remove_all(|route| route.prefix.contains("10.0.0.48".parse().unwrap()));
    net.invalidate_nexthops();
    director.publish();
    control(&mut director);
    let to = announce(&mut director, 1001);
    let call = frames::tcp("192.168.100.2:20", &to).flags("S").seq(7);
    let seen = director.to_client(&call.frame(FROM_DEST));
    assert_eq!(
        (seen.to, seen.dst.as_str()),
        (CLIENT_MAC, "10.0.0.48:40001")
    );
}

/// RFC 959, 3.2: port 20 is the default. Servers without privileges use other ports.
#[test]
fn the_dest_may_connect_from_any_port() {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let mut seq = 1001;
    // The lowest port, the highest, and ports of every class
    let ports = [1, 20, 1024, 65_535].into_iter().chain(2000..2016);
    for (made, sport) in (0..).zip(ports) {
        let to = announce(&mut director, seq);
        seq += EPRT.len() as u32;
        assert_eq!(in_use.used(), 2 + made, "the call's is in use");
        let from = format!("192.168.100.2:{sport}");
        let call = frames::tcp(&from, &to).flags("S").seq(7).frame(FROM_DEST);
        let (client, vip) = ("10.0.0.48:40001", format!("10.0.0.100:{sport}"));
        for _ in 0..2 {
            let seen = director.to_client(&call);
            assert_eq!((&seen.src, seen.dst.as_str()), (&vip, client));
        }
        let reply = frames::tcp(client, &vip).flags("SA").seq(70).ack(8);
        let seen = director.to_dest(&reply.frame(FROM_CLIENT));
        assert_eq!((seen.src, seen.dst, seen.ack), (to, from, 8));
        assert!(seen.checksums_right);
        assert_eq!(in_use.used(), 2 + made, "and then the conn's");
        let counted = director.engine.stats().laddr_use(LaddrUseId(0));
        assert_eq!(counted.conns.get(), 2 + made, "in its service");
    }
    director.wait_s(2000);
    let counted = director.engine.stats().laddr_use(LaddrUseId(0));
    assert_eq!((counted.conns.get(), counted.conflicts.get()), (0, 0));
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// A local port belongs to one conn only among the dests of a class.
#[test]
fn a_local_port_that_another_conn_has_takes_no_data_conn() {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let to = announce(&mut director, 1001);
    // Towards port 21 this port is the next to be given out.
    let other = director.open_between("10.0.0.48:50000", VIP_FTP, DEST_FTP);
    assert_eq!(other.laddr, to);
    let call = |port: u16| {
        let from = format!("192.168.100.2:{port}");
        frames::tcp(&from, &to).flags("S").frame(FROM_DEST)
    };
    let same_class = 21 + sapool::CLASSES as u16;
    for _ in 0..2 {
        director.rejects(LAN, &call(same_class), DropReason::NoLocalPort);
        assert_eq!(in_use.used(), 3);
    }
    assert_eq!(director.to_client(&call(2000)).src, "10.0.0.100:2000");
    assert_eq!(in_use.used(), 3);
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// All ports towards the dest's port 20 are in use: that of the data conn that closed first is
/// given to the next call.
#[test]
fn a_data_conn_that_is_over_gives_its_port_to_the_next() {
    let mut director = director(FwdMode::FullNat);
    let (laddr, free) = (LADDR.parse().unwrap(), [16_000, 32_000, 48_000, 64_000]);
    director.command(Command::RemoveLaddr(LaddrId(0)));
    director.command(config::add_laddr_with(0, laddr, &config::owners(1), &free));
    control(&mut director);
    let mut seq = 1001;
    let mut announce = |director: &mut Director, port: u16| {
        let seen = says(
            director,
            seq,
            5001,
            &format!("EPRT |1|10.0.0.48|{port}|\r\n"),
        );
        seq += EPRT.len() as u32;
        format!("{LADDR}:{}", text(&seen).split('|').nth(3).unwrap())
    };
    let call = |to: &str, flags: &str| {
        let call = frames::tcp("192.168.100.2:20", to).flags(flags);
        call.seq(7).frame(FROM_DEST)
    };
    let mut ports = Vec::new();
    for port in 40_001..=40_004 {
        let to = announce(&mut director, port);
        director.to_client(&call(&to, "S"));
        director.to_client(&call(&to, "R"));
        ports.push(to);
    }
    let to = announce(&mut director, 40_005);
    assert_eq!(to, ports[0]);
    assert_eq!(director.to_client(&call(&to, "S")).dst, "10.0.0.48:40005");
}

/// The worker that owns the local port has the data conn. The client's answer may come to any
/// worker.
#[rstest]
#[case::fullnat(FwdMode::FullNat)]
#[case::nat(FwdMode::Nat)]
fn data_conns_from_any_port_find_their_worker(#[case] fwdmode: FwdMode) {
    let mut workers = Setup {
        workers: 3,
        fwdmode,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    }
    .build_all();
    let owner = config::owner_of(3, CLIENT, VIP_FTP);
    control(&mut workers[owner]);
    let line = says(&mut workers[owner], 1001, 5001, EPRT);
    let mut words = text(&line).split('|').skip(2);
    let to = format!("{}:{}", words.next().unwrap(), words.next().unwrap());
    let call = frames::tcp("192.168.100.2:2000", &to).flags("S").seq(7);
    let sent = receive_at(&mut workers, 0, LAN, &call.frame(FROM_DEST));
    assert_eq!(one(sent, WAN).src, "10.0.0.100:2000");
    let answer = frames::tcp("10.0.0.48:40001", "10.0.0.100:2000").flags("SA");
    let answer = answer.seq(70).ack(8).frame(FROM_CLIENT);
    let seen = one(receive_at(&mut workers, 2, WAN, &answer), LAN);
    assert_eq!((seen.src, seen.dst.as_str()), (to, "192.168.100.2:2000"));
    // A SYN belongs to no conn yet, so it is not handed around.
    let stray = frames::tcp("10.0.0.48:40002", "10.0.0.100:2000").flags("S");
    assert_eq!(workers[0].receive(WAN, &stray.frame(FROM_CLIENT)), []);
    assert_eq!(
        (
            workers[0].wire.redirected.len(),
            workers[0].wire.to_kernel.len()
        ),
        (0, 1)
    );
}

/// RFC 959, 3.2. A dest may use any port, so also a port on which the VIP has a service. A segment
/// that is not a SYN belongs to a conn or to none (RFC 9293, 3.10.7.4), and any worker may have
/// that conn.
#[rstest]
#[case::fullnat(FwdMode::FullNat)]
#[case::nat(FwdMode::Nat)]
fn data_conns_from_a_port_with_a_service_find_their_worker(#[case] fwdmode: FwdMode) {
    let mut workers = Setup {
        workers: 3,
        fwdmode,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    }
    .build_all();
    workers
        .iter_mut()
        .for_each(|worker| serve_too(worker, 8080));
    let owner = config::owner_of(3, CLIENT, VIP_FTP);
    control(&mut workers[owner]);
    let line = says(&mut workers[owner], 1001, 5001, EPRT);
    let mut words = text(&line).split('|').skip(2);
    let to = format!("{}:{}", words.next().unwrap(), words.next().unwrap());
    let (dest, vip) = ("192.168.100.2:8080", "10.0.0.100:8080");
    let call = frames::tcp(dest, &to).flags("S").seq(7);
    let sent = receive_at(&mut workers, 0, LAN, &call.frame(FROM_DEST));
    assert_eq!(one(sent, WAN).src, vip);
    for (flags, seq) in [("SA", 70), ("A", 71), ("PA", 71), ("FA", 71)] {
        let answer = frames::tcp("10.0.0.48:40001", vip).flags(flags).seq(seq);
        let answer = answer.ack(8).frame(FROM_CLIENT);
        let seen = one(receive_at(&mut workers, 2, WAN, &answer), LAN);
        assert_eq!((&seen.src, seen.dst.as_str(), seen.ack), (&to, dest, 8));
    }
    // A segment that belongs to no conn is answered by the last worker.
    let drops = |workers: &[Director]| {
        let reason = DropReason::TcpNotSyn as usize;
        [0, 1, 2].map(|at: usize| workers[at].drops()[reason])
    };
    let stray = frames::tcp("10.0.0.48:40002", vip).flags("A").ack(8);
    let sent = receive_at(&mut workers, 0, WAN, &stray.frame(FROM_CLIENT));
    assert_eq!(one(sent, WAN).flags, "R");
    assert_eq!(drops(&workers), [0, 0, 1]);
    // SYNs of clients of the service make conns.
    let syn = frames::tcp("10.0.0.48:40003", vip).flags("S").seq(1);
    let sent = receive_at(&mut workers, 0, WAN, &syn.frame(FROM_CLIENT));
    assert_eq!(one(sent, LAN).dst, dest);
}

/// Adds a service with the same VIP and dest on another port.
fn serve_too(director: &mut Director, port: u16) {
    let mut service = (**director.snapshot.services.iter().next().unwrap()).clone();
    service.id = ServiceId(1);
    service.key.port = port;
    for dest in &mut service.dests {
        (dest.id, dest.port) = (DestId(1), port);
    }
    service.plan = Plan::new(service.scheduler, &service.dests);
    director.snapshot.services.insert_all([Arc::new(service)]);
    director.publish();
}

/// The local port of a data conn that never comes is given back.
#[test]
fn a_data_conn_that_does_not_come_gives_its_local_port_back() {
    let mut director = director(FwdMode::FullNat);
    control(&mut director);
    let mut seq = 1001;
    for port in 0..100u16 {
        let line = format!("PORT 10,0,0,48,{},{}\r\n", 100, port);
        says(&mut director, seq, 5001, &line);
        seq += line.len() as u32;
        if port % 10 == 9 {
            let fin = frames::tcp(CLIENT, VIP_FTP).flags("A").seq(seq).ack(5001);
            director.to_dest(&fin.frame(FROM_CLIENT));
        }
    }
    director.wait_s(200);
    assert!(director.states().is_empty());
    // The local address can be removed, since none of its ports is in use.
    director.wire.events.clear();
    director.command(Command::RemoveLaddr(LaddrId(0)));
    let is_gone = director
        .wire
        .events
        .iter()
        .any(|event| matches!(event, ipvs_core::Event::LaddrGone(..)));
    assert!(is_gone);
}

/// An end accepts a reset only with exactly the number that it expects (RFC 5961, 3.2). Lines that
/// grew have shifted what the dest expects.
#[test]
fn the_reset_of_an_expired_control_conn_has_the_numbers_that_each_end_expects() {
    let mut director = director(FwdMode::FullNat);
    let control = control(&mut director);
    let said = says(&mut director, 1001, 5001, EPRT);
    let grown = said.payload.len() as u32;
    assert_ne!(grown, EPRT.len() as u32);
    let expected_by_dest = said.seq + grown;
    let line = "227 Entering Passive Mode (192,168,100,2,200,1).\r\n";
    let heard = answers(&mut director, &control, 5001, expected_by_dest, line);
    assert_ne!(heard.payload.len(), line.len());
    let expected_by_client = 5001 + heard.payload.len() as u32;
    let ack = frames::tcp(CLIENT, VIP_FTP)
        .flags("A")
        .ack(expected_by_client);
    let ack = ack.seq(1001 + EPRT.len() as u32);
    director.to_dest(&ack.frame(FROM_CLIENT));
    let resets = director.wait_s(1000);
    let resets: Vec<_> = resets.iter().map(|(_, frame)| Seen::parse(frame)).collect();
    let [to_client, to_dest] = &resets[..] else {
        panic!("{resets:?}")
    };
    assert_eq!(
        (to_client.seq, to_client.ack),
        (expected_by_client, 1001 + EPRT.len() as u32)
    );
    let said_by_dest = 5001 + line.len() as u32;
    assert_eq!((to_dest.seq, to_dest.ack), (expected_by_dest, said_by_dest));
}

/// The last port of a removed local address may be one that waited for a call.
#[test]
fn a_removed_local_address_goes_when_the_call_that_did_not_come_is_forgotten() {
    let mut director = director(FwdMode::FullNat);
    control(&mut director);
    announce(&mut director, 1001);
    director.command(Command::RemoveLaddr(LaddrId(0)));
    let reset = frames::tcp(CLIENT, VIP_FTP).flags("R");
    let reset = reset.seq(1001 + EPRT.len() as u32);
    director.to_dest(&reset.frame(FROM_CLIENT));
    director.wait_s(1000);
    let mut events = director.wire.events.iter();
    assert!(events.any(|event| matches!(event, ipvs_core::Event::LaddrGone(..))));
    assert!(director.states().is_empty());
}
