//! The FTP helper: RFC 959 and RFC 2428 through NAT and FullNAT, as the LVS-NAT how-to lists it.

mod families;

use std::sync::Arc;

use inet::{IfIndex, Prefix, Route, RouteScope};
use ipvs_core::{Command, DestId, DropReason, FwdMode, LaddrId, Origin, Plan, Protocol, ServiceId};
use packet::PortId;
use rstest::rstest;
use sapool::{PoolShare, PoolUsage, PortPool};
use testkit::director::*;
use testkit::frames::{self, Seen};

const VIP_FTP: &str = "10.0.0.100:21";
const DEST_FTP: &str = "192.168.100.2:21";

fn director(fwdmode: FwdMode) -> Director {
    let setup = Setup {
        fwdmode,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    };
    setup.build()
}

/// A control conn: whom the dest sees, and what it adds to the client's numbers.
struct Control {
    seen_as: String,
    delta: u32,
}

fn control(director: &mut Director) -> Control {
    let opened = director.open_between(CLIENT, VIP_FTP, DEST_FTP);
    Control {
        seen_as: opened.laddr,
        delta: opened.isn_at_dest - 1000,
    }
}

/// The client says a line.
fn says(director: &mut Director, seq: u32, ack: u32, line: &str) -> Seen {
    let segment = frames::tcp(CLIENT, VIP_FTP).flags("PA").seq(seq).ack(ack);
    let seen = director.to_dest(&segment.payload(line.as_bytes()).frame(FROM_CLIENT));
    assert!(seen.checksums_right);
    seen
}

/// The dest answers.
fn answers(director: &mut Director, control: &Control, seq: u32, ack: u32, line: &str) -> Seen {
    let segment = frames::tcp(DEST_FTP, &control.seen_as)
        .flags("PA")
        .seq(seq)
        .ack(ack);
    let seen = director.to_client(&segment.payload(line.as_bytes()).frame(FROM_DEST));
    assert!(seen.checksums_right);
    seen
}

fn text(seen: &Seen) -> &str {
    std::str::from_utf8(&seen.payload).unwrap()
}

#[rstest]
fn pasv_names_the_vip_and_numbers_follow(
    #[values(FwdMode::Nat, FwdMode::FullNat)] fwdmode: FwdMode,
) {
    let mut director = director(fwdmode);
    let control = control(&mut director);
    let delta = control.delta;
    says(&mut director, 1001, 5001, "PASV\r\n");
    let line = "227 Entering Passive Mode (192,168,100,2,200,1).\r\n";
    let seen = answers(&mut director, &control, 5001, 1007 + delta, line);
    let translated = "227 Entering Passive Mode (10,0,0,100,200,1).\r\n";
    assert_eq!((seen.seq, text(&seen)), (5001, translated));
    let again = answers(&mut director, &control, 5001, 1007 + delta, line);
    assert_eq!((again.seq, text(&again)), (5001, translated));
    // Three bytes fewer: the next line, and what is acknowledged.
    let shorter = (line.len() - translated.len()) as u32;
    assert_eq!(shorter, 3);
    let next = 5001 + line.len() as u32;
    let ack = frames::tcp(CLIENT, VIP_FTP)
        .flags("A")
        .seq(1007)
        .ack(next - shorter);
    assert_eq!(director.to_dest(&ack.frame(FROM_CLIENT)).ack, next);
    let seen = answers(
        &mut director,
        &control,
        next,
        1007 + delta,
        "150 here it comes\r\n",
    );
    assert_eq!(seen.seq, next - shorter);
    // Twice adds up.
    says(&mut director, 1007, next - shorter, "PASV\r\n");
    let next = next + 19;
    let seen = answers(&mut director, &control, next, 1013 + delta, line);
    assert_eq!((seen.seq, text(&seen)), (next - shorter, translated));
    let after = next + line.len() as u32;
    let seen = answers(&mut director, &control, after, 1013 + delta, "226 done\r\n");
    assert_eq!(seen.seq, after - 2 * shorter);

    // The data conn: a port without a service, to the same dest and port.
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:51201")
        .flags("S")
        .seq(1);
    let seen = director.to_dest(&data.frame(FROM_CLIENT));
    assert_eq!(seen.dst, "192.168.100.2:51201");
    let answer = frames::tcp("192.168.100.2:51201", &seen.src)
        .flags("SA")
        .seq(9)
        .ack(seen.seq + 1);
    let back = director.to_client(&answer.frame(FROM_DEST));
    assert_eq!(
        (back.src.as_str(), back.dst.as_str()),
        ("10.0.0.100:51201", "10.0.0.48:40001")
    );
    // Another client's, or another port, is not.
    for (from, to) in [
        ("10.0.0.49:40001", "10.0.0.100:51201"),
        ("10.0.0.48:40001", "10.0.0.100:51202"),
    ] {
        let stray = frames::tcp(from, to).flags("S").frame(FROM_CLIENT);
        assert_eq!(director.receive(WAN, &stray), []);
    }
    assert_eq!(director.wire.to_kernel.len(), 2);
}

#[test]
fn epsv_names_no_address_and_is_let_through_as_it_is() {
    let mut director = director(FwdMode::Nat);
    let control = control(&mut director);
    says(&mut director, 1001, 5001, "EPSV\r\n");
    let line = "229 Entering Extended Passive Mode (|||6446|)\r\n";
    assert_eq!(
        text(&answers(&mut director, &control, 5001, 1007, line)),
        line
    );
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:6446").flags("S");
    assert_eq!(
        director.to_dest(&data.frame(FROM_CLIENT)).dst,
        "192.168.100.2:6446"
    );
    director.wait_s(61);
    let late = frames::tcp("10.0.0.48:40002", "10.0.0.100:6446").flags("S");
    assert_eq!(
        director.receive(WAN, &late.frame(FROM_CLIENT)),
        [],
        "within a minute"
    );
}

/// NAT: the dest calls the client, which the packets of the line tell it rightly already; from the VIP.
#[rstest]
#[case("PORT 10,0,0,48,156,65\r\n")]
#[case("EPRT |1|10.0.0.48|40001|\r\n")]
fn nat_lets_the_dest_call_the_client(#[case] line: &str) {
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

/// FullNAT: the dest calls a local port.
#[test]
fn fullnat_gives_the_dest_a_port_to_call() {
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
    // The dest has got more than the client has said, by so much.
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
    // Nobody calls twice.
    let other = frames::tcp("192.168.100.2:2000", &to).flags("S");
    director.refuses(LAN, &other.frame(FROM_DEST), DropReason::NoConn);
}

const EPRT: &str = "EPRT |1|10.0.0.48|40001|\r\n";

/// The client names where it listens; the local end that the dest hears of instead.
fn announce(director: &mut Director, seq: u32) -> String {
    let seen = says(director, seq, 5001, EPRT);
    let lport = text(&seen).split('|').nth(3).unwrap();
    format!("{LADDR}:{lport}")
}

/// Counts the ports of the local address that are in use, as long as the director lives.
fn ports_in_use(director: &mut Director) -> Arc<PoolUsage> {
    ports_of_in_use(director, LADDR)
}

fn ports_of_in_use(director: &mut Director, laddr: &str) -> Arc<PoolUsage> {
    let pool = Box::new(PortPool::new(PoolShare::new(0, 1).unwrap()));
    let usage = pool.usage();
    director.command(Command::AddLaddr {
        id: LaddrId(0),
        addr: laddr.parse().unwrap(),
        pool,
    });
    usage
}

/// RFC 959, 3.2: port 20 is the default. Servers without privileges call from others.
#[test]
fn the_dest_may_call_from_any_port() {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let mut seq = 1001;
    // Both ends, and ports of every class
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
    }
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// One local end is one conn's towards dests of a class.
#[test]
fn a_local_port_that_another_has_got_serves_no_call() {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let to = announce(&mut director, 1001);
    // Towards port 21 this port is next.
    let other = director.open_between("10.0.0.48:50000", VIP_FTP, DEST_FTP);
    assert_eq!(other.laddr, to);
    let call = |port: u16| {
        let from = format!("192.168.100.2:{port}");
        frames::tcp(&from, &to).flags("S").frame(FROM_DEST)
    };
    let same_class = 21 + sapool::CLASSES as u16;
    for _ in 0..2 {
        director.refuses(LAN, &call(same_class), DropReason::NoLocalPort);
        assert_eq!(in_use.used(), 3);
    }
    assert_eq!(director.to_client(&call(2000)).src, "10.0.0.100:2000");
    assert_eq!(in_use.used(), 3);
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// A local port is its owner's, and so is a call to it; the client's answer comes by any worker.
#[rstest]
#[case::fullnat(FwdMode::FullNat)]
#[case::nat(FwdMode::Nat)]
fn calls_from_any_port_find_their_worker(#[case] fwdmode: FwdMode) {
    let mut workers = Setup {
        workers: 3,
        fwdmode,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    }
    .build_all();
    control(&mut workers[1]);
    let line = says(&mut workers[1], 1001, 5001, EPRT);
    let mut words = text(&line).split('|').skip(2);
    let to = format!("{}:{}", words.next().unwrap(), words.next().unwrap());
    let call = frames::tcp("192.168.100.2:2000", &to).flags("S").seq(7);
    let sent = go_around(&mut workers, 0, LAN, &call.frame(FROM_DEST));
    assert_eq!(one(sent, WAN).src, "10.0.0.100:2000");
    let answer = frames::tcp("10.0.0.48:40001", "10.0.0.100:2000").flags("SA");
    let answer = answer.seq(70).ack(8).frame(FROM_CLIENT);
    let seen = one(go_around(&mut workers, 2, WAN, &answer), LAN);
    assert_eq!((seen.src, seen.dst.as_str()), (to, "192.168.100.2:2000"));
    // What opens a conn is nobody's: it does not go around.
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

/// RFC 959, 3.2: a dest calls from any port, so also from one that the VIP has a service on. RFC 9293, 3.10.7.4: what opens
/// no conn belongs to one or to nobody, and each worker may have it.
#[rstest]
#[case::fullnat(FwdMode::FullNat)]
#[case::nat(FwdMode::Nat)]
fn calls_from_a_port_with_a_service_find_their_worker(#[case] fwdmode: FwdMode) {
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
    control(&mut workers[1]);
    let line = says(&mut workers[1], 1001, 5001, EPRT);
    let mut words = text(&line).split('|').skip(2);
    let to = format!("{}:{}", words.next().unwrap(), words.next().unwrap());
    let (server, vip) = ("192.168.100.2:8080", "10.0.0.100:8080");
    let call = frames::tcp(server, &to).flags("S").seq(7);
    let sent = go_around(&mut workers, 0, LAN, &call.frame(FROM_DEST));
    assert_eq!(one(sent, WAN).src, vip);
    for (flags, seq) in [("SA", 70), ("A", 71), ("PA", 71), ("FA", 71)] {
        let answer = frames::tcp("10.0.0.48:40001", vip).flags(flags).seq(seq);
        let answer = answer.ack(8).frame(FROM_CLIENT);
        let seen = one(go_around(&mut workers, 2, WAN, &answer), LAN);
        assert_eq!((&seen.src, seen.dst.as_str(), seen.ack), (&to, server, 8));
    }
    // What is nobody's ends with the last that was asked.
    let drops = |workers: &[Director]| {
        let reason = DropReason::TcpNotSyn as usize;
        [0, 1, 2].map(|at: usize| workers[at].drops()[reason])
    };
    let stray = frames::tcp("10.0.0.48:40002", vip).flags("A").ack(8);
    assert_eq!(
        go_around(&mut workers, 0, WAN, &stray.frame(FROM_CLIENT)),
        []
    );
    assert_eq!(drops(&workers), [0, 0, 1]);
    // The service's own clients need no other worker.
    let syn = frames::tcp("10.0.0.48:40003", vip).flags("S").seq(1);
    assert_eq!(workers[0].to_dest(&syn.frame(FROM_CLIENT)).dst, server);
}

/// A service of the same VIP and dest on another port.
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

/// A packet comes to a worker, and then goes from one to the next until one sends it.
fn go_around(
    workers: &mut [Director],
    first: usize,
    port: PortId,
    frame: &[u8],
) -> Vec<(PortId, Vec<u8>)> {
    let (mut at, mut sent) = (first, workers[first].receive(port, frame));
    while let Some((next, packet)) = workers[at].wire.redirected.pop() {
        at = usize::from(next);
        sent = workers[at].receive_from(Origin::Worker, packet);
    }
    sent
}

/// Ports of calls that never come are not lost.
#[test]
fn a_call_that_does_not_come_gives_its_port_back() {
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
    // The local address can leave: none of its ports is out.
    director.wire.events.clear();
    director.command(Command::RemoveLaddr(LaddrId(0)));
    let is_gone = director
        .wire
        .events
        .iter()
        .any(|event| matches!(event, ipvs_core::Event::LaddrGone(..)));
    assert!(is_gone);
}

const LISTENING: &str = "10.0.0.48:40001";
const VIP_DATA: &str = "10.0.0.100:20";
const DEST_DATA: &str = "192.168.100.2:20";

/// A segment of the dest's, which called this end.
fn dest_sends(director: &mut Director, to: &str, flags: &str, seq: u32) -> Seen {
    let segment = frames::tcp(DEST_DATA, to).flags(flags).seq(seq).ack(71);
    director.to_client(&segment.frame(FROM_DEST))
}

/// One of the client's, which was called.
fn client_sends(director: &mut Director, flags: &str, seq: u32) -> Seen {
    let segment = frames::tcp(LISTENING, VIP_DATA).flags(flags).seq(seq);
    director.to_dest(&segment.ack(8).frame(FROM_CLIENT))
}

/// RFC 9293, 3.3.1: a conn is known by its two ends alone, so there are no two between the same ones. The one that the client
/// has goes on.
#[test]
fn no_dest_calls_where_an_earlier_call_goes_on() {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let first = announce(&mut director, 1001);
    dest_sends(&mut director, &first, "S", 7);
    client_sends(&mut director, "SA", 70);
    assert_eq!(in_use.used(), 2);
    let second = announce(&mut director, 1001 + EPRT.len() as u32);
    assert_ne!(first, second);
    assert_eq!(in_use.used(), 3);
    let call = frames::tcp(DEST_DATA, &second).flags("S").seq(9);
    let call = call.frame(FROM_DEST);
    for _ in 0..2 {
        director.refuses(LAN, &call, DropReason::FtpCallInUse);
        assert_eq!((director.conns().len(), in_use.used()), (2, 3));
    }
    let file = client_sends(&mut director, "PA", 71);
    assert_eq!((&file.src, file.dst.as_str()), (&first, DEST_DATA));
    // From another port it is another conn.
    let other = frames::tcp("192.168.100.2:2000", &second).flags("S");
    assert_eq!(director.to_client(&other.frame(FROM_DEST)).dst, LISTENING);
    // The port of a call that was refused comes back when nobody expects it any more.
    let third = announce(&mut director, 1001 + 2 * EPRT.len() as u32);
    let call = frames::tcp(DEST_DATA, &third).flags("S").seq(9);
    director.refuses(LAN, &call.frame(FROM_DEST), DropReason::FtpCallInUse);
    assert_eq!(in_use.used(), 4);
    director.wait_s(62);
    assert_eq!((director.conns().len(), in_use.used()), (2, 2));
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// RFC 959, 3.2: the client names a port anew when it listens there anew. RFC 9293, 3.6.1: what is closed gives way to what opens.
#[rstest]
#[case::never_answered(&[])]
#[case::closed_by_the_dest(&[("client", "SA", 70), ("dest", "FA", 8)])]
#[case::closed_by_the_client(&[("client", "SA", 70), ("client", "FA", 71)])]
#[case::closed_by_both(&[("client", "SA", 70), ("dest", "FA", 8), ("client", "FA", 71)])]
#[case::reset(&[("client", "SA", 70), ("dest", "RA", 8)])]
fn an_earlier_call_that_is_over_gives_way(#[case] segments: &[(&str, &str, u32)]) {
    let mut director = director(FwdMode::FullNat);
    let in_use = ports_in_use(&mut director);
    control(&mut director);
    let first = announce(&mut director, 1001);
    dest_sends(&mut director, &first, "S", 7);
    for &(from, flags, seq) in segments {
        match from {
            "dest" => dest_sends(&mut director, &first, flags, seq),
            _ => client_sends(&mut director, flags, seq),
        };
    }
    let second = announce(&mut director, 1001 + EPRT.len() as u32);
    assert_eq!(in_use.used(), 3);
    let seen = dest_sends(&mut director, &second, "S", 900);
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        (VIP_DATA, LISTENING)
    );
    assert_eq!((director.conns().len(), in_use.used()), (2, 2));
    let seen = client_sends(&mut director, "SA", 70);
    assert_eq!((&seen.src, seen.dst.as_str()), (&second, DEST_DATA));
    assert_eq!(director.states(), ["ESTABLISHED"; 2]);
    // What is left of the first call is nobody's.
    let late = frames::tcp(DEST_DATA, &first).flags("A").seq(9);
    director.refuses(LAN, &late.frame(FROM_DEST), DropReason::NoConn);
    director.wait_s(2000);
    assert_eq!((director.conns().len(), in_use.used()), (0, 0));
}

/// NAT's dest calls the client itself, between the same ends as before. RFC 9293, 3.6.1 lets it, once that conn is over.
#[rstest]
#[case::expected(true, "ESTABLISHED")]
// What none has asked for changes nothing.
#[case::not_expected(false, "TIME_WAIT")]
fn nat_s_dest_calls_again_from_the_same_port(#[case] is_expected: bool, #[case] state: &str) {
    let mut director = director(FwdMode::Nat);
    control(&mut director);
    says(&mut director, 1001, 5001, EPRT);
    dest_sends(&mut director, LISTENING, "S", 7);
    client_sends(&mut director, "SA", 70);
    dest_sends(&mut director, LISTENING, "FA", 8);
    client_sends(&mut director, "FA", 71);
    if is_expected {
        says(&mut director, 1001 + EPRT.len() as u32, 5001, EPRT);
    }
    dest_sends(&mut director, LISTENING, "S", 900);
    if is_expected {
        client_sends(&mut director, "SA", 700);
    }
    let mut states = director.states();
    states.sort_unstable();
    assert_eq!(states, ["ESTABLISHED", state]);
}

/// RFC 2577, 3: nobody is called on behalf of another.
#[test]
fn a_client_cannot_make_the_dest_call_another() {
    let mut director = director(FwdMode::Nat);
    control(&mut director);
    says(&mut director, 1001, 5001, "PORT 10,0,0,49,156,65\r\n");
    let call = frames::tcp("192.168.100.2:20", "10.0.0.49:40001").flags("S");
    assert_eq!(director.receive(LAN, &call.frame(FROM_DEST)), []);
}

#[test]
fn ipv6_has_the_extended_commands() {
    let (vip, dest) = ("[2001:db8:1::100]:21", "[2001:db8:100::2]:21");
    let mut director = Setup {
        vip,
        dests: vec![dest],
        ..setup6(Protocol::Tcp, FwdMode::FullNat)
    }
    .build();
    director.open_between(CLIENT6, vip, dest);
    let line = b"EPRT |2|2001:db8:1::48|40001|\r\n";
    let segment = frames::tcp(CLIENT6, vip).flags("PA").seq(1001).ack(5001);
    let seen = director.to_dest(&segment.payload(line).frame(FROM_CLIENT));
    assert!(seen.checksums_right && text(&seen).starts_with("EPRT |2|2001:db8:100::200|"));
    let lport = text(&seen).split('|').nth(3).unwrap();
    let to = format!("[2001:db8:100::200]:{lport}");
    let call = frames::tcp("[2001:db8:100::2]:20", &to).flags("S");
    let seen = director.to_client(&call.frame(FROM_DEST));
    assert_eq!(
        (seen.src.as_str(), seen.dst.as_str()),
        ("[2001:db8:1::100]:20", "[2001:db8:1::48]:40001")
    );
}

/// Data conns may come by any worker.
#[test]
fn other_workers_know_what_is_expected() {
    let mut workers = Setup {
        workers: 2,
        fwdmode: FwdMode::Nat,
        vip: VIP_FTP,
        dests: vec![DEST_FTP],
        ..Setup::default()
    }
    .build_all();
    let control = control(&mut workers[0]);
    answers(
        &mut workers[0],
        &control,
        5001,
        1001,
        "229 Entering Extended Passive Mode (|||6446|)\r\n",
    );
    let data = frames::tcp("10.0.0.48:40001", "10.0.0.100:6446").flags("S");
    assert_eq!(
        workers[1].to_dest(&data.frame(FROM_CLIENT)).dst,
        "192.168.100.2:6446"
    );
    // The dest's call comes by one, the client's answer by the other: it goes around.
    says(&mut workers[0], 1001, 5001, "PORT 10,0,0,48,156,65\r\n");
    let call = frames::tcp("192.168.100.2:20", "10.0.0.48:40001").flags("S");
    workers[1].to_client(&call.frame(FROM_DEST));
    let answer = frames::tcp("10.0.0.48:40001", "10.0.0.100:20")
        .flags("SA")
        .seq(70)
        .ack(1);
    assert_eq!(workers[0].receive(WAN, &answer.frame(FROM_CLIENT)), []);
    let (worker, packet) = workers[0].wire.redirected.pop().unwrap();
    assert_eq!(worker, 1);
    let sent = workers[1].receive_from(Origin::Worker, packet);
    assert_eq!(Seen::parse(&only(sent).1).dst, "192.168.100.2:20");
}
