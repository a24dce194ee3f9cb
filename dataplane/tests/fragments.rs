//! Datagrams that real kernels fragment. The fragments reach the director one by one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::collections::BTreeSet;
use std::path::PathBuf;

use lab::{Addrs, Lab, More, PATIENCE, V4, V6, bracketed, peer};
use rstest::rstest;
use testkit::netns::{Netns, Running, until};

const CABLE_MTU: u32 = 1500;
const UDP_HEADER_LEN: u32 = 8;
/// Bytes of data in a datagram: enough for three fragments.
const LEN: u32 = 3000;

/// Watches the fragments that come to a namespace.
struct Watch {
    /// The file that the watcher prints to.
    said: PathBuf,
    _watcher: Running,
}

impl Watch {
    fn begin(lab: &Lab, netns: &Netns, name: &str) -> Self {
        let said = lab.folder.file(name);
        let out = std::fs::File::create(&said).unwrap();
        let mut command = netns.command("python3");
        let watch = Self {
            _watcher: Running::start(command.arg(peer("watch_fragments.py")).stdout(out)),
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

    /// Waits until it has seen all fragments of a datagram. `piece` is the number of bytes in each
    /// but the last. It must see no other fragments.
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

/// Bytes that a sender of this family puts into a fragment: RFC 791, 3.2, and RFC 8200, 4.5.
const fn piece_of(mtu: u32, addrs: &Addrs) -> u32 {
    let headers = if addrs.host == 128 { 40 + 8 } else { 20 };
    (mtu - headers) / 8 * 8
}

/// What a real server sees of the service's packets, and what it has to listen on.
struct Server {
    /// Their source address.
    client: &'static str,
    /// Their destination address.
    own: &'static str,
    /// The address to listen on.
    listens_on: &'static str,
}

/// Configures the service, and the real server for its mode.
fn set_up(lab: &Lab, outside: &Addrs, inside: &Addrs, mode: &str) -> Server {
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
            Server {
                client: laddr,
                own: inside.servers[0],
                listens_on: "::",
            }
        }
        "-m" => {
            lab.servers[0].ip(&format!("route add default via {}", inside.director));
            Server {
                client: outside.client,
                own: inside.servers[0],
                listens_on: "::",
            }
        }
        _ => {
            lab.connect_servers_to_clients();
            for setting in ["arp_ignore=1", "arp_announce=2"] {
                let setting = format!("net.ipv4.conf.all.{setting}");
                lab.servers[0].run(&["sysctl", "-qw", &setting]);
            }
            lab.servers[0].ip(&format!("addr add {vip}/{} dev lo", outside.host));
            Server {
                client: outside.client,
                own: vip,
                listens_on: vip,
            }
        }
    }
}

/// Each fragment is forwarded by itself, with the same rewritten addresses as the first (RFC 791,
/// 3.2). Where an IPv4 header becomes an IPv6 header, or a tunnel's header is added, packets get
/// longer, so the kernels must use a smaller MTU (RFC 7915, 4; RFC 2003, 3.1): IPv4 fragments
/// become IPv6 fragments of at most 1280 bytes.
#[rstest]
#[case::fullnat("-b", V4, V4, [CABLE_MTU; 2])]
#[case::nat("-m", V4, V4, [CABLE_MTU; 2])]
#[case::dr("-g", V4, V4, [CABLE_MTU; 2])]
#[case::tunnel("-i", V4, V4, [1400; 2])]
#[case::nat64("-b", V6, V4, [1400, 1250])]
#[case::nat46("-b", V4, V6, [1250, 1400])]
fn fragments_are_forwarded_one_by_one(
    #[case] mode: &str,
    #[case] outside: Addrs,
    #[case] inside: Addrs,
    #[case] mtus: [u32; 2],
) {
    let [client_mtu, server_mtu] = mtus;
    let mut lab = Lab::with_more(|_| More {
        sees_fragments: true,
        ..More::default()
    });
    let server = set_up(&lab, &outside, &inside, mode);
    if client_mtu < CABLE_MTU {
        let way_back = if mode == "-i" { "eth1" } else { "eth0" };
        for (end, to, device, mtu) in [
            (&lab.client, outside.vip, "eth0", client_mtu),
            (&lab.servers[0], server.client, way_back, server_mtu),
        ] {
            end.ip(&format!("route add {to} dev {device} mtu {mtu}"));
        }
    }
    if mode == "-i" {
        lab.start_tunnel_ends("ipip", &inside);
    }
    let at_server = Watch::begin(&lab, &lab.servers[0], "at_server");
    let at_client = Watch::begin(&lab, &lab.client, "at_client");
    let echo = peer("datagram_echo.py");
    lab.start_on_servers(&["python3", &echo, server.listens_on, "5353"]);
    until(PATIENCE, "the answer", || {
        let (ask, len) = (peer("datagram_ask.py"), LEN.to_string());
        let args = ["python3", &ask, outside.vip, "5353", &len];
        lab.client.output(&args).status.success().then_some(())
    });
    at_server.sees(server.client, server.own, piece_of(client_mtu, &outside));
    at_client.sees(outside.vip, outside.client, piece_of(server_mtu, &inside));
}
