//! What clients hear without a route to them, and when nobody serves them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::time::Instant;

use lab::{Addrs, Lab, V4, V6, bracketed};
use rstest::rstest;

/// The tutorial's commands for two-arm FullNAT, but no route to the clients, as in its section
/// "Full-NAT with OSPF/ECMP".
fn set_up_without_route(lab: &Lab, addrs: &Addrs) {
    let service = addrs.service();
    lab.dpip(&format!("addr add {}/{} dev dpdk1", addrs.vip, addrs.host));
    lab.dpip(&format!("route add {} dev dpdk0", addrs.lan));
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    for server in addrs.servers {
        let server = bracketed(server);
        lab.ipvsadm(&format!("-a -t {service} -r {server} -b"));
    }
    lab.ipvsadm(&format!(
        "--add-laddr -z {} -t {service} -F dpdk0",
        addrs.laddr
    ));
}

#[rstest]
#[case::v4(V4)]
#[case::v6(V6)]
fn clients_are_answered_without_a_route(#[case] addrs: Addrs, #[values(1, 2)] workers: u16) {
    let mut lab = Lab::new(workers);
    set_up_without_route(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.laddr);
    for _ in 0..20 {
        assert!(lab.fetch_by(&addrs).is_some(), "no fetch may fail");
    }
}

/// `curl` exits with 7 when it could not connect, and with 28 when it has waited for too long.
#[rstest]
#[case::v4(V4)]
#[case::v6(V6)]
fn a_client_that_nobody_serves_hears_it_at_once(#[case] addrs: Addrs) {
    let lab = Lab::new(1);
    set_up_without_route(&lab, &addrs);
    let service = addrs.service();
    for server in addrs.servers {
        let server = bracketed(server);
        lab.ipvsadm(&format!("-e -t {service} -r {server} -w 0 -b"));
    }
    let url = format!("http://{service}/");
    let started = Instant::now();
    let output = lab
        .client
        .output(&["curl", "-sg", "--max-time", "20", &url]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(started.elapsed().as_secs() < 10);
}
