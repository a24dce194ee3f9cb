//! SCTP, with clients and servers that bring their own stack: the kernel may have none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::process::Command;

use lab::{Lab, PATIENCE, V4, peer};
use rstest::rstest;
use testkit::netns::until;

/// Compiles `peers/sctp_peer.c`. Returns the path of the program.
fn compile_peer(lab: &Lab) -> String {
    let program = lab.folder.file("sctp_peer");
    let compiled = Command::new("cc")
        .args(["-o", program.to_str().unwrap(), &peer("sctp_peer.c")])
        .args(["-lusrsctp", "-lpthread"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{complaint}");
    program.to_str().unwrap().to_owned()
}

/// Both ends check the CRC32c of each packet (RFC 9260, 6.8), and the association ends with
/// SHUTDOWN.
#[rstest]
#[case::fullnat("-b", V4.laddr)]
#[case::nat("-m", V4.client)]
fn sctp_associations_reach_the_real_servers_and_shut_down(#[case] mode: &str, #[case] seen: &str) {
    let lab = Lab::new(1);
    let peer = compile_peer(&lab);
    lab.dpip("addr add 10.0.0.100/32 dev dpdk1");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    let service = "--sctp-service 10.0.0.100:7";
    lab.ipvsadm(&format!("-A {service} -s rr"));
    let mut servers = Vec::new();
    for ((name, netns), addr) in ["rs1", "rs2"].iter().zip(&lab.servers).zip(V4.servers) {
        netns.ip("route add 10.0.0.0/16 via 192.168.100.1");
        lab.ipvsadm(&format!("-a {service} -r {addr}:7 {mode}"));
        servers.push(netns.spawn(&[&peer, "serve", addr, "7", name]));
    }
    lab.ipvsadm(&format!(
        "--add-laddr -z 192.168.100.200 {service} -F dpdk0"
    ));
    for name in ["rs1", "rs2"] {
        let answer = until(PATIENCE, name, || {
            let ask = ["timeout", "5", &peer, "ask", V4.client, V4.vip, "7"];
            let output = lab.client.output(&ask);
            let answer = String::from_utf8(output.stdout).unwrap();
            answer.starts_with(name).then_some(answer)
        });
        assert_eq!(answer.trim_end(), format!("{name} saw {seen}: hello"));
    }
    let conns = lab.ipvsadm("-lnc");
    let of_sctp = conns.lines().filter(|line| line.contains("sctp"));
    assert!(
        of_sctp.clone().count() >= 2 && of_sctp.clone().all(|line| line.contains("CLOSED")),
        "SHUTDOWN COMPLETE was seen: {conns}"
    );
    assert!(
        servers
            .iter_mut()
            .all(|server| server.child.try_wait().unwrap().is_none())
    );
}
