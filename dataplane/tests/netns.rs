//! The real `dpvsd` on DPDK ports over veth, with real clients and real servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use lab::{Lab, More, PATIENCE, peer, program};
use testkit::netns::{Folder, until};

#[test]
fn a_page_is_fetched_through_the_vip_and_the_tables_look_as_in_the_tutorial() {
    let mut lab = Lab::new(1);
    lab.set_up();
    lab.start_web();
    // The TOA option is the first after the TCP header: kind 254, length 8, the client's port, and
    // its address 10.0.0.48.
    let toa = "tcp[20]==254 and tcp[21]==8 and tcp[24:4]==0x0a000030";
    let mut capture = lab.servers[0].spawn(&["tcpdump", "-ni", "eth0", "-c", "1", toa]);
    lab.fetch_from_both();
    until(PATIENCE, "TOA on the wire", || {
        lab.fetch();
        capture.child.try_wait().unwrap()
    });
    let list = lab.ipvsadm("-ln -t 10.0.0.100:80");
    assert!(
        list.starts_with(
            "IP Virtual Server version 0.1.0 (size=0)\nProt LocalAddress:Port Scheduler Flags\n"
        ),
        "{list}"
    );
    assert!(
        list.contains("\nTCP  10.0.0.100:80 rr\n  -> 192.168.100.2:80             FullNat 1      "),
        "{list}"
    );
    let laddr = "inet 192.168.100.200/32 scope global dpdk0\n     \
                 valid_lft forever preferred_lft forever sa_used ";
    assert!(lab.dpip("addr show").contains(laddr));
    assert!(
        lab.ipvsadm("-lnc")
            .contains("10.0.0.100:80      192.168.100.200:")
    );
    every_packet_is_accounted_for(&lab);
}

#[test]
fn a_director_serves_on_when_the_disk_of_its_log_is_full() {
    let mut lab = Lab::with_more(|_| More {
        log_is_full: true,
        ..More::default()
    });
    // Each change is a line, which cannot be written.
    lab.set_up();
    lab.start_web();
    lab.fetch_from_both();
}

#[test]
fn packets_lost_for_want_of_something_are_logged_once_with_the_service() {
    let lab = Lab::new(1);
    let log = || std::fs::read_to_string(lab.folder.file("dpvsd.log")).unwrap();
    // The tutorial's order: real servers come before local addresses.
    lab.set_up();
    lab.ipvsadm("-A -t 10.0.0.100:8080 -s rr");
    lab.ipvsadm("-A -t 10.0.0.100:8081 -s rr");
    lab.ipvsadm("-a -t 10.0.0.100:8081 -r 192.168.100.2 -b");
    assert!(!log().contains(" WARN "), "nothing is wrong yet: {}", log());
    for (port, reason) in [(8080, "NoDest"), (8081, "NoLaddr")] {
        let url = format!("http://10.0.0.100:{port}/");
        let start = format!("packets dropped, {reason}: ");
        until(PATIENCE, &start, || {
            lab.client.output(&["curl", "-s", "--max-time", "1", &url]);
            log().contains(&start).then_some(())
        });
        let text = log();
        let mut lines = text.lines().filter(|line| line.contains(&start));
        let line = lines.next().unwrap();
        assert!(line.contains(" WARN "), "{line}");
        assert!(
            line.ends_with(&format!(". It is TCP 10.0.0.100:{port}")),
            "{line}"
        );
        assert_eq!(lines.count(), 0, "once a minute at most");
    }
}

#[test]
fn a_worker_polls_the_queue_that_it_was_given() {
    // Queue 0 of dpdk2 plays 30 frames and queue 1 plays 300, all to somebody else.
    let lab = Lab::with_workers(2, |folder| {
        let few = capture(folder, "few.pcap", 30);
        let many = capture(folder, "many.pcap", 300);
        let vdev = format!("net_pcap7,rx_pcap={few},rx_pcap={many},tx_iface=lo,tx_iface=lo");
        More {
            devices: vec![("dpdk2", vdev)],
            queues_are_swapped: true,
            ..More::default()
        }
    });
    let received = |cpu: &str| -> u64 {
        let text = lab.dpip(&format!("--json link show {cpu}"));
        let mut lines = text.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix("\"received\":"));
        value.unwrap().trim().trim_end_matches(',').parse().unwrap()
    };
    // The first worker runs on lcore 1 and has queue 1. The lab's own devices add a few frames.
    until(PATIENCE, "330 frames", || {
        (received("cpu1") >= 300 && received("cpu2") >= 30).then_some(())
    });
    assert!(received("cpu2") < 300);
    assert!(lab.dpip("link show cpu1").contains("dpdk2:rx1,tx1"));
}

/// A capture of so many frames to a MAC address that no device has. Its path.
fn capture(folder: &Folder, name: &str, frames: usize) -> String {
    // The pcap format: magic, version 2.4, zone, accuracy, longest frame, Ethernet.
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    let mut frame = [0_u8; 60];
    frame[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    for _ in 0..frames {
        for word in [0, 0, frame.len() as u32, frame.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    std::fs::write(folder.file(name), bytes).unwrap();
    folder.file(name).display().to_string()
}

/// Received = transmitted + to kernel + redirected + held + consumed + dropped.
fn every_packet_is_accounted_for(lab: &Lab) {
    until(PATIENCE, "counters that add up", || {
        let ends = ["transmitted", "to_kernel", "redirected", "held", "consumed"];
        let sum: u64 = ends.iter().map(|end| lab.worker_count(end)).sum();
        // The counters are read one after the other, so they add up only while no packet moves.
        (lab.worker_count("received") == sum + drops(lab)).then_some(())
    });
}

/// Dropped packets, all reasons together.
fn drops(lab: &Lab) -> u64 {
    let text = lab.dpip("-s link show cpu");
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("drop "));
    lines
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum()
}

#[test]
fn udp_is_forwarded_through_the_vip() {
    let mut lab = Lab::new(1);
    lab.set_up();
    lab.start_on_servers(&["python3", &peer("datagram_echo.py"), "0.0.0.0", "80"]);
    let ask = peer("datagram_ask.py");
    for _ in 0..4 {
        until(PATIENCE, "an answer", || {
            lab.client
                .output(&["python3", &ask, "10.0.0.100", "80", "3"])
                .status
                .success()
                .then_some(())
        });
    }
    assert!(lab.ipvsadm("-lnc").contains("UDP_NORMAL"));
    let memory = lab.dpip("eal-mem show");
    assert!(
        memory.contains("\ndpvsd ") && memory.contains("\ncpu1 "),
        "{memory}"
    );
}

#[test]
fn replies_that_arrive_at_another_worker_find_their_conn() {
    let mut lab = Lab::new(2);
    lab.set_up();
    lab.start_web();
    lab.fetch_from_both();
    until(PATIENCE, "a packet for the other worker", || {
        assert!(
            lab.fetch().is_some(),
            "no fetch may fail, whichever worker it meets"
        );
        (lab.worker_count("redirected_in") > 0).then_some(())
    });
    assert!(
        lab.dpip("-v link show dpdk0")
            .contains("steering redirect ring")
    );
}

#[test]
fn iperf3_runs_through_the_vip_without_a_stall() {
    let mut lab = Lab::new(1);
    lab.set_up();
    lab.ipvsadm("-A -t 10.0.0.100:5201 -s rr");
    lab.ipvsadm("-a -t 10.0.0.100:5201 -r 192.168.100.2 -b");
    lab.ipvsadm("--add-laddr -z 192.168.100.200 -t 10.0.0.100:5201 -F dpdk0");
    lab.start_on_servers(&["iperf3", "-s"]);
    until(PATIENCE, "iperf3's server", || {
        lab.client
            .output(&["iperf3", "-c", "10.0.0.100", "-n", "1K"])
            .status
            .success()
            .then_some(())
    });
    let log = lab.folder.file("iperf3.log").display().to_string();
    let mut running = lab.client.spawn(&[
        "iperf3",
        "-c",
        "10.0.0.100",
        "-t",
        "10",
        "-i",
        "1",
        "-f",
        "k",
        "--logfile",
        &log,
    ]);
    until(PATIENCE, "a rate of more than 100 packets a second", || {
        let rates = lab.ipvsadm("-ln --rate -t 10.0.0.100:5201");
        let service = rates.lines().find(|line| line.starts_with("TCP"))?;
        let in_pps: u64 = service.split_whitespace().nth(3)?.parse().ok()?;
        (in_pps > 100).then_some(())
    });
    until(PATIENCE, "iperf3 to end", || {
        running.child.try_wait().unwrap()
    });
    let report = std::fs::read_to_string(&log).unwrap();
    let intervals: Vec<&str> = report
        .lines()
        .filter(|line| {
            line.contains(" sec ") && !line.contains("sender") && !line.contains("receiver")
        })
        .collect();
    assert!(intervals.len() >= 10, "{report}");
    assert!(
        !intervals.iter().any(|line| line.contains(" 0.00 ")),
        "a second without a byte:\n{report}"
    );
}

/// What the dataplane does not handle goes to the kernel: sshd listens on an address of the kni
/// netdev.
#[test]
fn ssh_into_the_director_works_through_the_dpdk_port() {
    let lab = Lab::new(1);
    let netns = &lab.director_netns;
    netns.ip("link set dpdk1.kni up");
    netns.ip("addr add 10.0.0.77/16 dev dpdk1.kni");
    let (host_key, user_key) = (lab.folder.file("host"), lab.folder.file("user"));
    for key in [&host_key, &user_key] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(key)
            .status()
            .unwrap();
        assert!(made.success());
    }
    std::fs::create_dir_all("/run/sshd").unwrap();
    let (host_key, user_key) = (
        host_key.display().to_string(),
        user_key.display().to_string(),
    );
    let config = lab.folder.write(
        "sshd.conf",
        &format!(
            "ListenAddress 10.0.0.77\nHostKey {host_key}\nAuthorizedKeysFile {user_key}.pub\n\
             StrictModes no\nUsePAM no\nPidFile none\n"
        ),
    );
    let _sshd = netns.spawn(&["/usr/sbin/sshd", "-D", "-f", config.to_str().unwrap()]);
    let ssh = [
        "ssh",
        "-i",
        &user_key,
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=3",
        "root@10.0.0.77",
        "echo",
        "through",
        "the",
        "port",
    ];
    let said = until(PATIENCE, "ssh", || {
        Some(lab.client.output(&ssh)).filter(|output| output.status.success())
    });
    assert_eq!(
        String::from_utf8(said.stdout).unwrap(),
        "through the port\n"
    );
    assert!(lab.worker_count("to_kernel") > 0);
}

#[test]
fn saved_rules_are_restored_and_a_wrong_line_restores_nothing() {
    let lab = Lab::new(1);
    lab.set_up();
    lab.ipvsadm("-e -t 10.0.0.100:80 -r 192.168.100.2 -b -w 7 -x 100 -y 50");
    lab.ipvsadm("-E -t 10.0.0.100:80 -s wrr --conn-timeout 120");
    let saved = lab.ipvsadm("-S -n");
    lab.ipvsadm("-C");
    assert!(has_no_services(&lab));
    assert!(
        !lab.dpip("addr show").contains("192.168.100.200"),
        "the local address went with its last service"
    );

    let broken = format!("{saved}-a -t 10.0.0.100:80 -r 192.168.100.2 -b\n");
    let (ok, error) = restore(&lab, &broken);
    assert!(
        !ok && error.contains(&format!("line {}: ", broken.lines().count()))
            && error.contains("already a dest"),
        "{error}"
    );
    assert!(has_no_services(&lab), "all or nothing");
    assert!(restore(&lab, &saved).0);
    assert_eq!(lab.ipvsadm("-S -n"), saved);
    assert!(
        lab.dpip("addr show")
            .contains("192.168.100.200/32 scope global dpdk0")
    );
}

/// Whether `-S` has the timeouts and nothing else.
fn has_no_services(lab: &Lab) -> bool {
    let saved = lab.ipvsadm("-S");
    saved.starts_with("--set ") && saved.lines().count() == 1
}

fn restore(lab: &Lab, text: &str) -> (bool, String) {
    let mut command = Command::new(program("ipvsadm-rs"));
    command
        .arg("-R")
        .env("DPVS_SOCKET", lab.folder.file("dpvsd.sock"));
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// What `dpip` refuses: the arguments, the exit status, and a part of the message.
const REFUSED_BY_DPIP: &[(&str, i32, &str)] = &[
    (
        "addr add 10.0.0.9/32 dev dpdk9",
        1,
        "no device 'dpdk9': the devices are dpdk0, dpdk1",
    ),
    (
        "addr add 10.0.0.100/32 dev dpdk0",
        1,
        "10.0.0.100 is already an address of dpdk1",
    ),
    (
        "route add 10.9.0.0/16 via 172.16.0.1 dev dpdk1",
        1,
        "the gateway 172.16.0.1 is not on the link",
    ),
    ("addr bogus", 1, "invalid command 'bogus'"),
    (
        "vlan add link dpdk0 id 100",
        2,
        "'dpip vlan' is not supported yet",
    ),
];

/// What `ipvsadm-rs` refuses: the arguments, the exit status, and a part of the message.
const REFUSED_BY_IPVSADM: &[(&str, i32, &str)] = &[
    ("-A -t 10.0.0.100:80 -s rr", 1, "exists"),
    (
        "-A -t 10.0.0.101:80 -s -rr",
        1,
        "unknown scheduler '-rr': did you mean rr?",
    ),
    (
        "-a -t 10.0.0.100:80 -r 192.168.100.2 -b",
        1,
        "already a dest",
    ),
    (
        "-a -t 10.0.0.100:80 -r 192.168.100.9 -J",
        1,
        "does not go with it",
    ),
    (
        "-a -t 10.0.0.100:80 -r 192.168.100.9:70000 -b",
        2,
        "invalid port '70000'",
    ),
    (
        "-a -t 10.0.0.200:80 -r 192.168.100.9 -b",
        1,
        "no service TCP 10.0.0.200:80",
    ),
    (
        "--add-laddr -z 10.0.0.100 -t 10.0.0.100:80 -F dpdk0",
        1,
        "is an address of dpdk1",
    ),
    ("-A -f 1 -s rr", 2, "there is no --fwmark-service"),
    (
        "-a -t 10.0.0.100:80",
        2,
        "You need to supply the 'real-server' option",
    ),
];

#[test]
fn wrong_commands_are_refused_with_a_message_and_change_nothing() {
    let lab = Lab::new(1);
    lab.set_up();
    let all = || {
        let tables = [lab.dpip("addr show"), lab.dpip("route show")];
        (lab.ipvsadm("-S"), tables)
    };
    let before = all();
    for (name, refused) in [
        ("dpip", REFUSED_BY_DPIP),
        ("ipvsadm-rs", REFUSED_BY_IPVSADM),
    ] {
        for (args, status, sentence) in refused {
            let (code, text) = lab.refused(name, args);
            assert!(
                code == *status && text.contains(sentence),
                "{name} {args}: status {code}: {text}"
            );
        }
    }
    assert_eq!(all(), before);
}

#[test]
fn misbehaving_clients_of_the_control_socket_do_not_disturb_others() {
    let mut lab = Lab::new(1);
    lab.set_up();
    lab.start_web();
    let socket = lab.folder.file("dpvsd.sock");
    let mut abuse = Vec::new();
    for n in 0..400 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        match n % 3 {
            0 => drop(stream.write_all(&[0xff; 4096])),
            1 => drop(stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff")),
            _ => {}
        }
        abuse.push(stream);
    }
    assert!(lab.ipvsadm("-ln").contains("10.0.0.100:80"));
    lab.fetch_from_both();
    drop(abuse);
    assert!(lab.dpip("link show").contains("dpdk1"));
}

#[test]
fn dpvsd_stops_on_sigterm_and_leaves_no_socket_behind() {
    let mut lab = Lab::new(2);
    lab.set_up();
    assert!(lab.director.terminate(PATIENCE), "exit status 0");
    assert!(!lab.folder.file("dpvsd.sock").exists());
    let (code, text) = lab.refused("dpip", "addr show");
    assert!(
        code == 1 && text.contains("Are you sure that dpvsd is running?"),
        "{text}"
    );
}

#[test]
fn a_configuration_is_checked_before_dpvsd_starts() {
    let lab = Lab::new(1);
    let check = |text: &str| {
        let path = lab.folder.write("wrong.toml", text);
        let mut command = lab.director_netns.command(program("dpvsd"));
        let output = command
            .args(["--check", "--config"])
            .arg(path)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let device = "[[device]]\nname = \"dpdk0\"\n";
    for (text, sentence) in [
        ("[[device]]\nname = \"dpdk0".to_owned(), "wrong.toml:2:"),
        (
            format!("{device}vdev = \"net_af_packet0,iface=lan\"\nquues = 1\n"),
            "wrong.toml:4: unknown key 'quues'",
        ),
        (
            format!("{device}vdev = \"net_af_packet0,iface=nope\"\n"),
            "there is no interface nope",
        ),
        (
            format!("{device}pci = \"0000:ff:1f.7\"\n"),
            "there is no PCI device 0000:ff:1f.7",
        ),
        (
            format!("{device}vdev = \"net_af_packet0,iface=lan\"\n[workers]\ncount = 64\n"),
            "worker lcore 64 wants CPU 64",
        ),
    ] {
        let (ok, error) = check(&text);
        assert!(!ok && error.contains(sentence), "{error}");
    }
    assert!(check(&format!("{device}vdev = \"net_af_packet0,iface=lan\"\n")).0);
    // A second daemon on the same socket does not start.
    let mut second = lab.director_netns.command(program("dpvsd"));
    let output = second
        .arg("--config")
        .arg(lab.folder.file("dpvsd.toml"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("another dpvsd answers"));
}
