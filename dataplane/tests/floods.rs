//! Floods on the wire, with a client and a server that go on talking.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod lab;

use std::time::{Duration, Instant};

use lab::{Lab, PATIENCE};
use testkit::netns::{Running, until};

/// As long as the issue has it.
const FLOOD: Duration = Duration::from_secs(60);
/// Between two packets: in three seconds there are more new clients than the director's table has room for. Much faster,
/// and the port's ring overflows, where nobody can tell a flood from a conn.
const GAP: &str = "10us";
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
fn flood(lab: &Lab) -> Running {
    let mac = |netns: &testkit::netns::Netns, dev: &str| {
        let path = format!("/sys/class/net/{dev}/address");
        netns.run(&["cat", &path]).trim().to_owned()
    };
    let ethernet = format!(
        "eth(da={}, sa={})",
        mac(&lab.director_netns, "wan"),
        mac(&lab.client, "eth0")
    );
    let ipv4 = "ipv4(saddr=drnd(), daddr=10.0.0.100, ttl=64)";
    let config = lab.folder.write(
        "flood.cfg",
        &format!(
            "{{ {ethernet}, {ipv4}, tcp(sport=drnd(), dport={PORT}, seq=drnd(), win=8192, syn) }}\n\
             {{ {ethernet}, {ipv4}, udp(sport=drnd(), dport={PORT}) }}\n"
        ),
    );
    let config = config.to_str().unwrap();
    lab.client.spawn(&[
        "trafgen", "--conf", config, "--dev", "eth0", "--cpus", "1", "--gap", GAP,
    ])
}

fn memory_kb(process: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
}

/// The issue: floods of SYNs and datagrams from random sources leave established conns running and memory flat.
#[test]
fn a_minute_s_flood_leaves_conns_alone_and_memory_flat() {
    let mut lab = Lab::new(1);
    lab.dpip("addr add 10.0.0.100/32 dev dpdk1");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    for protocol in ["-t", "-u"] {
        let service = format!("{protocol} 10.0.0.100:{PORT}");
        lab.ipvsadm(&format!("-A {service} -s rr"));
        for server in ["192.168.100.2", "192.168.100.3"] {
            lab.ipvsadm(&format!("-a {service} -r {server}:{PORT} -b"));
        }
        lab.ipvsadm(&format!(
            "--add-laddr -z 192.168.100.200 {service} -F dpdk0"
        ));
    }
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
    let _flood = flood(&lab);
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
    assert!(made > 500_000, "only {made} conns made");
    assert!(talk.terminate(PATIENCE), "to the end");
}
