//! The program as a user runs it, against a daemon without a dataplane.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod fake;

use std::io::Read;
use std::process::Stdio;

use fake::{Daemon, program};
use proto::v1::{Conn, IpAddress, Protocol, ServiceKey, Timeouts};

/// The tutorial's two-arm FullNAT service, with its own lines.
fn tutorial() -> Daemon {
    let daemon = fake::start();
    for line in [
        "-A -t 10.0.0.100:80 -s rr",
        "-a -t 10.0.0.100:80 -r 192.168.100.2 -b",
        "-a -t 10.0.0.100:80 -r 192.168.100.3 -b",
        "--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0",
    ] {
        assert_eq!(daemon.run(line), "", "{line}");
    }
    daemon
}

/// What `-S` prints below the timeouts.
fn rules(daemon: &Daemon) -> String {
    let saved = daemon.run("-S -n");
    let (first, rules) = saved.split_once('\n').unwrap();
    assert_eq!(first, "--set 0 0 0");
    rules.to_owned()
}

const LISTED: &str = "\
IP Virtual Server version 0.1.0 (size=0)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 rr
  -> 192.168.100.2:80             FullNat 1      0          0
  -> 192.168.100.3:80             FullNat 1      0          0
";

#[test]
fn the_tutorial_s_service_is_listed_as_in_the_tutorial() {
    let daemon = tutorial();
    for line in ["-ln", "-Ln", "-l -n -t 10.0.0.100:80", "-n --list --nosort"] {
        assert_eq!(daemon.run(line), LISTED, "{line}");
    }
    assert_eq!(
        daemon.run("-G"),
        "\
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS
10.0.0.100:80        1
                              192.168.100.200      0          0
"
    );
}

/// DPVS's own, the header in the first datagram alone, is the default and not shown.
#[test]
fn which_datagrams_carry_the_proxy_header_is_shown_and_saved() {
    let daemon = fake::start();
    let lines = [
        "-A -u 10.0.0.100:53 -s rr --proxy-protocol v2",
        "-A -u 10.0.0.101:53 -s rr --proxy-protocol v2 --proxy-protocol-udp each",
    ];
    for line in lines {
        assert_eq!(daemon.run(line), "", "{line}");
    }
    let listed = daemon.run("-ln");
    assert!(listed.contains("UDP  10.0.0.100:53 rr ppv2\n"), "{listed}");
    let line = "UDP  10.0.0.101:53 rr ppv2 proxy-protocol-udp each\n";
    assert!(listed.contains(line), "{listed}");
    assert_eq!(
        rules(&daemon),
        lines.map(|line| format!("{line}\n")).concat()
    );
}

/// Options stand after the scheduler in DPVS's words and order; `-B` and `-W` print as in DPVS.
#[test]
fn options_and_lists_are_shown_and_saved() {
    let daemon = fake::start();
    let lines = [
        "-A -t 10.0.0.100:80 -s rr -p 600 --conn-timeout 90 --conn-limit 1000 --conn-rate-limit \
        50 -M 255.255.255.0 -j enable --proxy-protocol v1-insecure --expire-quiescent",
        "-a -t 10.0.0.100:80 -r 192.168.100.2:80 -b -w 0",
        "-U -t 10.0.0.100:80 -k 192.0.2.0/24",
        "-U -t 10.0.0.100:80 -k 2001:db8::1",
        "-A -u [2001:db8::100]:53 -s rr -p 300 -M 64 --ops",
        "-O -u [2001:db8::100]:53 -2 192.0.2.7",
    ];
    for line in lines {
        assert_eq!(daemon.run(line), "", "{line}");
    }
    let listed = daemon.run("-ln");
    for line in [
        "TCP  10.0.0.100:80 rr persistent 600 mask 255.255.255.0 synproxy conn-timeout 90 \
        conn-limit 1000 conn-rate-limit 50 ppv1-insecure expire-quiescent\n",
        "UDP  [2001:db8::100]:53 rr persistent 300 mask 64 ops\n",
    ] {
        assert!(listed.contains(line), "{listed}");
    }
    assert_eq!(
        daemon.run("-B"),
        "\
PROTO    VIP:VPORT                      BLACKLIST
TCP      10.0.0.100:80                  192.0.2.0/24
TCP      10.0.0.100:80                  2001:db8::1
"
    );
    assert_eq!(
        daemon.run("-W"),
        "\
PROTO    VIP:VPORT                      WHITELIST
UDP      [2001:db8::100]:53             192.0.2.7
"
    );
    assert_eq!(
        rules(&daemon),
        lines.map(|line| format!("{line}\n")).concat()
    );
    daemon.run("-V -t 10.0.0.100:80 -k 2001:db8::1");
    assert_eq!(daemon.run("-B").lines().count(), 2);
    daemon.run("-A -t 10.0.0.101:80 -p");
    assert!(
        daemon
            .run("-ln")
            .contains("TCP  10.0.0.101:80  persistent 300\n")
    );
    daemon.run("-e -t 10.0.0.100:80 -r 192.168.100.2 -b -w 0 --drain 30");
    let drains = "0          0          drains within 30s\n";
    assert!(daemon.run("-ln").contains(drains));
}

#[test]
fn lists_come_in_every_form() {
    let daemon = tutorial();
    for (line, part) in [
        ("-ln --stats", "Conns   InPkts  OutPkts  InBytes OutBytes\n"),
        (
            "-ln --rate --exact",
            "CPS    InPPS   OutPPS    InBPS   OutBPS\n",
        ),
        (
            "-ln --thresholds",
            "Uthreshold Lthreshold ActiveConn InActConn\n",
        ),
        (
            "-ln --persistent-conn",
            "Weight    PersistConn ActiveConn InActConn\n",
        ),
        ("", "RemoteAddress:Port           Forward Weight"),
    ] {
        let text = daemon.run(line);
        assert!(text.starts_with("IP Virtual Server version 0.1.0 (size=0)\n"));
        assert!(text.contains(part), "{line}: {text}");
    }
    for line in ["-ln --json", "-G --json"] {
        let json: serde_json::Value = serde_json::from_str(&daemon.run(line)).unwrap();
        assert_eq!(json[0]["dests"][1]["address"], "192.168.100.3", "{line}");
    }
    // Services are sorted by address, not by the time when they were added.
    daemon.run("-A -t 10.0.0.99:80");
    let first = |line: &str| {
        let text = daemon.run(line);
        text.lines().nth(3).unwrap().to_owned()
    };
    assert!(first("-ln").contains("10.0.0.99:80"));
    assert!(first("-ln --nosort").contains("10.0.0.100:80"));
}

/// Flags as LVS lists them, the hash target as DPVS does. Both are saved, so that `-R` restores
/// them.
#[test]
fn schedulers_are_shown_and_saved_with_their_flags_and_hash_target() {
    let daemon = fake::start();
    for line in [
        "-A -t 10.0.0.100:80 -s mh -b mh-fallback,mh-port",
        "-A -t 10.0.0.101:80 -s sh --sched-flags sh-port",
        "-A -u 10.0.0.100:443 -s conhash --hash-target qid",
    ] {
        assert_eq!(daemon.run(line), "", "{line}");
    }
    assert_eq!(
        daemon.run("-ln"),
        "\
IP Virtual Server version 0.1.0 (size=0)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.100:80 mh (mh-fallback,mh-port)
TCP  10.0.0.101:80 sh (sh-port)
UDP  10.0.0.100:443 conhash qid
"
    );
    let saved = rules(&daemon);
    assert_eq!(
        saved,
        "\
-A -t 10.0.0.100:80 -s mh --sched-flags mh-fallback,mh-port
-A -t 10.0.0.101:80 -s sh --sched-flags sh-port
-A -u 10.0.0.100:443 -s conhash --hash-target qid
"
    );
    let again = fake::start();
    for line in saved.lines() {
        assert_eq!(again.run(line), "", "{line}");
    }
    assert_eq!(rules(&again), saved);
    // `-E` without flags clears them.
    daemon.run("-E -t 10.0.0.100:80 -s mh");
    assert!(daemon.run("-ln").contains("TCP  10.0.0.100:80 mh\n"));
}

#[test]
fn services_dests_and_local_addresses_change_and_go() {
    let daemon = tutorial();
    daemon.run("-E -t 10.0.0.100:80 -s wrr --conn-timeout 120");
    daemon.run("-e -t 10.0.0.100:80 -r 192.168.100.2 -b -w 7 -x 100 -y 50");
    daemon.run("-d -t 10.0.0.100:80 -r 192.168.100.3");
    assert_eq!(
        rules(&daemon),
        "\
-A -t 10.0.0.100:80 -s wrr --conn-timeout 120
-a -t 10.0.0.100:80 -r 192.168.100.2:80 -b -w 7 -x 100 -y 50
--add-laddr -z 192.168.100.200 -t 10.0.0.100:80 -F dpdk0
"
    );
    daemon.run("-Q -z 192.168.100.200 -t 10.0.0.100:80");
    assert!(!daemon.run("-G").contains("192.168.100.200"));
    daemon.run("-Z -t 10.0.0.100:80");
    daemon.run("-Z");
    let zeroed = daemon.state.lock().unwrap().zeroed.clone();
    assert!(zeroed.len() == 2 && zeroed[0].is_some() && zeroed[1].is_none());
    daemon.run("-D -t 10.0.0.100:80");
    assert_eq!(rules(&daemon), "");
}

#[test]
fn what_is_saved_is_restored_from_standard_input_and_from_a_file() {
    let daemon = tutorial();
    daemon.run("-A -u 10.0.0.100:53 -s wlc --conn-timeout 9");
    daemon.run("-a -u 10.0.0.100:53 -r 192.168.100.2 -b -x 9");
    let saved = daemon.run("-S");
    let before = daemon.state.lock().unwrap().services.clone();

    daemon.run("-C");
    assert_eq!(daemon.feed("-R", &saved), (0, String::new()));
    assert_eq!(daemon.state.lock().unwrap().services, before);

    daemon.run("-C");
    let file = daemon.folder.path().join("rules");
    std::fs::write(&file, format!("# rules\n\n{saved}")).unwrap();
    daemon.run(&format!("-R {}", file.display()));
    assert_eq!(daemon.state.lock().unwrap().services, before);

    let (status, text) = daemon.refused("-R /nonexistent/rules");
    assert!(status == 1 && text.contains("cannot read /nonexistent/rules"));
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_restored() {
    let daemon = fake::start();
    for (wrong, status, part) in [
        // The line is wrong.
        (
            "-A -t 10.0.0.100:99999",
            2,
            "line 4: invalid port '99999' in '10.0.0.100:99999'",
        ),
        ("-A -f 1", 2, "line 4: there is no --fwmark-service"),
        ("-l", 2, "line 4: 'list' cannot be restored"),
        // The daemon refuses it.
        ("-A -t 10.0.0.100:80", 1, "line 4: service exists"),
        ("-D -t 10.0.0.200:80", 1, "line 4: no such service"),
    ] {
        let text = format!("-A -t 10.0.0.100:80 -s rr\n# comment\n\n{wrong}\n");
        let (code, sentence) = daemon.feed("-R", &text);
        assert!(
            code == status && sentence.contains(part),
            "{wrong}: {code}: {sentence}"
        );
        assert!(sentence.contains("(nothing was restored)"), "{sentence}");
        assert_eq!(rules(&daemon), "", "all or nothing");
    }
}

/// ipvsadm(8): what a script does line by line, -R does too.
#[test]
fn timeouts_drains_and_flushes_are_saved_and_restored() {
    let daemon = tutorial();
    daemon.run("--set 90 3 300");
    daemon.run("-e -t 10.0.0.100:80 -r 192.168.100.2 -b -w 0 --drain 30");
    let saved = daemon.run("-S");
    assert!(saved.starts_with("--set 90 3 300\n"), "{saved}");
    assert!(saved.contains("-r 192.168.100.2:80 -b -w 0 --drain 30\n"));

    let again = fake::start();
    again.run("-A -t 10.0.0.7:80");
    let script = format!("ipvsadm -C\n{}", saved.replace("-A ", "/sbin/ipvsadm -A "));
    assert_eq!(again.feed("-R", &script), (0, String::new()));
    assert_eq!(again.run("-S"), saved);
}

#[test]
fn what_can_be_restored_is_and_the_rest_is_listed() {
    let daemon = tutorial();
    let good = |last| format!("-a -t 10.0.0.100:80 -r 192.168.100.{last} -b\n");
    let lines = [
        "-A -t 10.0.0.100:80 -s rr\n".to_owned(),
        good(10),
        "-A -t 10.0.0.101:80 --pe sip\n".to_owned(),
        good(11),
        good(12),
        "-D -t 10.0.0.200:80\n-D -t 10.0.0.201:80\n".to_owned(),
        "# the rest\n".to_owned(),
        (13..=30).map(good).collect(),
    ];
    let (status, text) = daemon.feed("-R --keep-going", &lines.concat());
    let expected = [
        "ipvsadm-rs: restored 21 of 25 lines, not these:",
        "  line 1: service exists",
        "  line 3: there is no --pe: persistence goes by the client's address (-p) or the QUIC \
        connection ID (-s conhash --hash-target qid)",
        "  line 6: no such service",
        "  line 7: no such service",
    ];
    assert_eq!((status, text.trim_end()), (1, &*expected.join("\n")));
    let rules = rules(&daemon);
    for last in 10..=30 {
        let dest = format!("-r 192.168.100.{last}:80 ");
        assert_eq!(rules.matches(&dest).count(), 1, "{dest}");
    }
    assert_eq!(daemon.feed("-R --keep-going", "-C\n"), (0, String::new()));
}

fn conns() -> Daemon {
    let daemon = tutorial();
    let end = |a, b, c, d| {
        Some(IpAddress {
            bytes: vec![a, b, c, d],
        })
    };
    let conn = |lcore, caddr| Conn {
        lcore,
        protocol: Protocol::Tcp.into(),
        expires_in_s: 3,
        state: "SYN_SENT".into(),
        caddr,
        cport: 63838,
        vaddr: end(192, 22, 2, 3),
        vport: 80,
        laddr: end(192, 21, 4, 5),
        lport: 1028,
        daddr: end(192, 21, 6, 11),
        dport: 80,
    };
    daemon.state.lock().unwrap().conns =
        vec![conn(6, end(192, 20, 0, 11)), conn(7, end(192, 20, 0, 12))];
    daemon
}

#[test]
fn conns_are_listed_without_a_header() {
    let daemon = conns();
    let (six, seven) = (
        "[6]tcp 3s     SYN_SENT    192.20.0.11:63838  192.22.2.3:80      192.21.4.5:1028    \
        192.21.6.11:80\n",
        "[7]tcp 3s     SYN_SENT    192.20.0.12:63838  192.22.2.3:80      192.21.4.5:1028    \
        192.21.6.11:80\n",
    );
    assert_eq!(daemon.run("-lnc"), format!("{six}{seven}"));
    assert_eq!(daemon.run("-lnc --cpu 7"), seven);
    let json: serde_json::Value = serde_json::from_str(&daemon.run("-lnc --json --cpu 6")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["client"], "192.20.0.11:63838");
    let asked = &daemon.state.lock().unwrap().asked;
    let lcores: Vec<_> = asked.iter().map(|request| request.lcore).collect();
    assert_eq!(lcores, [None, Some(7), Some(6)]);
}

#[test]
fn one_conn_is_found_by_its_sockpair() {
    let daemon = conns();
    let text = daemon.run("-lnc --sockpair tcp:192.20.0.12:63838:10.0.0.100:80");
    assert!(text.starts_with("[7]tcp ") && text.lines().count() == 1);
    let asked = daemon.state.lock().unwrap().asked[0].clone();
    assert_eq!(asked.client_port, 63838);
    assert_eq!(
        asked.service,
        Some(ServiceKey {
            r#match: None,
            protocol: Protocol::Tcp.into(),
            address: Some(IpAddress {
                bytes: vec![10, 0, 0, 100]
            }),
            port: 80
        })
    );
    let (status, text) = daemon.refused("-lnc --sockpair tcp:1.1.1.1:1:10.0.0.100:80");
    assert_eq!(
        (status, text.as_str()),
        (1, "ipvsadm-rs: connection specified not found\n")
    );
}

#[test]
fn a_long_list_ends_quietly_when_nobody_reads_it() {
    let daemon = conns();
    let one = daemon.state.lock().unwrap().conns[0].clone();
    daemon.state.lock().unwrap().conns = vec![one; 50_000];
    let mut child = daemon
        .command("-lnc")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn timeouts_are_set_and_shown() {
    let daemon = fake::start();
    daemon.run("--set 90 3 300");
    assert_eq!(
        daemon.state.lock().unwrap().timeouts,
        Timeouts {
            tcp_s: 90,
            tcp_fin_s: 3,
            udp_s: 300
        }
    );
    assert_eq!(
        daemon.run("-L --timeout"),
        "Timeout (tcp tcpfin udp): 90 3 300\n"
    );
    let json: serde_json::Value = serde_json::from_str(&daemon.run("-L --timeout --json")).unwrap();
    assert_eq!(json["tcpfin"], 3);
}

/// Each of the lines is refused with this exit status and one sentence, and changes nothing.
fn refuses(daemon: &Daemon, status: i32, lines: &[(&str, &str)]) {
    for (line, part) in lines {
        let (code, text) = daemon.refused(line);
        assert!(
            code == status && text.starts_with("ipvsadm-rs: ") && text.contains(part),
            "{line}: {code}: {text}"
        );
        assert_eq!(text.lines().count(), 1, "one sentence: {text}");
    }
    assert_eq!(daemon.run("-ln"), LISTED, "nothing changed");
}

#[test]
fn what_the_daemon_refuses_is_said_with_exit_status_1() {
    let lines = [
        ("-A -t 10.0.0.100:80 -s rr", "ipvsadm-rs: service exists"),
        (
            "-A -t 192.168.0.89:80 -s -rr",
            "unknown scheduler '-rr': did you mean rr?",
        ),
        ("-D -t 10.0.0.200:80", "ipvsadm-rs: no such service"),
        (
            "-a -t 10.0.0.100:80 -r 192.168.100.9:80 -b -w 1 --drain 5",
            "a dest drains with weight 0: give -w 0 beside --drain",
        ),
    ];
    refuses(&tutorial(), 1, &lines);
}

#[test]
fn a_command_line_that_is_not_understood_is_answered_with_exit_status_2() {
    let lines = [
        (
            "-A -t 192.168.0.89:80 -r 10.140.18.33 -m",
            "Illegal 'real-server' option with the 'add-service' command",
        ),
        (
            "-A -s rr",
            "You need to supply the 'service-address' option for the 'add-service' command",
        ),
        (
            "-a -t 10.0.0.100:80 -b",
            "You need to supply the 'real-server' option for the 'add-server' command",
        ),
        ("-A -D -t 10.0.0.100:80", "multiple commands specified"),
        (
            "-A -t 10.0.0.100:80 -p 300 -M 255.0.255.0",
            "invalid netmask '255.0.255.0'",
        ),
        (
            "-A -t 10.0.0.100:80 -M 255.255.255.0",
            "'persistent' option",
        ),
        (
            "-U -t 10.0.0.100:80 -k 10.0.0.0/x",
            "invalid address or network",
        ),
        (
            "-U -t 10.0.0.100:80 -k 10.0.0.0/64",
            "invalid address or network '10.0.0.0/64': expected a prefix length of 0 to 32",
        ),
        ("-U -t 10.0.0.100:80", "'blklst' option"),
        (
            "-A -t 10.0.0.100:80 -j perhaps",
            "expected enable, disable, or the number",
        ),
        (
            "-a -t 10.0.0.100:80 -r 192.168.100.2:70000 -b",
            "invalid port '70000'",
        ),
    ];
    refuses(&tutorial(), 2, &lines);
}

#[test]
fn an_unknown_option_or_word_is_answered_with_exit_status_2() {
    let lines = [
        (
            "--start-daemon master",
            "there is no --start-daemon: directors do not share conns",
        ),
        ("-ln --daemon", "there is no --daemon"),
        ("--set 1 2", "three numbers"),
        ("list", "unexpected argument 'list'"),
        ("--bogus", "unknown option '--bogus'"),
    ];
    refuses(&tutorial(), 2, &lines);
}

#[test]
fn help_and_version_need_no_daemon() {
    let run = |line: &str| {
        let output = program(line)
            .env("DPVS_SOCKET", "/nonexistent/dpvsd.sock")
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run("--help").contains("-r, --real-server RIP[:PORT]"));
    assert!(run("-v").contains("(dpvsd is not running)"));
    assert!(fake::start().run("-v").contains("(dpvsd 0.1.0)"));
}

#[test]
fn without_a_daemon_there_is_a_way_out() {
    let output = program("-ln --socket /nonexistent/dpvsd.sock")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.starts_with("ipvsadm-rs: cannot reach dpvsd at /nonexistent/dpvsd.sock: ")
            && text.contains("dpvsd --config FILE"),
        "{text}"
    );
}
