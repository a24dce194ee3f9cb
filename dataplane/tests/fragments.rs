//! Datagrams that real kernels cut into fragments, which reach the director one by one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod lab;

use std::collections::BTreeSet;
use std::path::PathBuf;

use lab::{Addrs, Lab, More, PATIENCE, V4, V6, bracketed};
use rstest::rstest;
use testkit::netns::{Netns, Running, until};

const CABLE_MTU: u32 = 1500;
const UDP_HEADER_LEN: u32 = 8;
/// Of the datagrams: three fragments
const LEN: u32 = 4000;

/// Answers each datagram with its bytes the other way round.
const ECHO: &str = r"
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.bind((sys.argv[1], 5353))
while True:
    data, client = s.recvfrom(65535)
    s.sendto(data[::-1], client)
";

/// Asks once, and fails unless the answer is whole.
const ASK: &str = r"
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(1)
data = bytes(i * i % 251 for i in range(int(sys.argv[2])))
s.sendto(data, (sys.argv[1], 5353))
assert s.recv(65535) == data[::-1]
";

/// Prints source, destination, offset and MF bit of each fragment that comes by a cable, as it comes.
const WATCH: &str = r"
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
print('watching', flush=True)
while True:
    packet, at = s.recvfrom(65535)
    if at[2] != socket.PACKET_HOST or at[0] == 'lo': continue
    if packet[0] >> 4 == 4:
        ends = socket.AF_INET, packet[12:16], packet[16:20]
        word = int.from_bytes(packet[6:8], 'big')
        offset, more = (word & 0x1fff) * 8, word >> 13 & 1
    elif packet[0] >> 4 == 6 and packet[6] == 44:
        ends = socket.AF_INET6, packet[8:24], packet[24:40]
        word = int.from_bytes(packet[42:44], 'big')
        offset, more = word & 0xfff8, word & 1
    else: continue
    if offset or more:
        src, dst = (socket.inet_ntop(ends[0], addr) for addr in ends[1:])
        print(src, dst, offset, more, flush=True)
";

/// The fragments that come to a namespace.
struct Watch {
    said: PathBuf,
    _watcher: Running,
}

impl Watch {
    fn begin(lab: &Lab, netns: &Netns, name: &str) -> Self {
        let said = lab.folder.file(name);
        let out = std::fs::File::create(&said).unwrap();
        let mut command = netns.command("python3");
        let watch = Self {
            _watcher: Running::start(command.args(["-c", WATCH]).stdout(out)),
            said,
        };
        until(PATIENCE, "the watcher", || {
            watch.lines().contains("watching").then_some(())
        });
        watch
    }

    fn lines(&self) -> BTreeSet<String> {
        let said = std::fs::read_to_string(&self.said).unwrap();
        said.lines().map(str::to_owned).collect()
    }

    /// Waits until it has seen these pieces of the datagram; it must see no others.
    fn sees(&self, src: &str, dst: &str, piece: u32) {
        let end = LEN + UDP_HEADER_LEN;
        let line = |offset: u32| {
            let more = u32::from(offset + piece < end);
            format!("{src} {dst} {offset} {more}")
        };
        let mut expected: BTreeSet<String> = (0..end).step_by(piece as usize).map(line).collect();
        assert_eq!(expected.len(), 3);
        expected.insert("watching".to_owned());
        until(PATIENCE, "all fragments", || {
            self.lines().is_superset(&expected).then_some(())
        });
        assert_eq!(self.lines(), expected);
    }
}

/// What a fragment of a sender of this family carries: RFC 791, 3.2, and RFC 8200, 4.5.
const fn piece_of(mtu: u32, addrs: &Addrs) -> u32 {
    let headers = if addrs.host == 128 { 40 + 8 } else { 20 };
    (mtu - headers) / 8 * 8
}

/// The service, with the real server set up for its mode: whom that sees, by which address, and what it listens on.
fn set_up(
    lab: &Lab,
    outside: &Addrs,
    inside: &Addrs,
    mode: &str,
) -> (&'static str, &'static str, &'static str) {
    let service = format!("{}:5353", bracketed(outside.vip));
    let (vip, len) = (outside.vip, outside.host);
    lab.dpip(&format!("addr add {vip}/{len} dev dpdk1"));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    let (_, len) = inside.lan.split_once('/').unwrap();
    lab.dpip(&format!("addr add {}/{len} dev dpdk0", inside.director));
    lab.ipvsadm(&format!("-A -u {service} -s rr"));
    let server = bracketed(inside.servers[0]);
    lab.ipvsadm(&format!("-a -u {service} -r {server}:5353 {mode}"));
    match mode {
        "-b" => {
            let laddr = inside.laddr;
            lab.ipvsadm(&format!("--add-laddr -z {laddr} -u {service} -F dpdk0"));
            (laddr, inside.servers[0], "::")
        }
        "-m" => {
            lab.servers[0].ip(&format!("route add default via {}", inside.director));
            (outside.client, inside.servers[0], "::")
        }
        _ => {
            lab.connect_servers_to_clients();
            for setting in ["arp_ignore=1", "arp_announce=2"] {
                let setting = format!("net.ipv4.conf.all.{setting}");
                lab.servers[0].run(&["sysctl", "-qw", &setting]);
            }
            lab.servers[0].ip(&format!("addr add {vip}/{} dev lo", outside.host));
            (outside.client, vip, vip)
        }
    }
}

/// RFC 791, 3.2: each fragment goes its way, with the same rewritten addresses as the first. Between both families the
/// headers grow, so that kernels have to leave room (RFC 7915, 4.1), and so they do where a tunnel's header comes before
/// (RFC 2003, 3.1).
#[rstest]
#[case::fullnat("-b", V4, V4, CABLE_MTU)]
#[case::nat("-m", V4, V4, CABLE_MTU)]
#[case::dr("-g", V4, V4, CABLE_MTU)]
#[case::tunnel("-i", V4, V4, 1400)]
#[case::nat64("-b", V6, V4, 1400)]
#[case::nat46("-b", V4, V6, 1400)]
fn fragments_of_real_kernels_go_apart(
    #[case] mode: &str,
    #[case] outside: Addrs,
    #[case] inside: Addrs,
    #[case] mtu: u32,
) {
    let mut lab = Lab::with_more(|_| More {
        sees_fragments: true,
        ..More::default()
    });
    let (seen, server, listens_on) = set_up(&lab, &outside, &inside, mode);
    if mtu < CABLE_MTU {
        let way_back = if mode == "-i" { "eth1" } else { "eth0" };
        let server = &lab.servers[0];
        for (end, to, device) in [(&lab.client, outside.vip, "eth0"), (server, seen, way_back)] {
            end.ip(&format!("route add {to} dev {device} mtu {mtu}"));
        }
    }
    if mode == "-i" {
        lab.start_tunnel_ends("ipip", &inside);
    }
    let at_server = Watch::begin(&lab, &lab.servers[0], "at_server");
    let at_client = Watch::begin(&lab, &lab.client, "at_client");
    lab.start_on_servers(&["python3", "-c", ECHO, listens_on]);
    until(PATIENCE, "the answer", || {
        let ask = ["python3", "-c", ASK, outside.vip, &LEN.to_string()];
        lab.client.output(&ask).status.success().then_some(())
    });
    at_server.sees(seen, server, piece_of(mtu, &outside));
    at_client.sees(outside.vip, outside.client, piece_of(mtu, &inside));
}
