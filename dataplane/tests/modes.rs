//! NAT, DR and tunnel with real kernels at both ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod lab;

use lab::{Lab, PATIENCE};
use rstest::rstest;
use testkit::netns::until;

/// The tutorial's lines for a service on one arm, with dests of this mode.
fn set_up_one_arm(lab: &Lab, mode: &str) {
    lab.dpip("addr add 10.0.0.100/32 dev dpdk0");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk0");
    add_service(lab, mode);
}

fn add_service(lab: &Lab, mode: &str) {
    lab.ipvsadm("-A -t 10.0.0.100:80 -s rr");
    for server in ["192.168.100.2", "192.168.100.3"] {
        lab.ipvsadm(&format!("-a -t 10.0.0.100:80 -r {server} {mode}"));
    }
}

/// The real servers have the VIP too, and keep quiet about it (tutorial, "DR").
fn give_servers_the_vip(lab: &Lab) {
    for server in &lab.servers {
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"]);
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.arp_announce=2"]);
        server.ip("addr add 10.0.0.100/32 dev lo");
    }
}

/// On one arm they reach the clients by the device that they have.
fn route_servers_to_clients(lab: &Lab) {
    for server in &lab.servers {
        server.ip("route add 10.0.0.0/16 dev eth0");
    }
}

fn list_shows(lab: &Lab, mode: &str) {
    let list = lab.ipvsadm("-ln");
    let line = format!("  -> 192.168.100.2:80             {mode} 1      ");
    assert!(list.contains(&line), "{list}");
}

/// Tutorial, "NAT" with two arms: the director is the real servers' gateway.
#[rstest]
#[case::one_worker(1)]
#[case::a_reply_may_reach_another_worker(2)]
fn nat_brings_replies_back_through_the_director(#[case] workers: u16) {
    let mut lab = Lab::new(workers);
    lab.dpip("addr add 10.0.0.100/32 dev dpdk1");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    for server in &lab.servers {
        server.ip("route add default via 192.168.100.1");
    }
    add_service(&lab, "-m");
    lab.start_web();
    lab.fetch_from_both_as("10.0.0.48");
    for _ in 0..20 {
        assert!(lab.fetch().is_some(), "no fetch may fail");
    }
    list_shows(&lab, "Masq   ");
    let conns = lab.ipvsadm("-lnc");
    assert!(conns.contains("10.0.0.48:"), "{conns}");
}

#[test]
fn nat_works_on_one_arm() {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, "-m");
    for server in &lab.servers {
        server.ip("route add default via 192.168.100.1");
    }
    lab.start_web();
    lab.fetch_from_both_as("10.0.0.48");
}

/// Tutorial, "DR": the real servers answer by themselves, and the director never sees it.
#[test]
fn dr_lets_the_real_servers_answer_by_themselves() {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, "-g");
    give_servers_the_vip(&lab);
    route_servers_to_clients(&lab);
    lab.start_web();
    lab.fetch_from_both_as("10.0.0.48");
    list_shows(&lab, "Route  ");
    director_heard_no_reply(&lab);
}

/// The same with two arms: requests come by the one, and leave by the other.
#[test]
fn dr_works_with_two_arms() {
    let mut lab = Lab::new(1);
    lab.dpip("addr add 10.0.0.100/32 dev dpdk1");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    add_service(&lab, "-g");
    lab.connect_servers_to_clients();
    give_servers_the_vip(&lab);
    lab.start_web();
    lab.fetch_from_both_as("10.0.0.48");
    director_heard_no_reply(&lab);
}

fn director_heard_no_reply(lab: &Lab) {
    let stats = lab.ipvsadm("-ln --stats");
    let service = stats.lines().find(|line| line.starts_with("TCP")).unwrap();
    let out_packets = service.split_whitespace().nth(4);
    assert_eq!(out_packets, Some("0"), "{stats}");
}

/// Takes packets out of their tunnel and gives them to the kernel, which need not know tunnels.
const TUNNEL_END: &str = r"
import fcntl, os, socket, struct, subprocess, sys
kind = sys.argv[1]
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH14x', b'tunl', 0x1001))
subprocess.check_call('sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl.rp_filter=0; ip link set tunl up', shell=True)
if kind == 'gue':
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 6080)); skip, shim = 0, bytes([0, 4, 0, 0])
elif kind == 'gre':
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47); skip, shim = 20, bytes([0, 0, 8, 0])
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4); skip, shim = 20, b''
while True:
    packet = s.recv(65535)[skip:]
    assert packet.startswith(shim)
    os.write(tun, packet[len(shim):])
";

/// Tutorial, "Tunnel", and ipvsadm's other types of tunnel.
#[rstest]
#[case("ipip", "-i")]
#[case("gre", "-i --tun-type gre")]
#[case("gue", "-i --tun-type gue --tun-port 6080")]
fn tunnels_reach_the_real_servers(#[case] kind: &str, #[case] mode: &str) {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, mode);
    give_servers_the_vip(&lab);
    route_servers_to_clients(&lab);
    lab.start_on_servers(&["python3", "-c", TUNNEL_END, kind]);
    for server in &lab.servers {
        until(PATIENCE, "the tunnel's end", || {
            let link = server.output(&["ip", "link", "show", "tunl"]);
            let text = String::from_utf8(link.stdout).unwrap();
            text.contains("LOWER_UP").then_some(())
        });
    }
    lab.start_web();
    lab.fetch_from_both_as("10.0.0.48");
    list_shows(&lab, "Tunnel ");
    let saved = lab.ipvsadm("-S -n");
    let line = format!(
        "-a -t 10.0.0.100:80 -r 192.168.100.2:80 {}",
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
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.client_address[0].encode())
    def log_message(self, *args): pass
http.server.HTTPServer(('', 8000), Handler).serve_forever()";

/// Tutorial, "SNAT", its lines: hosts behind the director reach the world from the WAN address.
#[rstest]
#[case::one_worker(1)]
#[case::the_port_tells_the_worker(2)]
fn snat_lets_hosts_out_from_the_wan_address(#[case] workers: u16) {
    let lab = Lab::new(workers);
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("addr add 10.0.0.100/16 dev dpdk1 sapool");
    let service = "-H proto=tcp,src-range=192.168.100.0-192.168.100.254,oif=dpdk1";
    lab.ipvsadm(&format!("-A -s rr {service}"));
    lab.ipvsadm(&format!("-a {service} -r 10.0.0.100:0 -w 100 -J"));
    let _world = lab.client.spawn(&["python3", "-c", WHO_ASKS]);
    let url = "http://10.0.0.48:8000/";
    for server in &lab.servers {
        server.ip("route add default via 192.168.100.1");
        let seen = until(PATIENCE, "the world", || {
            let output = server.output(&["curl", "-s", "--max-time", "3", url]);
            output.status.success().then_some(output.stdout)
        });
        assert_eq!(String::from_utf8(seen).unwrap(), "10.0.0.100");
    }
    for _ in 0..20 {
        lab.servers[0].run(&["curl", "-sS", "--max-time", "3", url]);
    }
    let ping = service.replace("tcp", "icmp");
    lab.ipvsadm(&format!("-A -s rr {ping}"));
    lab.ipvsadm(&format!("-a {ping} -r 10.0.0.100:0 -w 100 -J"));
    lab.servers[0].run(&["ping", "-c", "3", "-i", "0.2", "-W", "3", "10.0.0.48"]);
    let list = lab.ipvsadm("-ln");
    let range = "192.168.100.0-192.168.100.254:0-0";
    let shown = format!(
        "MATCH tcp,from={range},oif=dpdk1 rr\n  -> 10.0.0.100:0                 SNAT    100    "
    );
    assert!(list.contains(&shown), "{list}");

    assert!(
        lab.ipvsadm("-G")
            .contains(&format!("tcp,from={range},oif=dpdk1"))
    );
    let saved = lab.ipvsadm("-S -n");
    assert!(!saved.contains("--add-laddr"), "{saved}");
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
            format!("-a {service} -r 10.0.0.7:0 -b"),
            "FullNAT (-b) does not go with it",
        ),
        (
            "-a -t 10.0.0.100:80 -r 10.0.0.7 -J".to_owned(),
            "SNAT (-J) does not go with it",
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
