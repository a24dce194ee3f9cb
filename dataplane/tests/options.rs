//! Options of services, with real clients and servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::os::unix::fs::PermissionsExt;

use lab::{Addrs, Lab, PATIENCE, V4, V6, bracketed, peer};
use rstest::rstest;
use testkit::netns::until;

/// A FullNAT service on two arms with these options, and dests on this port.
fn set_up(lab: &Lab, outside: &Addrs, inside: &Addrs, port: u16, options: &str) {
    let service = outside.service();
    let (_, len) = inside.lan.split_once('/').unwrap();
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("addr add {}/{len} dev dpdk0", inside.director));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    lab.ipvsadm(&format!("-A -t {service} -s rr {options}"));
    for server in inside.servers {
        let server = bracketed(server);
        lab.ipvsadm(&format!("-a -t {service} -r {server}:{port} -b"));
    }
    lab.ipvsadm(&format!(
        "--add-laddr -z {} -t {service} -F dpdk0",
        inside.laddr
    ));
}

/// A stock nginx with `listen ... proxy_protocol` learns the client's address.
#[rstest]
#[case::v4(V4, V4)]
#[case::v6(V6, V6)]
#[case::nat64(V6, V4)]
fn the_proxy_protocol_tells_nginx_who_the_client_is(
    #[case] outside: Addrs,
    #[case] inside: Addrs,
    #[values("v1", "v2")] version: &str,
) {
    let mut lab = Lab::new(1);
    let options = format!("--proxy-protocol {version}");
    set_up(&lab, &outside, &inside, 81, &options);
    lab.start_web();
    lab.fetch_from_both_as(&outside, outside.client);
    for _ in 0..20 {
        assert!(lab.fetch_by(&outside).is_some(), "no fetch may fail");
    }
    let list = lab.ipvsadm("-ln");
    assert!(list.contains(&format!("rr pp{version}\n")), "{list}");
}

/// HAProxy with `accept-proxy` learns the client's address.
#[rstest]
fn the_proxy_protocol_tells_haproxy_who_the_client_is(#[values("v1", "v2")] version: &str) {
    let mut lab = Lab::new(1);
    set_up(&lab, &V4, &V4, 82, &format!("--proxy-protocol {version}"));
    let config = lab.folder.write(
        "haproxy.cfg",
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n\
         frontend web\n bind :82 accept-proxy\n \
         http-request return status 200 content-type text/plain lf-string %[src]\n",
    );
    lab.start_on_servers(&["haproxy", "-db", "-f", config.to_str().unwrap()]);
    let seen = until(PATIENCE, "haproxy", || lab.fetch());
    assert_eq!(seen, V4.client);
}

/// The director completes the handshake with the client before it connects to the real server.
/// curl speaks first, a server like ssh's does, and a large page is fetched: all get through.
#[rstest]
#[case::v4(V4, V4)]
#[case::v6(V6, V6)]
#[case::nat64(V6, V4)]
fn clients_of_a_syn_proxy_reach_the_real_servers(#[case] outside: Addrs, #[case] inside: Addrs) {
    let mut lab = Lab::new(2);
    set_up(&lab, &outside, &inside, 80, "-j enable");
    lab.start_web();
    lab.fetch_from_both_as(&outside, inside.laddr);
    for _ in 0..20 {
        assert!(lab.fetch_by(&outside).is_some(), "no fetch may fail");
    }
    assert!(lab.ipvsadm("-ln").contains("rr synproxy\n"));
    a_server_speaks_first(&mut lab, &outside, &inside);
    a_large_page_is_fetched(&mut lab, &outside, &inside);
}

/// One more service of a SYN proxy, with one real server.
fn add_syn_proxy(lab: &Lab, outside: &Addrs, inside: &Addrs, port: u16) {
    let service = format!("{}:{port}", bracketed(outside.vip));
    let (server, laddr) = (bracketed(inside.servers[0]), inside.laddr);
    lab.ipvsadm(&format!("-A -t {service} -s rr -j enable"));
    lab.ipvsadm(&format!("-a -t {service} -r {server}:{port} -b"));
    lab.ipvsadm(&format!("--add-laddr -z {laddr} -t {service} -F dpdk0"));
}

fn a_server_speaks_first(lab: &mut Lab, outside: &Addrs, inside: &Addrs) {
    lab.start_on_servers(&["python3", &peer("greet.py"), "22"]);
    add_syn_proxy(lab, outside, inside, 22);
    let read = peer("read_greeting.py");
    let heard = until(PATIENCE, "the server's greeting", || {
        let output = lab.client.output(&["python3", &read, outside.vip, "22"]);
        output.status.success().then_some(output.stdout)
    });
    assert!(heard.starts_with(b"SSH-2.0-hello"));
}

/// With windows and losses as they come.
fn a_large_page_is_fetched(lab: &mut Lab, outside: &Addrs, inside: &Addrs) {
    const BYTES: &str = "20000000";
    lab.start_on_servers(&["python3", &peer("http_large.py"), "8080", BYTES]);
    add_syn_proxy(lab, outside, inside, 8080);
    let url = format!("http://{}:8080/", bracketed(outside.vip));
    let to = ["-o", "/dev/null", "-w", "%{size_download}", &url];
    let got = until(PATIENCE, "20 MB", || {
        let args = [&["curl", "-sg", "--max-time", "20"][..], &to].concat();
        let output = lab.client.output(&args);
        output.status.success().then_some(output.stdout)
    });
    assert_eq!(String::from_utf8(got).unwrap(), BYTES);
}

/// The table of the LVS-NAT how-to: VIP:80 has two real servers with different ports and weights,
/// VIP:21 has one of them. A real FTP client and server open data connections in both directions.
#[rstest]
#[case::nat("-m", V4.client)]
#[case::fullnat("-b", V4.laddr)]
fn the_table_of_the_lvs_nat_how_to_works_and_so_does_ftp(
    #[case] mode: &str,
    #[case] seen: &str,
    #[values(1, 2)] workers: u16,
    #[values("YES", "NO")] data_from_port_20: &str,
) {
    let mut lab = Lab::new(workers);
    lab.dpip("addr add 10.0.0.100/32 dev dpdk1");
    lab.dpip("addr add 192.168.100.1/24 dev dpdk0");
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    let [first, second] = V4.servers;
    for (service, rows) in [
        ("10.0.0.100:80", vec![(first, 80, 1), (second, 8000, 2)]),
        ("10.0.0.100:21", vec![(second, 21, 1)]),
    ] {
        lab.ipvsadm(&format!("-A -t {service} -s wrr"));
        for (server, port, weight) in rows {
            lab.ipvsadm(&format!(
                "-a -t {service} -r {server}:{port} {mode} -w {weight}"
            ));
        }
        if mode == "-b" {
            lab.ipvsadm(&format!(
                "--add-laddr -z {} -t {service} -F dpdk0",
                V4.laddr
            ));
        }
    }
    for server in &lab.servers {
        server.ip("route add default via 192.168.100.1");
    }
    lab.start_web();
    lab.fetch_from_both_as(&V4, seen);
    let second_of_three = (0..30)
        .filter(|_| lab.fetch().unwrap().starts_with("rs2"))
        .count();
    assert!(
        (18..=22).contains(&second_of_three),
        "{second_of_three} of 30"
    );

    let content = start_ftp(
        &mut lab,
        &format!("listen=YES\nconnect_from_port_20={data_from_port_20}\n"),
    );
    for how in [
        &["--ftp-pasv"][..],
        &["--disable-epsv"],
        &["--ftp-port", "-"],
        &["--ftp-port", "-", "--disable-eprt"],
    ] {
        fetch_by_ftp(&lab, &V4, how, &content);
    }
}

/// Starts vsftpd on both real servers. Returns what its file holds.
fn start_ftp(lab: &mut Lab, settings: &str) -> String {
    let [files, empty] = ["ftp", "empty"].map(|name| lab.folder.file(name));
    for folder in [&files, &empty] {
        std::fs::create_dir_all(folder).unwrap();
    }
    // vsftpd reads as a user of its own.
    let all_may_read = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(files.parent().unwrap(), all_may_read).unwrap();
    let content = "what is in the file\n".repeat(10_000);
    std::fs::write(files.join("file"), &content).unwrap();
    let config = lab.folder.write(
        "vsftpd.conf",
        &format!(
            "background=NO\nanonymous_enable=YES\nlocal_enable=NO\nanon_root={}\n\
             secure_chroot_dir={}\nno_anon_password=YES\nseccomp_sandbox=NO\n{settings}",
            files.display(),
            empty.display()
        ),
    );
    lab.start_on_servers(&["vsftpd", config.to_str().unwrap()]);
    content
}

/// Fetches the file through the VIP. `how` tells curl who opens the data connection.
fn fetch_by_ftp(lab: &Lab, addrs: &Addrs, how: &[&str], content: &str) {
    let url = format!("ftp://{}/file", bracketed(addrs.vip));
    let got = until(PATIENCE, "the file", || {
        let args = [&["curl", "-sg", "--max-time", "10"][..], how, &[&url]].concat();
        let output = lab.client.output(&args);
        output.status.success().then_some(output.stdout)
    });
    assert!(got == content.as_bytes(), "{how:?}: {} bytes", got.len());
}

/// FTP clients of one family and servers of the other open data connections in both directions.
/// curl uses EPRT unless told not to.
#[rstest]
#[case::nat64(V6, V4, "-b", "listen=YES\n")]
#[case::nat46(V4, V6, "-b", "listen_ipv6=YES\n")]
#[case::nat64_by_nat(V6, V4, "-m", "listen=YES\n")]
#[case::nat46_by_nat(V4, V6, "-m", "listen_ipv6=YES\n")]
fn ftp_works_between_the_two_families(
    #[case] outside: Addrs,
    #[case] inside: Addrs,
    #[case] mode: &str,
    #[case] settings: &str,
    #[values(1, 2)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_ftp(&lab, &outside, &inside, mode);
    let content = start_ftp(&mut lab, settings);
    let mut ways = vec![&["--ftp-pasv"][..], &["--ftp-port", "-"]];
    if outside.host == 32 {
        ways.push(&["--disable-epsv"]);
        ways.push(&["--ftp-port", "-", "--disable-eprt"]);
    }
    for how in ways {
        fetch_by_ftp(&lab, &outside, how, &content);
    }
}

/// An FTP service whose dest is of the other family.
fn set_up_ftp(lab: &Lab, outside: &Addrs, inside: &Addrs, mode: &str) {
    let (vip, len) = (outside.vip, outside.host);
    lab.dpip(&format!("addr add {vip}/{len} dev dpdk1"));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    let (_, len) = inside.lan.split_once('/').unwrap();
    lab.dpip(&format!("addr add {}/{len} dev dpdk0", inside.director));
    let (service, server) = (format!("{}:21", bracketed(vip)), inside.servers[0]);
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    let server = bracketed(server);
    lab.ipvsadm(&format!("-a -t {service} -r {server}:21 {mode}"));
    let laddr = inside.laddr;
    lab.ipvsadm(&format!("--add-laddr -z {laddr} -t {service} -F dpdk0"));
    lab.servers[0].ip(&format!("route add default via {}", inside.director));
}

/// An IPv6 client can only use EPSV and EPRT, which an IPv4 server need not know (RFC 6384).
#[rstest]
fn an_old_ftp_server_serves_clients_that_have_ipv6(
    #[values("-b", "-m")] mode: &str,
    #[values(1, 2)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_ftp(&lab, &V6, &V4, mode);
    lab.start_on_servers(&["python3", &peer("old_ftp_server.py")]);
    let content = "what is in the file\n".repeat(10_000);
    for how in [&["--ftp-pasv"][..], &["--ftp-port", "-"]] {
        fetch_by_ftp(&lab, &V6, how, &content);
    }
}

#[test]
fn persistence_keeps_a_client_at_its_real_server() {
    let mut lab = Lab::new(2);
    set_up(&lab, &V4, &V4, 80, "-p 600");
    lab.start_web();
    let first = until(PATIENCE, "the page", || lab.fetch());
    for _ in 0..10 {
        assert_eq!(lab.fetch().as_ref(), Some(&first));
    }
    let list = lab.ipvsadm("-ln --persistent-conn");
    let server = if first.starts_with("rs1") {
        V4.servers[0]
    } else {
        V4.servers[1]
    };
    let row = list.lines().find(|line| line.contains(server)).unwrap();
    let clients: u32 = row.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(
        (1..=2).contains(&clients),
        "one client, at each worker that received its packets: {row}"
    );
}

#[test]
fn a_denied_client_is_dropped_and_a_drained_dest_loses_its_conns() {
    let mut lab = Lab::new(1);
    set_up(&lab, &V4, &V4, 80, "");
    lab.start_web();
    lab.fetch_from_both_as(&V4, V4.laddr);
    lab.ipvsadm("-U -t 10.0.0.100:80 -k 10.0.0.0/24");
    until(PATIENCE, "the deny list", || {
        lab.client
            .output(&["curl", "-s", "--max-time", "1", "http://10.0.0.100/"]);
        let dropped = lab.dpip("-s link show cpu");
        dropped.contains("deny list").then_some(())
    });
    lab.ipvsadm("-V -t 10.0.0.100:80 -k 10.0.0.0/24");
    // A conn that lasts: the server waits for a request that never comes.
    let _idle = lab.client.spawn(&["nc", "10.0.0.100", "80"]);
    until(PATIENCE, "an established conn", || {
        lab.ipvsadm("-lnc").contains("ESTABLISHED").then_some(())
    });
    for server in V4.servers {
        lab.ipvsadm(&format!(
            "-e -t 10.0.0.100:80 -r {server}:80 -b -w 0 --drain 1"
        ));
    }
    assert!(lab.ipvsadm("-ln").contains(" drains within 1s"));
    until(PATIENCE, "the end of all conns", || {
        (!lab.ipvsadm("-lnc").contains("ESTABLISHED")).then_some(())
    });
}

/// What `-G` says of the only local address of a service: conns and the rest of the row.
fn laddr_row(lab: &Lab, service: &str) -> Option<(u64, String)> {
    let shown = lab.ipvsadm("-G");
    let mut rows = shown.lines().skip_while(|row| !row.starts_with(service));
    let row = rows.nth(1)?;
    let mut words = row.split_whitespace();
    let conns = words.nth(2)?.parse().ok()?;
    Some((conns, words.collect::<Vec<_>>().join(" ")))
}

/// `-G` counts per service and address. A removed service is shown as long as conns go on.
#[test]
fn services_that_share_a_local_address_show_their_own_conns_also_when_removed() {
    let mut lab = Lab::new(2);
    set_up(&lab, &V4, &V4, 80, "");
    lab.ipvsadm("-A -t 10.0.0.100:8000 -s rr");
    lab.ipvsadm("-a -t 10.0.0.100:8000 -r 192.168.100.2:8000 -b");
    lab.ipvsadm("--add-laddr -z 192.168.100.200 -t 10.0.0.100:8000 -F dpdk0");
    lab.start_web();
    // Conns that last: the server waits for requests that never come.
    let idle: Vec<_> = (0..3)
        .map(|_| lab.client.spawn(&["nc", "10.0.0.100", "80"]))
        .collect();
    let (one, two) = ("10.0.0.100:80 ", "10.0.0.100:8000 ");
    let none = String::new();
    until(PATIENCE, "three conns", || {
        (laddr_row(&lab, one) == Some((3, none.clone()))).then_some(())
    });
    assert_eq!(laddr_row(&lab, two), Some((0, none)));

    lab.ipvsadm("-D -t 10.0.0.100:80");
    let shown = lab.ipvsadm("-ln");
    assert!(shown.contains("TCP  10.0.0.100:80 removed\n"), "{shown}");
    assert!(shown.contains(" removed, drains\n"), "{shown}");
    let deleted = "deleted, goes with its last conn".to_owned();
    assert_eq!(laddr_row(&lab, one), Some((3, deleted)));
    assert!(!lab.ipvsadm("-S -n").contains(one));
    drop(idle);
    until(PATIENCE, "the end of its conns", || {
        (!lab.ipvsadm("-ln").contains("removed")).then_some(())
    });
    assert_eq!(laddr_row(&lab, one), None);
}
