//! Floods at full speed, with a client and a server that go on talking.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod lab;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::{Lab, More, PATIENCE};
use packet::MacAddr;
use testkit::frames;
use testkit::netns::{Folder, Running, until};

/// As long as the issue has it.
const FLOOD: Duration = Duration::from_secs(60);
/// Twice as many as the director has room for.
const CLIENTS: usize = 131_072;
/// What the port that plays them calls itself.
const FLOODED_MAC: MacAddr = MacAddr(*b"\x02pcap\x00");
/// Where they go, and where nobody answers.
const FLOODED_VIP: &str = "10.0.0.101";
const SILENT: [&str; 2] = ["172.16.0.2", "172.16.0.3"];
/// Of the daemon's memory, a minute later.
const MOST_GROWTH_KB: u64 = 8 * 1024;
const PORT: u16 = 7777;

/// Answers every line with the same.
const ECHO: &str = "import socketserver\n\
    class H(socketserver.StreamRequestHandler):\n  \
    def handle(self):\n    \
    for line in self.rfile: self.wfile.write(line)\n\
    class S(socketserver.ThreadingTCPServer): request_queue_size = 1000; daemon_threads = True\n\
    S(('', 7777), H).serve_forever()";

/// Talks to it by one conn until it is told to end, and fails if an answer takes more than ten seconds.
const TALK: &str = "import signal, socket, sys, time\n\
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n\
    s = socket.create_connection(('10.0.0.100', 7777), timeout=10)\n\
    f = s.makefile('rwb')\n\
    said = 0\n\
    while True:\n  \
    f.write(b'%d\\n' % said); f.flush()\n  \
    assert f.readline() == b'%d\\n' % said\n  \
    said += 1\n  \
    print(said, flush=True)\n  \
    time.sleep(0.2) # the pace of the talk\n";

/// New clients of random addresses and ports: SYNs and datagrams in turns.
fn clients() -> impl Iterator<Item = Vec<u8>> {
    // xorshift64 (Marsaglia, 2003)
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let macs = (MacAddr([2, 0, 0, 0, 1, 1]), FLOODED_MAC);
    let service = format!("{FLOODED_VIP}:{PORT}");
    (0..CLIENTS).map(move |number| {
        let [first, rest @ ..] = next().to_be_bytes();
        // Neither of this network nor of the loopback: nobody's could be 0, 127 or multicast.
        let addr = Ipv4Addr::new(128 + first % 64, rest[0], rest[1], rest[2]);
        let client = format!("{addr}:{}", u16::from_be_bytes([rest[3], rest[4]]) | 1);
        if number % 2 == 0 {
            let syn = frames::tcp(&client, &service).flags("S");
            syn.seq(next() as u32).frame(macs)
        } else {
            frames::udp(&client, &service, b"flood", macs)
        }
    })
}

/// A capture in the format of pcap-savefile(5): microseconds, Ethernet.
fn capture(folder: &Folder) -> String {
    let path = folder.file("flood.pcap");
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for frame in clients() {
        let len = frame.len() as u32;
        file.extend(words(&[0, 0, len, len]));
        file.extend(frame);
    }
    std::fs::write(&path, file).unwrap();
    path.display().to_string()
}

/// A port that plays the flood for ever, as fast as it is polled, and one that swallows what comes of it.
fn flooded_lab() -> Lab {
    Lab::with_more(|folder| {
        let flood = format!("net_pcap0,rx_pcap={},infinite_rx=1", capture(folder));
        More {
            devices: vec![("dpdk2", flood), ("dpdk3", "net_null0,no-rx=1".to_owned())],
            // The flood's are never given back.
            mbufs: Some(CLIENTS as u32 + 32_768),
            ..More::default()
        }
    })
}

/// The way of the flood.
fn let_the_flood_in(lab: &Lab) {
    lab.dpip("addr add 172.16.0.1/24 dev dpdk3");
    for server in SILENT {
        lab.dpip(&format!(
            "neigh add {server} lladdr 02:00:00:00:02:02 dev dpdk3"
        ));
    }
    for protocol in ["-t", "-u"] {
        let service = format!("{protocol} {FLOODED_VIP}:{PORT}");
        lab.ipvsadm(&format!("-A {service} -s rr"));
        for server in SILENT {
            lab.ipvsadm(&format!("-a {service} -r {server}:{PORT} -b"));
        }
        lab.ipvsadm(&format!("--add-laddr -z 172.16.0.200 {service} -F dpdk3"));
    }
    lab.dpip(&format!("addr add {FLOODED_VIP}/32 dev dpdk2"));
}

fn memory_kb(process: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
}

/// The issue: floods of SYNs and datagrams from random sources leave established conns running and memory flat.
#[test]
fn a_minute_s_flood_leaves_conns_alone_and_memory_flat() {
    let mut lab = flooded_lab();
    lab.dpip("addr add 10.0.0.100/32 dev dpdk1");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    let service = format!("-t 10.0.0.100:{PORT}");
    lab.ipvsadm(&format!("-A {service} -s rr"));
    for server in ["192.168.100.2", "192.168.100.3"] {
        lab.ipvsadm(&format!("-a {service} -r {server}:{PORT} -b"));
    }
    lab.ipvsadm(&format!(
        "--add-laddr -z 192.168.100.200 {service} -F dpdk0"
    ));
    lab.start_on_servers(&["python3", "-c", ECHO]);
    let said = lab.folder.file("said");
    let mut talk = until(PATIENCE, "a conn", || {
        let mut command = lab.client.command("python3");
        let out = std::fs::File::create(&said).unwrap();
        let mut talk = Running::start(command.args(["-c", TALK]).stdout(out));
        let goes_on = until(PATIENCE, "the talk to begin or fail", || {
            let has_ended = talk.child.try_wait().unwrap().is_some();
            let has_begun = std::fs::metadata(&said).unwrap().len() > 0;
            (has_ended || has_begun).then_some(!has_ended)
        });
        goes_on.then_some(talk)
    });
    let_the_flood_in(&lab);
    // Once every slot of the table was in use, nothing more is touched for the first time.
    until(PATIENCE, "a full table", || {
        (lab.worker_count("conns_recycled") > 0).then_some(())
    });
    let (before, began) = (memory_kb(&lab.director), Instant::now());
    let lines = || std::fs::read_to_string(&said).unwrap().lines().count();
    let mut heard = lines();
    while began.elapsed() < FLOOD {
        // Ten seconds at most, or the talk has failed.
        heard = until(Duration::from_secs(15), "an answer", || {
            assert_eq!(talk.child.try_wait().unwrap(), None, "the talk goes on");
            Some(lines()).filter(|now| *now > heard)
        });
    }
    let growth = memory_kb(&lab.director).saturating_sub(before);
    assert!(growth <= MOST_GROWTH_KB, "{growth} kB more");
    let made = lab.worker_count("conns_made");
    println!("{made} conns made");
    assert!(made > 1_000_000, "that is no flood");
    assert!(talk.terminate(PATIENCE), "to the end");
}
