//! Link-local addresses of IPv6, with real kernels around the director, and with the kernel behind
//! its kni netdev, which has the same address.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::process::Output;

use lab::{Lab, PATIENCE, V6, peer};
use testkit::netns::{Netns, until};

/// The link-local address that `dpip` shows for a device.
fn link_local(lab: &Lab, device: &str) -> String {
    let shown = lab.dpip(&format!("-6 addr show dev {device}"));
    let end = format!("/64 scope link {device}");
    let address = shown.lines().find_map(|line| {
        let line = line.strip_prefix("inet6 ")?;
        line.strip_suffix(&end)
    });
    assert!(address.is_some(), "none: {shown}");
    address.unwrap().to_owned()
}

/// The link-local address that a kernel has given to a netdev.
fn of_kernel(netns: &Netns, netdev: &str) -> String {
    until(PATIENCE, "the kernel's link-local address", || {
        let shown = netns.ip(&format!(
            "-6 -o addr show dev {netdev} scope link -tentative"
        ));
        let words = shown.split_whitespace();
        let address = words.skip_while(|word| *word != "inet6").nth(1)?;
        Some(address.split('/').next()?.to_owned())
    })
}

fn ping(from: &Netns, to: &str, netdev: &str, size: u16) -> Output {
    let (to, size) = (format!("{to}%{netdev}"), size.to_string());
    until(PATIENCE, "an answer to a ping", || {
        let output = from.output(&["ping", "-6", "-c", "1", "-W", "2", "-s", &size, &to]);
        output.status.success().then_some(output)
    })
}

#[test]
fn clients_ping_the_director_by_its_link_local_address() {
    let lab = Lab::new(2);
    assert!(!lab.dpip("addr show").contains("fe80"), "there is no IPv6");
    lab.dpip(&format!("addr add {}/128 dev dpdk1", V6.vip));
    let ours = link_local(&lab, "dpdk1");
    for size in [56, 3000] {
        ping(&lab.client, &ours, "eth0", size);
    }
    let neighbour = lab.client.ip(&format!("-6 neigh show {ours}"));
    assert!(neighbour.contains("lladdr"), "{neighbour}");
}

/// A router in front of the real servers, known by its link-local address only. The device towards
/// it has no other address than that and the local address of FullNAT.
#[test]
fn a_dest_behind_a_link_local_gateway_is_reached() {
    let mut lab = Lab::new(1);
    let real = "2001:db8:200::1";
    let gateway = &lab.servers[0];
    gateway.ip(&format!("addr add {real}/128 dev lo"));
    let gateway = of_kernel(gateway, "eth0");
    lab.dpip(&format!("addr add {}/128 dev dpdk1", V6.vip));
    lab.dpip(&format!("route add {} dev dpdk1", V6.clients));
    lab.dpip(&format!(
        "route add 2001:db8:200::/64 via {gateway} dev dpdk0"
    ));
    let service = V6.service();
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    lab.ipvsadm(&format!("-a -t {service} -r [{real}]:80 -b"));
    lab.ipvsadm(&format!(
        "--add-laddr -z {} -t {service} -F dpdk0",
        V6.laddr
    ));
    lab.start_web();
    let seen = until(PATIENCE, "the page", || lab.fetch_by(&V6));
    assert_eq!(seen, format!("rs1 {}", V6.laddr));
    let learned = lab.dpip("neigh show dev dpdk0");
    assert!(learned.contains(&gateway), "{learned}");
}

/// The kernel has the same MAC address and so the same link-local address. Its routing daemons go
/// on speaking by it, in both directions; the director answers pings, once.
#[test]
fn the_kernel_behind_kni_goes_on_using_the_same_link_local_address() {
    let lab = Lab::new(2);
    let kernel = &lab.director_netns;
    for setting in ["accept_dad=0", "disable_ipv6=0"] {
        let setting = format!("net/ipv6/conf/dpdk1.kni/{setting}");
        kernel.run(&["sysctl", "-qw", &setting]);
    }
    kernel.ip("link set dpdk1.kni up");
    let client = of_kernel(&lab.client, "eth0");
    ping(kernel, &client, "dpdk1.kni", 56);

    lab.dpip(&format!("addr add {}/128 dev dpdk1", V6.vip));
    let ours = link_local(&lab, "dpdk1");
    assert_eq!(of_kernel(kernel, "dpdk1.kni"), ours);
    let answered = ping(&lab.client, &ours, "eth0", 56);
    let answered = String::from_utf8(answered.stdout).unwrap();
    assert!(!answered.contains("DUP!"), "{answered}");

    // Neighbours are looked for anew, by the kernel and by the client.
    kernel.ip("-6 neigh flush all dev dpdk1.kni");
    lab.client.ip("-6 neigh flush all dev eth0");
    for size in [56, 3000] {
        ping(kernel, &client, "dpdk1.kni", size);
    }
    // As BGP between link-local addresses, in both directions.
    let (greet, read) = (peer("greet.py"), peer("read_greeting.py"));
    for (server, client, to) in [
        (kernel, &lab.client, format!("{ours}%eth0")),
        (&lab.client, kernel, format!("{client}%dpdk1.kni")),
    ] {
        let _server = server.spawn(&["python3", &greet, "179"]);
        until(PATIENCE, "a greeting", || {
            let output = client.output(&["python3", &read, &to, "179"]);
            output.status.success().then_some(())
        });
    }
}
