//! Writes the seeds that fuzzing starts from, and that `scripts/fuzz-corpus` runs once each: inputs
//! that lead deep into the code. Run it after the format of a target's input has changed:
//! `cargo run --manifest-path fuzz/Cargo.toml --bin make_seeds`, at the top of the repository.

use std::path::Path;
use std::{fs, io};

use packet::MacAddr;
use testkit::director::{
    CLIENT, CLIENT_MAC, CLIENT6, DEST, DEST6, FROM_CLIENT, FROM_DEST, LADDR, LADDR6, SYN_OPTIONS,
    VIP, VIP6,
};
use testkit::frames::{self, repair_ip, tcp, udp};

/// What the target `frames` reads from the first byte.
const UDP: u8 = 1;
const CONN_IS_OPEN: u8 = 2;
/// What it reads from the second byte.
const SYN_PROXY: u8 = 1;
const PROXY_PROTOCOL: u8 = 2;
const PROXY_VERSION_1: u8 = 4;
const UOA: u8 = 16;
const UOA_AS_IP_OPTION: u8 = 32;
const PERSISTENCE: u8 = 64;
const SCTP: u8 = 0x80;
/// What it reads from the byte before a frame: the port, and whether time passes after the frame.
const LAN: u8 = 0;
const WAN: u8 = 1;
const TIME_PASSES: u8 = 0x80;
const SAME_BATCH: u8 = 0x40;

/// The target's order of families and modes.
const FAMILIES: [(&str, [&str; 4]); 4] = [
    ("ipv4", [CLIENT, VIP, DEST, LADDR]),
    ("nat64", [CLIENT6, VIP6, DEST, LADDR]),
    ("nat46", [CLIENT, VIP, DEST6, LADDR6]),
    ("ipv6", [CLIENT6, VIP6, DEST6, LADDR6]),
];
const MODES: [&str; 6] = ["fullnat", "nat", "dr", "ipip", "gre", "gue"];

/// An input of the target `frames`.
struct Scene(Vec<u8>);

impl Scene {
    fn new(family: usize, mode: usize, kind: u8, options: u8) -> Self {
        Self(vec![
            kind | (family as u8) << 2 | (mode as u8) << 4,
            options,
        ])
    }

    fn with(mut self, port: u8, frame: &[u8]) -> Self {
        let [high, low] = (frame.len() as u16).to_be_bytes();
        self.0.extend([port, high, low]);
        self.0.extend(frame);
        self
    }
}

fn main() -> io::Result<()> {
    let seeds = Path::new("fuzz/seeds");
    for (family, (family_name, ends)) in FAMILIES.iter().enumerate() {
        for (mode, mode_name) in MODES.iter().enumerate() {
            let is_mixed = ends[1].contains('[') != ends[2].contains('[');
            if *mode_name == "dr" && is_mixed {
                continue;
            }
            let name = format!("{mode_name}_{family_name}");
            let scene = Scene::new(family, mode, 0, 0);
            write(
                seeds,
                "frames",
                &format!("tcp_{name}"),
                &tcp_conn(scene, ends).0,
            )?;
            let scene = Scene::new(family, mode, UDP, 0);
            write(
                seeds,
                "frames",
                &format!("udp_{name}"),
                &datagrams(scene, ends).0,
            )?;
        }
    }
    for (name, scene) in helpers() {
        write(seeds, "frames", name, &scene.0)?;
    }
    for (name, scene) in beside_the_fast_path() {
        write(seeds, "frames", name, &scene.0)?;
    }
    for (target, name, payload) in payloads() {
        write(seeds, target, name, payload)?;
    }
    Ok(())
}

fn write(seeds: &Path, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = seeds.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// The first local address and port that a director gives out.
fn first_local_end(laddr: &str) -> String {
    if laddr.contains(':') {
        format!("[{laddr}]:1025")
    } else {
        format!("{laddr}:1025")
    }
}

/// A conn of TCP from the SYN to a reset. Answers are right for the mode FullNAT.
fn tcp_conn(scene: Scene, [client, vip, dest, laddr]: &[&str; 4]) -> Scene {
    let from_client = |flags, payload: &[u8]| {
        let segment = tcp(client, vip).flags(flags).seq(1001).ack(5001);
        segment.payload(payload).frame(FROM_CLIENT)
    };
    let syn = tcp(client, vip).flags("S").seq(1000).options(&SYN_OPTIONS);
    let from_dest = |flags, options: &[u8]| {
        let segment = tcp(dest, &first_local_end(laddr)).flags(flags).seq(5000);
        segment.options(options).frame(FROM_DEST)
    };
    scene
        .with(WAN, &syn.frame(FROM_CLIENT))
        .with(LAN, &from_dest("SA", &[2, 4, 5, 0xb4]))
        .with(WAN, &from_client("A", b""))
        .with(
            WAN | SAME_BATCH,
            &from_client("PA", b"GET / HTTP/1.0\r\n\r\n"),
        )
        .with(
            LAN,
            &from_dest("PA", &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        )
        .with(WAN | TIME_PASSES, &from_client("FA", b""))
        .with(WAN, &from_client("R", b""))
}

/// Datagrams both ways, and an ICMP error about one.
fn datagrams(scene: Scene, [client, vip, dest, laddr]: &[&str; 4]) -> Scene {
    let question = udp(client, vip, b"question", FROM_CLIENT);
    let local = first_local_end(laddr);
    let answer = udp(dest, &local, b"answer", FROM_DEST);
    let sent = udp(&local, dest, b"question", FROM_DEST);
    let host = dest.trim_end_matches(":80").trim_matches(['[', ']']);
    let error = frames::unreachable(host, laddr, &sent[14..], FROM_DEST);
    scene
        .with(WAN, &question)
        .with(LAN, &answer)
        .with(WAN | TIME_PASSES, &question)
        .with(LAN, &error)
}

/// What services may ask for beyond forwarding.
fn helpers() -> Vec<(&'static str, Scene)> {
    let [(_, v4), .., (_, v6)] = &FAMILIES;
    let tcp_with = |options| tcp_conn(Scene::new(0, 0, 0, options), v4);
    let udp_with = |options| datagrams(Scene::new(0, 0, UDP, options), v4);
    let announced = tcp(CLIENT, VIP).flags("PA").seq(1001).ack(5001);
    let announced = announced.payload(b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n");
    let insecure = PROXY_PROTOCOL | PROXY_VERSION_1 | 8;
    vec![
        ("syn_proxy", tcp_with(SYN_PROXY)),
        (
            "syn_proxy_ipv6",
            tcp_conn(Scene::new(3, 0, 0, SYN_PROXY), v6),
        ),
        (
            "proxy_protocol_v1",
            tcp_with(PROXY_PROTOCOL | PROXY_VERSION_1),
        ),
        ("proxy_protocol_v2", tcp_with(PROXY_PROTOCOL)),
        ("proxy_protocol_udp", udp_with(PROXY_PROTOCOL)),
        (
            "proxy_protocol_from_client",
            Scene::new(0, 0, CONN_IS_OPEN, insecure).with(WAN, &announced.frame(FROM_CLIENT)),
        ),
        ("uoa_header", udp_with(UOA)),
        ("uoa_ip_option", udp_with(UOA | UOA_AS_IP_OPTION)),
        ("uoa_ipv6", datagrams(Scene::new(3, 0, UDP, UOA), v6)),
        ("persistence", tcp_with(PERSISTENCE)),
        (
            "sctp",
            datagrams(Scene::new(0, 0, CONN_IS_OPEN | UDP, SCTP), v4),
        ),
        (
            "sctp_ipv6",
            datagrams(Scene::new(3, 0, CONN_IS_OPEN | UDP, SCTP), v6),
        ),
    ]
}

/// Frames that are not of a conn, or are not whole.
fn beside_the_fast_path() -> Vec<(&'static str, Scene)> {
    let open = || Scene::new(0, 0, CONN_IS_OPEN, 0);
    let client6 = "2001:db8:1::48";
    let ping = frames::echo_request("10.0.0.48", "10.0.0.100", b"data", FROM_CLIENT);
    let ping6 = frames::echo_request(client6, "2001:db8:1::100", b"data", FROM_CLIENT);
    let arp = frames::arp_request(("10.0.0.48", CLIENT_MAC), "10.0.0.100");
    let reply = frames::arp_reply(
        ("10.0.0.48", CLIENT_MAC),
        ("10.0.0.100", MacAddr([2, 0, 0, 0, 0, 1])),
    );
    let solicitation = frames::neighbour_solicitation((client6, CLIENT_MAC), "2001:db8:1::100");
    let sent = tcp(VIP, CLIENT).flags("A").seq(5001).frame(FROM_CLIENT);
    let too_long =
        frames::fragmentation_needed("10.0.0.48", "10.0.0.100", 1400, &sent[14..], FROM_CLIENT);
    let [first, last] = in_two(&udp(CLIENT, VIP, b"question", FROM_CLIENT));
    let fragments = || Scene::new(0, 0, UDP, 0);
    vec![
        ("ping", open().with(WAN, &ping)),
        ("ping_ipv6", Scene::new(3, 0, 0, 0).with(WAN, &ping6)),
        ("arp", open().with(WAN, &arp).with(WAN, &reply)),
        (
            "neighbour_discovery",
            Scene::new(3, 0, 0, 0).with(WAN, &solicitation),
        ),
        ("fragmentation_needed", open().with(WAN, &too_long)),
        ("fragments", fragments().with(WAN, &first).with(WAN, &last)),
        (
            "fragments_reversed",
            fragments().with(WAN, &last).with(WAN, &first),
        ),
        ("cut", open().with(WAN, &sent[..30]).with(WAN, &[])),
    ]
}

/// The fragments of an IPv4 datagram with 8 bytes of payload.
fn in_two(frame: &[u8]) -> [Vec<u8>; 2] {
    let fragment = |payload: &[u8], offset: [u8; 2]| {
        let mut fragment = [&frame[..34], payload].concat();
        fragment[16..18].copy_from_slice(&28_u16.to_be_bytes());
        fragment[20..22].copy_from_slice(&offset);
        repair_ip(&mut fragment);
        fragment
    };
    [
        fragment(&frame[34..42], [0x20, 0]),
        fragment(&frame[42..50], [0, 1]),
    ]
}

/// Inputs of the targets that read payloads.
fn payloads() -> Vec<(&'static str, &'static str, &'static [u8])> {
    vec![
        ("ftp", "port", b"PORT 10,0,0,48,156,64\r\n"),
        ("ftp", "port_lower_case", b"port  10,0,0,48,0,21\r\n"),
        ("ftp", "eprt_ipv4", b"EPRT |1|132.235.1.2|6275|\r\n"),
        ("ftp", "eprt_ipv6", b"EPRT |2|2001:db8::1|5282|\r\n"),
        (
            "ftp",
            "pasv_reply",
            b"227 Entering Passive Mode (172,16,0,3,200,1).\r\n",
        ),
        (
            "ftp",
            "epsv_reply",
            b"229 Entering Extended Passive Mode (|||6446|)\r\n",
        ),
        ("ftp", "two_lines", b"PORT 10,0,0,48,156,64\r\nQUIT\r\n"),
        (
            "proxy",
            "v1_ipv4",
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET",
        ),
        (
            "proxy",
            "v1_ipv6",
            b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
        ),
        (
            "proxy",
            "v1_unknown",
            b"PROXY UNKNOWN ffff::1 whatever\r\nGET",
        ),
        (
            "proxy",
            "v2_ipv4",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x30\x0a\0\0\x64\x9c\x40\0\x50",
        ),
        (
            "proxy",
            "v2_ipv6",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x22\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\
              \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\x02",
        ),
        ("proxy", "v2_local", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET"),
        // RFC 9001, A.2: a client's Initial packet.
        (
            "quic",
            "initial",
            b"\xc0\0\0\0\x01\x08\x83\x94\xc8\xf0\x3e\x51\x57\x08\0\0\x44\x9e",
        ),
        (
            "quic",
            "handshake_v1",
            b"\xe3\0\0\0\x01\x04\x01\x02\x03\x04\0\x09",
        ),
        (
            "quic",
            "handshake_v2",
            b"\xf3\x6b\x33\x43\xcf\x04\x01\x02\x03\x04\0\x09",
        ),
        ("quic", "short_header", b"\x43abcdefghijklmnopqrstuvwxyz"),
        ("quic", "google", b"\x0dABCDEFGHQ043\x01"),
    ]
}
