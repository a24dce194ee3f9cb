//! The program as a user runs it, against a daemon without a dataplane.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod fake;

use std::io::Read;
use std::process::Stdio;

use fake::{Daemon, program};
use proto::v1::{
    Family, Link, Memory, Mempool, SapoolUse, Scope, Worker, WorkerCounter, WorkerMemory,
    WorkerStats,
};

#[test]
fn addresses_go_in_and_come_out_as_in_the_tutorial() {
    let daemon = fake::start();
    assert_eq!(daemon.run("addr add 10.0.0.100/32 dev dpdk1"), "");
    assert_eq!(
        daemon.run("addr add 192.168.100.200/32 dev dpdk0 sapool"),
        ""
    );
    daemon.state.lock().unwrap().addresses[1].sapool_use = Some(SapoolUse {
        used: 0,
        free: 1_032_176,
        missed: 0,
    });
    assert_eq!(
        daemon.run("addr show"),
        "inet 10.0.0.100/32 scope global dpdk1
     valid_lft forever preferred_lft forever
inet 192.168.100.200/32 scope global dpdk0
     valid_lft forever preferred_lft forever sa_used 0 sa_free 1032176 sa_miss 0
"
    );
    assert!(!daemon.run("addr show dev dpdk1").contains("dpdk0"));
    let json: serde_json::Value = serde_json::from_str(&daemon.run("addr show --json")).unwrap();
    assert_eq!(json[1]["sapool"]["free"], 1_032_176);

    daemon.run("addr set 10.0.0.100/16 dev dpdk1");
    assert!(daemon.run("addr show").contains("10.0.0.100/16"));
    daemon.run("addr del 10.0.0.100 dev dpdk1");
    daemon.run("addr flush dev dpdk0");
    assert_eq!(daemon.run("addr show"), "");
}

#[test]
fn routes_go_in_and_come_out_as_in_the_tutorial() {
    let daemon = fake::start();
    daemon.run("route add 10.0.0.0/16 dev dpdk1");
    daemon.run("route add default via 10.140.31.254 src 10.140.16.48 dev dpdk0");
    for route in &mut daemon.state.lock().unwrap().routes {
        // The real daemon fills these in.
        route.mtu = 1500;
        if route.gateway.is_none() {
            route.scope = Scope::Link.into();
        }
    }
    assert_eq!(
        daemon.run("route show"),
        "\
inet 10.0.0.0/16 via 0.0.0.0 src 0.0.0.0 dev dpdk1 mtu 1500 tos 0 scope link metric 0 proto auto
inet 0.0.0.0/0 via 10.140.31.254 src 10.140.16.48 dev dpdk0 mtu 1500 tos 0 scope global metric 0 \
    proto auto
"
    );
    assert!(!daemon.run("route show dev dpdk1").contains("dpdk0"));
    daemon.run("route set 10.0.0.0/16 dev dpdk1 metric 5");
    assert!(daemon.run("route list").contains("metric 5"));
    daemon.run("route replace 10.0.0.0/16 dev dpdk1 metric 6");
    assert!(daemon.run("route list").contains("metric 6"));
    // As in ip-route(8), IPv4 and IPv6 are two tables.
    daemon.run("route add 2001:db8:1::/64 dev dpdk1");
    assert!(!daemon.run("route show").contains("inet6"));
    assert!(
        daemon
            .run("-6 route show")
            .starts_with("inet6 2001:db8:1::/64 dev dpdk1 mtu 0")
    );
    daemon.run("-6 route del 2001:db8:1::/64");
    daemon.run("route del 10.0.0.0/16");
    daemon.run("route flush dev dpdk0");
    assert_eq!(daemon.run("--json route show").trim(), "[]");
}

#[test]
fn neighbours_go_in_and_come_out() {
    let daemon = fake::start();
    daemon.run("neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev dpdk0");
    let shown = daemon.run("neigh show dev dpdk0");
    assert!(shown.starts_with("ip: 10.0.0.1 ") && shown.contains(" mac: 02:00:00:00:00:01 "));
    daemon.run("neigh del 10.0.0.1 lladdr 02:00:00:00:00:01 dev dpdk0");
    daemon.run("neigh flush");
    assert_eq!(daemon.run("neigh show"), "");
}

fn with_links() -> Daemon {
    let daemon = fake::start();
    let mut state = daemon.state.lock().unwrap();
    state.links = ["dpdk0", "dpdk1"]
        .map(|name| Link {
            name: name.into(),
            ..Link::default()
        })
        .into();
    state.workers = [1, 2]
        .map(|lcore| Worker {
            lcore,
            stats: Some(WorkerStats {
                counters: vec![WorkerCounter {
                    name: "transmitted".into(),
                    label: "transmitted".into(),
                    ..WorkerCounter::default()
                }],
                ..WorkerStats::default()
            }),
            ..Worker::default()
        })
        .into();
    drop(state);
    daemon
}

#[test]
fn links_and_workers_are_shown_and_set() {
    let daemon = with_links();
    daemon.run("link set dpdk0 promisc on");
    assert!(daemon.run("link show dpdk0").contains(" promisc "));
    assert!(daemon.run("link show").contains(": dpdk1: "));
    assert!(daemon.run("-s link show cpu").contains("2: cpu2: "));
    let one = daemon.run("-s link show cpu1");
    assert!(
        one.contains("transmitted") && !one.contains("cpu2"),
        "{one}"
    );
    let (status, text) = daemon.refused("link show dpdk9");
    assert_eq!((status, text.as_str()), (1, "dpip: no device 'dpdk9'\n"));
}

#[test]
fn samples_come_at_their_interval_as_text_and_as_json() {
    let daemon = with_links();
    let text = daemon.run("-s link show dpdk0 -i 1 -c 1");
    assert!(text.contains("ipackets/pps"), "{text}");
    let rate: u64 = text
        .lines()
        .nth(2)
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap();
    // The counter grows by 1000 between two samples, which are a second or a little more apart.
    assert!((1..=1000).contains(&rate), "{text}");
    let json = daemon.run("--json -s link show dpdk0 -c 1");
    assert_eq!(json.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value[0]["name"], "dpdk0");
}

#[test]
fn samples_end_when_nobody_reads_them() {
    let daemon = with_links();
    let mut child = daemon
        .command("-s link show -i 1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    // The pipe is closed now, and writing the next sample fails.
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn the_family_is_asked_for() {
    let daemon = fake::start();
    for line in [
        "addr show",
        "-4 addr show",
        "addr show -6",
        "-f inet addr show",
    ] {
        daemon.run(line);
    }
    assert_eq!(
        daemon.state.lock().unwrap().families,
        [Family::Any, Family::Inet, Family::Inet6, Family::Inet]
    );
}

#[test]
fn what_is_wrong_is_said_with_its_exit_status() {
    let daemon = fake::start();
    daemon.run("addr add 10.0.0.100/32 dev dpdk1");
    for (line, status, part) in [
        (
            "addr add 10.0.0.100/32 dev dpdk1",
            1,
            "that address is taken: take it out of the services first (`ipvsadm-rs --del-laddr`), \
             or delete it (`dpip addr del 10.0.0.100/32 dev dpdk1`)",
        ),
        ("addr bogus", 1, "invalid command 'bogus'"),
        (
            "addr flsuh dev dpdk0",
            1,
            "invalid command 'flsuh': did you mean 'flush'?",
        ),
        ("adr show", 1, "unknown object 'adr': did you mean 'addr'?"),
        ("", 1, "an object is missing"),
        ("addr", 1, "a command is missing"),
        ("addr add 10.0.0.1", 1, "a device is missing"),
        ("addr add dev dpdk0", 1, "an address is missing"),
        (
            "addr show 10.0.0.1",
            1,
            "'10.0.0.1' is not understood here. Valid: dev",
        ),
        ("route add dev dpdk0", 1, "a destination is missing"),
        ("route flush", 1, "a device is missing"),
        (
            "neigh add 10.0.0.1 dev dpdk0",
            1,
            "address, lladdr or device is missing",
        ),
        ("link flush", 1, "invalid command 'flush'"),
        (
            "vlan add link dpdk0 id 100",
            2,
            "'dpip vlan' is not supported yet",
        ),
        ("eal-mem show seg", 2, "is not supported yet"),
        ("addr test 10.0.0.1 dev dpdk0", 2, "is not supported yet"),
        ("link show bond0 status", 2, "is not supported yet"),
        ("--bogus addr show", 1, "unknown option '--bogus'"),
    ] {
        let (code, text) = daemon.refused(line);
        assert!(
            code == status && text.starts_with("dpip: ") && text.contains(part),
            "{line}: {code}: {text}"
        );
        assert_eq!(text.lines().count(), 1, "one sentence: {text}");
    }
}

#[test]
fn help_and_version_need_no_daemon() {
    for (line, part) in [
        ("-V", concat!("dpip-", env!("CARGO_PKG_VERSION"), "\n")),
        (
            "--help",
            "OBJECT  := { link | addr | route | neigh | eal-mem }",
        ),
        (
            "addr help",
            "IFADDR    := { PREFIX | ADDR } [ broadcast ADDR ]",
        ),
        ("route help", "dpip route add default via 10.0.0.1"),
        ("neigh help", "lladdr LLADDR dev DEVICE"),
        ("eal-mem help", "dpip eal-mem show"),
        ("link help", "promisc [on|off], forward2kni [on|off]"),
    ] {
        let output = program(line).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.contains(part),
            "{line}: {text}"
        );
    }
}

#[test]
fn without_a_daemon_there_is_a_way_out() {
    let output = program("addr show --socket /nonexistent/dpvsd.sock")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.starts_with("dpip: cannot reach dpvsd at /nonexistent/dpvsd.sock: ")
            && text.contains("dpvsd --config FILE"),
        "{text}"
    );
}

#[test]
fn odd_arguments_and_closed_outputs_are_no_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let output = program("addr")
        .arg(OsStr::from_bytes(b"\xff\xfe"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("is not UTF-8"), "{text}");

    // Standard error is a pipe that nobody reads.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = program("addr bogus").stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

/// Pools in the columns of DPVS's `dpip eal-mem`, and the workers' memory below them.
#[test]
fn memory_is_shown_by_pool_and_by_worker() {
    let daemon = fake::start();
    daemon.state.lock().unwrap().memory = Memory {
        pools: vec![Mempool {
            name: "dpvsd".into(),
            flags: 0x10,
            element_bytes: 2304,
            header_bytes: 64,
            private_bytes: 64,
            size: 65_535,
            used: 512,
            memory_bytes: 148 << 20,
            ..Mempool::default()
        }],
        workers: vec![WorkerMemory {
            lcore: 1,
            max_conns: 1_000_000,
            conns: 5,
            conn_table_bytes: 93_400_000,
            counter_bytes: 65_536,
            local_port_bytes: 132_096,
            ..WorkerMemory::default()
        }],
    };
    assert_eq!(
        daemon.run("eal-mem show"),
        "\
pool_name                 flags   elt_size header_size trailer_size private_data_size       \
    size       used    Mem(MB)
dpvsd                        10       2304          64            0                64      \
    65535        512      148.0
worker                max_conns      conns     conn_table     bytes/conn       counters    \
    local_ports    Mem(MB)
cpu1                    1000000          5       93400000           93.4          65536         \
    132096       89.3
"
    );
    assert!(!daemon.run("eal-mem show pool").contains("cpu1"));
    assert!(!daemon.run("eal-mem show worker").contains("pool_name"));
    let json: serde_json::Value = serde_json::from_str(&daemon.run("eal-mem show --json")).unwrap();
    assert_eq!(json["pools"][0]["size"], 65_535);
    assert_eq!(json["workers"][0]["bytes_per_conn"], 93.4);
    let (status, text) = daemon.refused("eal-mem show zone");
    assert!(status == 2 && text.contains("eal-mem show zone"), "{text}");
    assert_eq!(daemon.refused("eal-mem flush").0, 1);
}
