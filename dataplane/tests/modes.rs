//! Every mode, for IPv4 and IPv6, with real kernels at both ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod lab;

use lab::{Addrs, Lab, PATIENCE, V4, V6, bracketed};
use rstest::rstest;
use testkit::netns::until;

/// The tutorial's lines for a service on one arm, with dests of this mode.
fn set_up_one_arm(lab: &Lab, addrs: &Addrs, mode: &str) {
    lab.dpip(&format!("addr add {}/{} dev dpdk0", addrs.vip, addrs.host));
    give_director_a_place(lab, addrs);
    lab.dpip(&format!("route add {} dev dpdk0", addrs.clients));
    add_service(lab, addrs, mode);
}

fn set_up_two_arm(lab: &Lab, addrs: &Addrs, mode: &str) {
    lab.dpip(&format!("addr add {}/{} dev dpdk1", addrs.vip, addrs.host));
    give_director_a_place(lab, addrs);
    lab.dpip(&format!("route add {} dev dpdk1", addrs.clients));
    add_service(lab, addrs, mode);
}

/// An address among the real servers.
fn give_director_a_place(lab: &Lab, addrs: &Addrs) {
    let (_, len) = addrs.lan.split_once('/').unwrap();
    lab.dpip(&format!("addr add {}/{len} dev dpdk0", addrs.director));
}

fn add_service(lab: &Lab, addrs: &Addrs, mode: &str) {
    let service = addrs.service();
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    for server in addrs.servers {
        let server = bracketed(server);
        lab.ipvsadm(&format!("-a -t {service} -r {server} {mode}"));
    }
}

fn add_laddr(lab: &Lab, addrs: &Addrs, laddr: &str) {
    let service = addrs.service();
    lab.ipvsadm(&format!("--add-laddr -z {laddr} -t {service} -F dpdk0"));
}

/// The director is the real servers' gateway.
fn route_servers_through_the_director(lab: &Lab, addrs: &Addrs) {
    for server in &lab.servers {
        server.ip(&format!("route add default via {}", addrs.director));
    }
}

/// The real servers have the VIP too, and keep quiet about it (tutorial, "DR").
fn give_servers_the_vip(lab: &Lab, addrs: &Addrs) {
    for server in &lab.servers {
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"]);
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.arp_announce=2"]);
        // On lo nobody answers neighbour discovery for it.
        server.ip(&format!("addr add {}/{} dev lo", addrs.vip, addrs.host));
    }
}

/// On one arm they reach the clients by the device that they have.
fn route_servers_to_clients(lab: &Lab, addrs: &Addrs) {
    for server in &lab.servers {
        server.ip(&format!("route add {} dev eth0", addrs.clients));
    }
}

fn list_shows(lab: &Lab, addrs: &Addrs, mode: &str) {
    let list = lab.ipvsadm("-ln");
    let server = format!("{}:80", bracketed(addrs.servers[0]));
    let line = format!("  -> {server:<28} {mode} 1      ");
    assert!(list.contains(&line), "{list}");
}

/// Two arms: the real servers see a local address, and answer it.
#[rstest]
#[case::v4(V4)]
#[case::v6(V6)]
fn fullnat_needs_nothing_of_the_real_servers(
    #[case] addrs: Addrs,
    #[values(1, 2, 4)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_two_arm(&lab, &addrs, "-b");
    add_laddr(&lab, &addrs, addrs.laddr);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.laddr);
    for _ in 0..20 {
        assert!(lab.fetch_by(&addrs).is_some(), "no fetch may fail");
    }
    list_shows(&lab, &addrs, "FullNat");
    let saved = lab.ipvsadm("-S -n");
    let laddr = format!(
        "--add-laddr -z {} -t {} -F dpdk0",
        addrs.laddr,
        addrs.service()
    );
    assert!(saved.contains(&laddr), "{saved}");
    let file = lab.folder.write("rules", &saved);
    lab.ipvsadm("-C");
    lab.ipvsadm(&format!("-R {}", file.display()));
    assert_eq!(lab.ipvsadm("-S -n"), saved);
    lab.fetch_from_both_as(&addrs, addrs.laddr);
}

/// Prints the client that the first TOA option (kind 254) tells, as a toa module would hand it out.
const READ_TOA: &str = r"
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
while True:
    packet, at = s.recvfrom(65535)
    if at[2] == socket.PACKET_OUTGOING: continue
    version = packet[0] >> 4
    if version == 4 and packet[9] == 6: tcp = packet[(packet[0] & 15) * 4:]
    elif version == 6 and packet[6] == 6: tcp = packet[40:]
    else: continue
    options = tcp[20:(tcp[12] >> 4) * 4]
    while options:
        if options[0] in (0, 1): options = options[1:]; continue
        option, options = options[:options[1]], options[options[1]:]
        if option[0] != 254: continue
        family = {8: socket.AF_INET, 20: socket.AF_INET6}[len(option)]
        print(socket.inet_ntop(family, option[4:]), struct.unpack('>H', option[2:4])[0])
        raise SystemExit
";

/// The real server learns the client from the packets themselves.
#[rstest]
#[case::v4(V4, V4)]
#[case::v6(V6, V6)]
#[case::nat64(V6, V4)]
fn toa_tells_the_real_server_the_client(#[case] outside: Addrs, #[case] inside: Addrs) {
    let mut lab = Lab::new(1);
    let service = outside.service();
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    give_director_a_place(&lab, &inside);
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    let server = bracketed(inside.servers[0]);
    lab.ipvsadm(&format!("-a -t {service} -r {server}:80 -b"));
    add_laddr(&lab, &outside, inside.laddr);
    lab.start_web();
    let reader = lab.servers[0]
        .command("python3")
        .args(["-c", READ_TOA])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = testkit::netns::Running { child: reader };
    until(PATIENCE, "the server to read the option", || {
        lab.client.output(&[
            "curl",
            "-sg",
            "--local-port",
            "40000-40100",
            "--max-time",
            "1",
            &format!("http://{service}/"),
        ]);
        reader.child.try_wait().unwrap()
    });
    let mut told = String::new();
    let mut output = reader.child.stdout.take().unwrap();
    std::io::Read::read_to_string(&mut output, &mut told).unwrap();
    let (addr, port) = told.trim().split_once(' ').unwrap();
    assert_eq!(addr, outside.client);
    assert!((40_000..=40_100).contains(&port.parse::<u16>().unwrap()));
}

/// Answers each datagram with who asks.
const ECHO: &str = r"
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.bind((sys.argv[1], 5353))
while True:
    data, client = s.recvfrom(65535)
    s.sendto(client[0].removeprefix('::ffff:').encode() + b' ' + data[::-1], client)
";
/// Asks until somebody answers; prints the answer.
const ASK: &str = r"
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(1)
s.sendto(b'x' * int(sys.argv[2]) + b'y', (sys.argv[1], 5353))
answer = s.recv(65535)
print(answer[:60].decode(), len(answer))
";

/// Datagrams by every mode, small ones and, with IPv6, fragmented ones.
#[rstest]
#[case::fullnat("-b", V4, V4)]
#[case::fullnat_v6("-b", V6, V6)]
#[case::nat64("-b", V6, V4)]
#[case::nat46("-b", V4, V6)]
#[case::nat("-m", V4, V4)]
#[case::nat_v6("-m", V6, V6)]
#[case::dr("-g", V4, V4)]
#[case::dr_v6("-g", V6, V6)]
fn datagrams_go_by_every_mode(#[case] mode: &str, #[case] outside: Addrs, #[case] inside: Addrs) {
    let mut lab = Lab::new(1);
    let service = format!("{}:5353", bracketed(outside.vip));
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    give_director_a_place(&lab, &inside);
    lab.ipvsadm(&format!("-A -u {service} -s rr"));
    let server = bracketed(inside.servers[0]);
    lab.ipvsadm(&format!("-a -u {service} -r {server}:5353 {mode}"));
    let (seen, listens_on) = match mode {
        "-b" => {
            let laddr = inside.laddr;
            lab.ipvsadm(&format!("--add-laddr -z {laddr} -u {service} -F dpdk0"));
            (laddr, "::")
        }
        "-m" => {
            route_servers_through_the_director(&lab, &inside);
            (outside.client, "::")
        }
        _ => {
            lab.connect_servers_to_clients();
            give_servers_the_vip(&lab, &outside);
            (outside.client, outside.vip)
        }
    };
    lab.start_on_servers(&["python3", "-c", ECHO, listens_on]);
    // The kernel puts IPv4 fragments together again before it hands them to a port made of a packet socket: `fragments.rs`
    // has them.
    let is_all_v6 = outside.host == 128 && inside.host == 128;
    for len in [10, if is_all_v6 { 4000 } else { 1000 }] {
        let (vip, len) = (outside.vip, len.to_string());
        let answer = until(PATIENCE, "an answer", || {
            let output = lab.client.output(&["python3", "-c", ASK, vip, &len]);
            output.status.success().then_some(output.stdout)
        });
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("{seen} yx")), "{answer}");
        let whole = seen.len() + 2 + len.parse::<usize>().unwrap();
        assert!(answer.ends_with(&format!(" {whole}\n")), "{answer}");
    }
}

/// A VIP of one family, real servers of the other.
fn set_up_both_families(lab: &Lab, outside: &Addrs, inside: &Addrs, mode: &str) {
    let service = outside.service();
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    give_director_a_place(lab, inside);
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    for server in inside.servers {
        let line = format!("-a -t {service} -r {}:80", bracketed(server));
        let (status, sentence) = lab.refused("ipvsadm-rs", &format!("{line} -g"));
        assert_eq!(status, 1);
        assert!(sentence.contains("-b"), "{sentence}");
        lab.ipvsadm(&format!("{line} {mode}"));
    }
}

/// NAT64 and NAT46. The real servers of NAT see clients behind the well-known prefix (RFC 6052), save those that have no
/// IPv4 address to be seen by.
#[rstest]
#[case::nat64(V6, V4, "-b", V4.laddr)]
#[case::nat46(V4, V6, "-b", V6.laddr)]
#[case::nat64_by_nat(V6, V4, "-m", V4.laddr)]
#[case::nat46_by_nat(V4, V6, "-m", "64:ff9b::a00:30")]
fn clients_of_one_family_reach_real_servers_of_the_other(
    #[case] outside: Addrs,
    #[case] inside: Addrs,
    #[case] mode: &str,
    #[case] seen: &str,
    #[values(1, 2)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_both_families(&lab, &outside, &inside, mode);
    if seen == inside.laddr {
        add_laddr(&lab, &outside, inside.laddr);
    } else {
        route_servers_through_the_director(&lab, &inside);
    }
    lab.start_web();
    lab.fetch_from_both_as(&outside, seen);
    for _ in 0..20 {
        assert!(lab.fetch_by(&outside).is_some(), "no fetch may fail");
    }
    let conns = lab.ipvsadm("-lnc");
    let daddr = format!("{}:80", bracketed(inside.servers[0]));
    assert!(
        conns.contains(&outside.service()) && conns.contains(&daddr),
        "{conns}"
    );
}

/// Such as hosts that reach IPv6 through a translator of their own (RFC 6877).
#[test]
fn clients_that_have_an_ipv4_address_are_seen_by_it() {
    const CLIENT: &str = "64:ff9b::c000:221";
    let mut lab = Lab::new(1);
    set_up_both_families(&lab, &V6, &V4, "-m");
    route_servers_through_the_director(&lab, &V4);
    lab.dpip("route add 64:ff9b::/96 dev dpdk1");
    lab.client
        .ip(&format!("addr add {CLIENT}/128 dev eth0 nodad"));
    lab.start_web();
    let url = format!("http://{}/", V6.service());
    let answer = until(PATIENCE, "a real server", || {
        let args = [
            "curl",
            "-sg",
            "--interface",
            CLIENT,
            "--max-time",
            "3",
            &url,
        ];
        let output = lab.client.output(&args);
        output.status.success().then_some(output.stdout)
    });
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.ends_with(" 192.0.2.33"), "{answer}");
}

/// Tutorial, "NAT" with two arms.
#[rstest]
#[case::one_worker(1)]
#[case::a_reply_may_reach_another_worker(2)]
fn nat_brings_replies_back_through_the_director(
    #[case] workers: u16,
    #[values(V4, V6)] addrs: Addrs,
) {
    let mut lab = Lab::new(workers);
    set_up_two_arm(&lab, &addrs, "-m");
    route_servers_through_the_director(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    for _ in 0..20 {
        assert!(lab.fetch_by(&addrs).is_some(), "no fetch may fail");
    }
    list_shows(&lab, &addrs, "Masq   ");
    let conns = lab.ipvsadm("-lnc");
    assert!(conns.contains(addrs.client), "{conns}");
}

#[rstest]
fn nat_and_fullnat_work_on_one_arm(
    #[values("-m", "-b")] mode: &str,
    #[values(V4, V6)] addrs: Addrs,
) {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, &addrs, mode);
    let seen = if mode == "-b" {
        add_laddr(&lab, &addrs, addrs.laddr);
        addrs.laddr
    } else {
        route_servers_through_the_director(&lab, &addrs);
        addrs.client
    };
    lab.start_web();
    lab.fetch_from_both_as(&addrs, seen);
}

/// Tutorial, "DR": the real servers answer by themselves, and the director never sees it.
#[rstest]
fn dr_lets_the_real_servers_answer_by_themselves(#[values(V4, V6)] addrs: Addrs) {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, &addrs, "-g");
    give_servers_the_vip(&lab, &addrs);
    route_servers_to_clients(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    list_shows(&lab, &addrs, "Route  ");
    director_heard_no_reply(&lab);
}

/// The same with two arms: requests come by the one, and leave by the other.
#[rstest]
fn dr_works_with_two_arms(#[values(V4, V6)] addrs: Addrs) {
    let mut lab = Lab::new(1);
    set_up_two_arm(&lab, &addrs, "-g");
    lab.connect_servers_to_clients();
    give_servers_the_vip(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    director_heard_no_reply(&lab);
}

fn director_heard_no_reply(lab: &Lab) {
    let stats = lab.ipvsadm("-ln --stats");
    let service = stats.lines().find(|line| line.starts_with("TCP")).unwrap();
    let out_packets = service.split_whitespace().nth(4);
    assert_eq!(out_packets, Some("0"), "{stats}");
}

/// The same with two arms: requests come by the one, and leave by the other.
#[rstest]
fn tunnels_work_with_two_arms(#[values(V4, V6)] addrs: Addrs) {
    let mut lab = Lab::new(1);
    set_up_two_arm(&lab, &addrs, "-i");
    lab.connect_servers_to_clients();
    give_servers_the_vip(&lab, &addrs);
    lab.start_tunnel_ends("ipip", &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    director_heard_no_reply(&lab);
}

/// Tutorial, "Tunnel", and ipvsadm's other types of tunnel, for every combination of families.
#[rstest]
#[case("ipip", "-i")]
#[case("gre", "-i --tun-type gre")]
#[case("gue", "-i --tun-type gue --tun-port 6080")]
fn tunnels_reach_the_real_servers(
    #[case] kind: &str,
    #[case] mode: &str,
    #[values(V4, V6)] inside: Addrs,
    #[values(V4, V6)] outside: Addrs,
) {
    let mut lab = Lab::one_arm(1);
    let addrs = Addrs {
        servers: outside.servers,
        ..inside
    };
    set_up_one_arm(&lab, &addrs, mode);
    if outside.host != inside.host {
        give_director_a_place(&lab, &outside);
    }
    give_servers_the_vip(&lab, &addrs);
    route_servers_to_clients(&lab, &addrs);
    lab.start_tunnel_ends(kind, &outside);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    list_shows(&lab, &addrs, "Tunnel ");
    let saved = lab.ipvsadm("-S -n");
    let line = format!(
        "-a -t {} -r {}:80 {}",
        addrs.service(),
        bracketed(addrs.servers[0]),
        mode.replace("-i", "-i -w 1")
    );
    assert!(saved.contains(&line), "{saved}");
}

/// Several modes in one daemon at once, and a mode that cannot do what it is asked says so.
#[test]
fn modes_live_together_and_refuse_what_they_cannot_do() {
    let lab = Lab::new(1);
    lab.ipvsadm("-A -t 10.0.0.100:80 -s rr");
    for (server, mode) in [
        ("192.168.100.2:8080", "-m"),
        ("192.168.100.3", "-b"),
        ("192.168.100.4", "-i"),
    ] {
        lab.ipvsadm(&format!("-a -t 10.0.0.100:80 -r {server} {mode}"));
    }
    for mode in ["-g", "-i"] {
        let line = format!("-a -t 10.0.0.100:80 -r 192.168.100.5:8080 {mode}");
        let (status, sentence) = lab.refused("ipvsadm-rs", &line);
        assert_eq!(status, 1);
        assert!(
            sentence.contains("192.168.100.5:8080 has another port than the service"),
            "{sentence}"
        );
        assert!(sentence.contains("leave the port out"), "{sentence}");
    }
    let list = lab.ipvsadm("-ln");
    for mode in ["Masq", "FullNat", "Tunnel"] {
        assert!(list.contains(mode), "{list}");
    }
}

/// Answers with the address of who asks.
const WHO_ASKS: &str = r"
import http.server, socket
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.client_address[0].encode())
    def log_message(self, *args): pass
Server(('::', 8000), Handler).serve_forever()";

/// Tutorial, "SNAT", its lines: hosts behind the director reach the world from the WAN address.
#[rstest]
#[case::one_worker(1)]
#[case::the_port_tells_the_worker(2)]
fn snat_lets_hosts_out_from_the_wan_address(#[case] workers: u16, #[values(V4, V6)] addrs: Addrs) {
    let lab = Lab::new(workers);
    let (_, len) = addrs.clients.split_once('/').unwrap();
    give_director_a_place(&lab, &addrs);
    lab.dpip(&format!("addr add {}/{len} dev dpdk1 sapool", addrs.vip));
    let (range, ping, shown_range) = if addrs.host == 32 {
        (
            "192.168.100.0-192.168.100.254",
            "icmp",
            "192.168.100.0-192.168.100.254:0-0",
        )
    } else {
        (
            "2001:db8:100::-2001:db8:100::ff",
            "icmpv6",
            "[2001:db8:100::-2001:db8:100::ff]:0-0",
        )
    };
    let service = format!("-H proto=tcp,src-range={range},oif=dpdk1");
    let wan = format!("{}:0", bracketed(addrs.vip));
    lab.ipvsadm(&format!("-A -s rr {service}"));
    lab.ipvsadm(&format!("-a {service} -r {wan} -w 100 -J"));
    let _world = lab.client.spawn(&["python3", "-c", WHO_ASKS]);
    let url = format!("http://{}:8000/", bracketed(addrs.client));
    route_servers_through_the_director(&lab, &addrs);
    for server in &lab.servers {
        let seen = until(PATIENCE, "the world", || {
            let output = server.output(&["curl", "-sg", "--max-time", "3", &url]);
            output.status.success().then_some(output.stdout)
        });
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen.trim_start_matches("::ffff:"), addrs.vip);
    }
    for _ in 0..20 {
        lab.servers[0].run(&["curl", "-sSg", "--max-time", "3", &url]);
    }
    let ping = service.replace("tcp", ping);
    lab.ipvsadm(&format!("-A -s rr {ping}"));
    lab.ipvsadm(&format!("-a {ping} -r {wan} -w 100 -J"));
    lab.servers[0].run(&["ping", "-c", "3", "-i", "0.2", "-W", "3", addrs.client]);
    let list = lab.ipvsadm("-ln");
    let shown =
        format!("MATCH tcp,from={shown_range},oif=dpdk1 rr\n  -> {wan:<28} SNAT    100    ");
    assert!(list.contains(&shown), "{list}");

    assert!(
        lab.ipvsadm("-G")
            .contains(&format!("tcp,from={shown_range},oif=dpdk1"))
    );
    let saved = lab.ipvsadm("-S -n");
    assert!(!saved.contains("--add-laddr"), "{saved}");
    lab.ipvsadm("-C");
    let file = lab.folder.write("rules", &saved);
    lab.ipvsadm(&format!("-R {}", file.display()));
    assert_eq!(lab.ipvsadm("-S -n"), saved);
}

/// What LVS does with firewall marks: one service for many VIPs and ports, by what packets have in common.
#[rstest]
#[case("-b", V4.laddr)]
#[case("-m", V4.client)]
fn a_service_may_be_for_all_packets_that_match(#[case] mode: &str, #[case] seen: &str) {
    let mut lab = Lab::new(2);
    give_director_a_place(&lab, &V4);
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    for vip in ["10.0.0.100", "10.0.0.101"] {
        lab.dpip(&format!("addr add {vip}/32 dev dpdk1"));
    }
    let service = "-H proto=tcp,dst-range=10.0.0.100-10.0.0.109:80-89";
    lab.ipvsadm(&format!("-A -s rr {service}"));
    for server in V4.servers {
        lab.ipvsadm(&format!("-a {service} -r {server}:80 {mode}"));
    }
    if mode == "-b" {
        lab.ipvsadm(&format!("--add-laddr -z {} {service} -F dpdk0", V4.laddr));
    } else {
        route_servers_through_the_director(&lab, &V4);
    }
    lab.start_web();
    for url in ["http://10.0.0.100/", "http://10.0.0.101:85/"] {
        let answer = until(PATIENCE, url, || {
            let output = lab.client.output(&["curl", "-s", "--max-time", "3", url]);
            output.status.success().then_some(output.stdout)
        });
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.ends_with(seen), "{answer}");
    }
    let saved = lab.ipvsadm("-S -n");
    lab.ipvsadm("-C");
    let file = lab.folder.write("rules", &saved);
    lab.ipvsadm(&format!("-R {}", file.display()));
    assert_eq!(lab.ipvsadm("-S -n"), saved);
}

#[test]
fn snat_that_cannot_work_is_refused() {
    let lab = Lab::new(1);
    let service = "-H proto=tcp,src-range=192.168.100.0-192.168.100.254";
    lab.ipvsadm(&format!("-A -s rr {service}"));
    lab.ipvsadm("-A -s rr -t 10.0.0.100:80");
    for (line, part) in [
        (
            format!("-a {service} -r 10.0.0.7:0 -J"),
            "`dpip addr add 10.0.0.7/32 dev dpdk1 sapool`",
        ),
        (
            format!("-a {service} -r 10.0.0.7:80 -J"),
            "-r 10.0.0.7:0 -J",
        ),
        (
            "-a -t 10.0.0.100:80 -r 10.0.0.7 -J".to_owned(),
            "say which with -H",
        ),
        (
            "-A -s rr -H proto=tcp,oif=dpdk1".to_owned(),
            "say which packets it is for",
        ),
        (format!("-A -s rr {service},oif=dpdk7"), "no device dpdk7"),
        (format!("-A -s rr {service}"), "exists"),
    ] {
        let (status, sentence) = lab.refused("ipvsadm-rs", &line);
        assert_eq!(status, 1, "{line}");
        assert!(sentence.contains(part), "{line}: {sentence}");
    }
}
