//! A flood at full speed, during which a client and a server go on talking.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Lab, More, PATIENCE, peer};
use packet::MacAddr;
use testkit::frames;
use testkit::netns::{Folder, Running, until};

/// How long the flood lasts: long enough for conns of its first seconds to expire.
const FLOOD: Duration = Duration::from_secs(60);
/// Clients of the flood: twice as many as the director has room for conns.
const CLIENTS: usize = 131_072;
/// The MAC address of the port that plays the flood (net_pcap).
const FLOODED_MAC: MacAddr = MacAddr(*b"\x02pcap\x00");
/// The service that is flooded.
const FLOODED_VIP: &str = "10.0.0.101";
/// Its real servers, which never answer.
const SILENT: [&str; 2] = ["172.16.0.2", "172.16.0.3"];
/// Most that the daemon's memory may grow during the flood, in kB.
const MOST_GROWTH_KB: u64 = 8 * 1024;
const PORT: u16 = 7777;

/// Packets of new clients with random addresses and ports: SYNs and datagrams in turns.
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
        // From 128.0.0.0 to 191.255.255.255: none is of this network, and any may be a host's.
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

/// Writes the packets to a capture in the format of pcap-savefile(5), with microseconds and
/// Ethernet. Returns its path.
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

/// A lab with two more ports: one plays the flood for ever, as fast as it is polled, the other
/// takes what the director sends on and drops it.
fn flooded_lab() -> Lab {
    Lab::with_more(|folder| {
        let flood = format!("net_pcap0,rx_pcap={},infinite_rx=1", capture(folder));
        More {
            devices: vec![("dpdk2", flood), ("dpdk3", "net_null0,no-rx=1".to_owned())],
            // The port that plays the flood keeps an mbuf for each of its packets.
            mbufs: Some(CLIENTS as u32 + 32_768),
            ..More::default()
        }
    })
}

/// Configures the service that is flooded.
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

/// Floods of SYNs and datagrams from random sources leave established conns running, and memory
/// does not grow.
#[test]
fn a_flood_of_a_minute_leaves_established_conns_and_memory_alone() {
    let mut lab = flooded_lab();
    set_up_talk(&mut lab);
    let said = lab.folder.file("said");
    let mut talk = start_talk(&lab, &said);
    let_the_flood_in(&lab);
    // Once every slot of the table was in use, no more memory is touched for the first time.
    until(PATIENCE, "a full table", || {
        (lab.worker_count("conns_recycled") > 0).then_some(())
    });
    let (before, began) = (memory_kb(&lab.director), Instant::now());
    let lines = || std::fs::read_to_string(&said).unwrap().lines().count();
    let mut heard = lines();
    while began.elapsed() < FLOOD {
        // The talk itself fails if an answer takes ten seconds.
        heard = until(Duration::from_secs(15), "an answer", || {
            assert_eq!(talk.child.try_wait().unwrap(), None, "the talk goes on");
            Some(lines()).filter(|now| *now > heard)
        });
    }
    let growth = memory_kb(&lab.director).saturating_sub(before);
    assert!(growth <= MOST_GROWTH_KB, "memory grew by {growth} kB");
    let made = lab.worker_count("conns_made");
    println!("{made} conns made");
    assert!(made > 1_000_000, "too few new conns for a flood");
    assert!(talk.terminate(PATIENCE), "the talk ends well");
}

/// The service of the talk, with two real servers that answer.
fn set_up_talk(lab: &mut Lab) {
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
    lab.start_on_servers(&["python3", &peer("line_echo.py"), &PORT.to_string()]);
}

/// Starts the talk once the servers listen. What it prints goes to the file `said`.
fn start_talk(lab: &Lab, said: &Path) -> Running {
    until(PATIENCE, "a conn", || {
        let mut command = lab.client.command("python3");
        command.args([&peer("talk.py"), "10.0.0.100", &PORT.to_string()]);
        let mut talk = Running::start(command.stdout(File::create(said).unwrap()));
        let goes_on = until(PATIENCE, "the talk to begin or fail", || {
            let has_ended = talk.child.try_wait().unwrap().is_some();
            let has_begun = std::fs::metadata(said).unwrap().len() > 0;
            (has_ended || has_begun).then_some(!has_ended)
        });
        goes_on.then_some(talk)
    })
}
