//! Every forwarding mode, for IPv4 and IPv6, with real kernels at both ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use lab::{Addrs, Lab, PATIENCE, V4, V6, bracketed, peer};
use rstest::rstest;
use testkit::netns::until;

/// The tutorial's commands for a service on one arm, with dests of this mode.
fn set_up_one_arm(lab: &Lab, addrs: &Addrs, mode: &str) {
    lab.dpip(&format!("addr add {}/{} dev dpdk0", addrs.vip, addrs.host));
    add_director_addr(lab, addrs);
    lab.dpip(&format!("route add {} dev dpdk0", addrs.clients));
    add_service(lab, addrs, mode);
}

/// The same service on two arms: clients at dpdk1, real servers at dpdk0.
fn set_up_two_arm(lab: &Lab, addrs: &Addrs, mode: &str) {
    lab.dpip(&format!("addr add {}/{} dev dpdk1", addrs.vip, addrs.host));
    add_director_addr(lab, addrs);
    lab.dpip(&format!("route add {} dev dpdk1", addrs.clients));
    add_service(lab, addrs, mode);
}

/// Gives the director an address in the real servers' network.
fn add_director_addr(lab: &Lab, addrs: &Addrs) {
    let (_, len) = addrs.lan.split_once('/').unwrap();
    lab.dpip(&format!("addr add {}/{len} dev dpdk0", addrs.director));
}

fn add_service(lab: &Lab, addrs: &Addrs, mode: &str) {
    let service = addrs.service();
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    for server in addrs.servers {
        let server = bracketed(server);
        lab.ipvsadm(&format!("-a -t {service} -r {server} {mode}"));
    }
}

fn add_laddr(lab: &Lab, addrs: &Addrs, laddr: &str) {
    let service = addrs.service();
    lab.ipvsadm(&format!("--add-laddr -z {laddr} -t {service} -F dpdk0"));
}

/// Makes the director the gateway of the real servers.
fn route_servers_through_the_director(lab: &Lab, addrs: &Addrs) {
    for server in &lab.servers {
        server.ip(&format!("route add default via {}", addrs.director));
    }
}

/// Gives the real servers the VIP too, without answering ARP for it (tutorial, "DR").
fn give_servers_the_vip(lab: &Lab, addrs: &Addrs) {
    for server in &lab.servers {
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"]);
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.arp_announce=2"]);
        // For an address on lo, Linux answers no neighbour discovery.
        server.ip(&format!("addr add {}/{} dev lo", addrs.vip, addrs.host));
    }
}

/// Gives the real servers a route to the clients, who are on the same network.
fn route_servers_to_clients(lab: &Lab, addrs: &Addrs) {
    for server in &lab.servers {
        server.ip(&format!("route add {} dev eth0", addrs.clients));
    }
}

/// `ipvsadm-rs -ln` shows the first dest with this mode.
fn list_shows(lab: &Lab, addrs: &Addrs, mode: &str) {
    let list = lab.ipvsadm("-ln");
    let server = format!("{}:80", bracketed(addrs.servers[0]));
    let line = format!("  -> {server:<28} {mode} 1      ");
    assert!(list.contains(&line), "{list}");
}

/// The real servers see a local address of the director and answer to it, so they need no special
/// routes.
#[rstest]
#[case::v4(V4)]
#[case::v6(V6)]
fn fullnat_works_without_any_setup_of_the_real_servers(
    #[case] addrs: Addrs,
    #[values(1, 2, 4)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_two_arm(&lab, &addrs, "-b");
    add_laddr(&lab, &addrs, addrs.laddr);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.laddr);
    for _ in 0..20 {
        assert!(lab.fetch_by(&addrs).is_some(), "no fetch may fail");
    }
    list_shows(&lab, &addrs, "FullNat");
    let saved = lab.ipvsadm("-S -n");
    let laddr = format!(
        "--add-laddr -z {} -t {} -F dpdk0",
        addrs.laddr,
        addrs.service()
    );
    assert!(saved.contains(&laddr), "{saved}");
    restores(&lab, &saved);
    lab.fetch_from_both_as(&addrs, addrs.laddr);
}

/// The TOA option in the packets tells the real server who the client is.
#[rstest]
#[case::v4(V4, V4)]
#[case::v6(V6, V6)]
#[case::nat64(V6, V4)]
fn toa_tells_the_real_server_who_the_client_is(#[case] outside: Addrs, #[case] inside: Addrs) {
    let mut lab = Lab::new(1);
    let service = outside.service();
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    add_director_addr(&lab, &inside);
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    let server = bracketed(inside.servers[0]);
    lab.ipvsadm(&format!("-a -t {service} -r {server}:80 -b"));
    add_laddr(&lab, &outside, inside.laddr);
    lab.start_web();
    let reader = lab.servers[0]
        .command("python3")
        .arg(peer("read_toa.py"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = testkit::netns::Running { child: reader };
    until(PATIENCE, "the server to read the option", || {
        lab.client.output(&[
            "curl",
            "-sg",
            "--local-port",
            "40000-40100",
            "--max-time",
            "1",
            &format!("http://{service}/"),
        ]);
        reader.child.try_wait().unwrap()
    });
    let mut text = String::new();
    let mut output = reader.child.stdout.take().unwrap();
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    let (addr, port) = text.trim().split_once(' ').unwrap();
    assert_eq!(addr, outside.client);
    assert!((40_000..=40_100).contains(&port.parse::<u16>().unwrap()));
}

/// Datagrams reach the real server in every mode: small ones and, if both ends have IPv6,
/// fragmented ones.
#[rstest]
#[case::fullnat("-b", V4, V4)]
#[case::fullnat_v6("-b", V6, V6)]
#[case::nat64("-b", V6, V4)]
#[case::nat46("-b", V4, V6)]
#[case::nat("-m", V4, V4)]
#[case::nat_v6("-m", V6, V6)]
#[case::dr("-g", V4, V4)]
#[case::dr_v6("-g", V6, V6)]
fn datagrams_are_forwarded_in_every_mode(
    #[case] mode: &str,
    #[case] outside: Addrs,
    #[case] inside: Addrs,
) {
    let mut lab = Lab::new(1);
    let service = format!("{}:5353", bracketed(outside.vip));
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    add_director_addr(&lab, &inside);
    lab.ipvsadm(&format!("-A -u {service} -s rr"));
    let server = bracketed(inside.servers[0]);
    lab.ipvsadm(&format!("-a -u {service} -r {server}:5353 {mode}"));
    let (seen, listens_on) = match mode {
        "-b" => {
            let laddr = inside.laddr;
            lab.ipvsadm(&format!("--add-laddr -z {laddr} -u {service} -F dpdk0"));
            (laddr, "::")
        }
        "-m" => {
            route_servers_through_the_director(&lab, &inside);
            (outside.client, "::")
        }
        _ => {
            lab.connect_servers_to_clients();
            give_servers_the_vip(&lab, &outside);
            (outside.client, outside.vip)
        }
    };
    let echo = peer("datagram_echo.py");
    lab.start_on_servers(&["python3", &echo, listens_on, "5353", "name-client"]);
    // The kernel puts IPv4 fragments together before it hands them to a port made of a packet
    // socket, so fragments of IPv4 are tested in `fragments.rs`.
    let is_all_v6 = outside.host == 128 && inside.host == 128;
    for len in [10, if is_all_v6 { 4000 } else { 1000 }] {
        let (ask, len) = (peer("datagram_ask.py"), len.to_string());
        let answer = until(PATIENCE, "an answer", || {
            let args = ["python3", &ask, outside.vip, "5353", &len];
            let output = lab.client.output(&args);
            output.status.success().then_some(output.stdout)
        });
        // The peer has checked the rest of the answer.
        assert_eq!(String::from_utf8(answer).unwrap().trim_end(), seen);
    }
}

/// A VIP of one family, and real servers of the other.
fn set_up_both_families(lab: &Lab, outside: &Addrs, inside: &Addrs, mode: &str) {
    let service = outside.service();
    lab.dpip(&format!(
        "addr add {}/{} dev dpdk1",
        outside.vip, outside.host
    ));
    lab.dpip(&format!("route add {} dev dpdk1", outside.clients));
    add_director_addr(lab, inside);
    lab.ipvsadm(&format!("-A -t {service} -s rr"));
    for server in inside.servers {
        let line = format!("-a -t {service} -r {}:80", bracketed(server));
        let (status, sentence) = lab.refused("ipvsadm-rs", &format!("{line} -g"));
        assert_eq!(status, 1);
        assert!(sentence.contains("-b"), "{sentence}");
        lab.ipvsadm(&format!("{line} {mode}"));
    }
}

/// NAT64 and NAT46. With FullNAT the real servers see a local address. With NAT an IPv6 server sees
/// an IPv4 client behind the well-known prefix (RFC 6052), and an IPv4 server sees a local address,
/// because the IPv6 client has no IPv4 address.
#[rstest]
#[case::nat64(V6, V4, "-b", V4.laddr)]
#[case::nat46(V4, V6, "-b", V6.laddr)]
#[case::nat64_by_nat(V6, V4, "-m", V4.laddr)]
#[case::nat46_by_nat(V4, V6, "-m", "64:ff9b::a00:30")]
fn clients_of_one_family_reach_real_servers_of_the_other(
    #[case] outside: Addrs,
    #[case] inside: Addrs,
    #[case] mode: &str,
    #[case] seen: &str,
    #[values(1, 2)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_both_families(&lab, &outside, &inside, mode);
    if seen == inside.laddr {
        add_laddr(&lab, &outside, inside.laddr);
    } else {
        route_servers_through_the_director(&lab, &inside);
    }
    lab.start_web();
    lab.fetch_from_both_as(&outside, seen);
    for _ in 0..20 {
        assert!(lab.fetch_by(&outside).is_some(), "no fetch may fail");
    }
    let conns = lab.ipvsadm("-lnc");
    let daddr = format!("{}:80", bracketed(inside.servers[0]));
    assert!(
        conns.contains(&outside.service()) && conns.contains(&daddr),
        "{conns}"
    );
}

/// An IPv6 address that holds an IPv4 address is translated to it. Hosts that reach IPv6 through a
/// translator of their own have such addresses (RFC 6877).
#[test]
fn real_servers_see_the_ipv4_address_that_a_client_s_ipv6_address_holds() {
    const CLIENT: &str = "64:ff9b::c000:221";
    let mut lab = Lab::new(1);
    set_up_both_families(&lab, &V6, &V4, "-m");
    route_servers_through_the_director(&lab, &V4);
    lab.dpip("route add 64:ff9b::/96 dev dpdk1");
    lab.client
        .ip(&format!("addr add {CLIENT}/128 dev eth0 nodad"));
    lab.start_web();
    let url = format!("http://{}/", V6.service());
    let answer = until(PATIENCE, "a real server", || {
        let args = [
            "curl",
            "-sg",
            "--interface",
            CLIENT,
            "--max-time",
            "3",
            &url,
        ];
        let output = lab.client.output(&args);
        output.status.success().then_some(output.stdout)
    });
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.ends_with(" 192.0.2.33"), "{answer}");
}

/// Tutorial, "NAT", with two arms. The real servers see the client, and answer through the
/// director.
#[rstest]
#[case::one_worker(1)]
#[case::a_reply_may_reach_another_worker(2)]
fn nat_brings_replies_back_through_the_director(
    #[case] workers: u16,
    #[values(V4, V6)] addrs: Addrs,
) {
    let mut lab = Lab::new(workers);
    set_up_two_arm(&lab, &addrs, "-m");
    route_servers_through_the_director(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    for _ in 0..20 {
        assert!(lab.fetch_by(&addrs).is_some(), "no fetch may fail");
    }
    list_shows(&lab, &addrs, "Masq   ");
    let conns = lab.ipvsadm("-lnc");
    assert!(conns.contains(addrs.client), "{conns}");
}

#[rstest]
fn nat_and_fullnat_work_on_one_arm(
    #[values("-m", "-b")] mode: &str,
    #[values(V4, V6)] addrs: Addrs,
) {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, &addrs, mode);
    let seen = if mode == "-b" {
        add_laddr(&lab, &addrs, addrs.laddr);
        addrs.laddr
    } else {
        route_servers_through_the_director(&lab, &addrs);
        addrs.client
    };
    lab.start_web();
    lab.fetch_from_both_as(&addrs, seen);
}

/// Tutorial, "DR": the real servers answer the clients directly, not through the director.
#[rstest]
fn dr_lets_the_real_servers_answer_clients_directly(#[values(V4, V6)] addrs: Addrs) {
    let mut lab = Lab::one_arm(1);
    set_up_one_arm(&lab, &addrs, "-g");
    give_servers_the_vip(&lab, &addrs);
    route_servers_to_clients(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    list_shows(&lab, &addrs, "Route  ");
    director_saw_no_reply(&lab);
}

/// DR with two arms: requests come in at one port and leave by the other.
#[rstest]
fn dr_works_with_two_arms(#[values(V4, V6)] addrs: Addrs) {
    let mut lab = Lab::new(1);
    set_up_two_arm(&lab, &addrs, "-g");
    lab.connect_servers_to_clients();
    give_servers_the_vip(&lab, &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    director_saw_no_reply(&lab);
}

/// The service counts no packet from the dests to the clients.
fn director_saw_no_reply(lab: &Lab) {
    let stats = lab.ipvsadm("-ln --stats");
    let service = stats.lines().find(|line| line.starts_with("TCP")).unwrap();
    let out_packets = service.split_whitespace().nth(4);
    assert_eq!(out_packets, Some("0"), "{stats}");
}

/// Tunnels with two arms: requests come in at one port and leave by the other.
#[rstest]
fn tunnels_work_with_two_arms(#[values(V4, V6)] addrs: Addrs) {
    let mut lab = Lab::new(1);
    set_up_two_arm(&lab, &addrs, "-i");
    lab.connect_servers_to_clients();
    give_servers_the_vip(&lab, &addrs);
    lab.start_tunnel_ends("ipip", &addrs);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    director_saw_no_reply(&lab);
}

/// Tutorial, "Tunnel", and the other tunnel types of ipvsadm, for every combination of families.
#[rstest]
#[case("ipip", "-i")]
#[case("gre", "-i --tun-type gre")]
#[case("gue", "-i --tun-type gue --tun-port 6080")]
fn tunnels_reach_the_real_servers(
    #[case] kind: &str,
    #[case] mode: &str,
    #[values(V4, V6)] inside: Addrs,
    #[values(V4, V6)] outside: Addrs,
) {
    let mut lab = Lab::one_arm(1);
    let addrs = Addrs {
        servers: outside.servers,
        ..inside
    };
    set_up_one_arm(&lab, &addrs, mode);
    if outside.host != inside.host {
        add_director_addr(&lab, &outside);
    }
    give_servers_the_vip(&lab, &addrs);
    route_servers_to_clients(&lab, &addrs);
    lab.start_tunnel_ends(kind, &outside);
    lab.start_web();
    lab.fetch_from_both_as(&addrs, addrs.client);
    list_shows(&lab, &addrs, "Tunnel ");
    let saved = lab.ipvsadm("-S -n");
    let line = format!(
        "-a -t {} -r {}:80 {}",
        addrs.service(),
        bracketed(addrs.servers[0]),
        mode.replace("-i", "-i -w 1")
    );
    assert!(saved.contains(&line), "{saved}");
}

/// One service has dests of several modes. DR and tunnel cannot change ports, and say so.
#[test]
fn a_service_mixes_modes_and_refuses_what_a_mode_cannot_do() {
    let lab = Lab::new(1);
    lab.ipvsadm("-A -t 10.0.0.100:80 -s rr");
    for (server, mode) in [
        ("192.168.100.2:8080", "-m"),
        ("192.168.100.3", "-b"),
        ("192.168.100.4", "-i"),
    ] {
        lab.ipvsadm(&format!("-a -t 10.0.0.100:80 -r {server} {mode}"));
    }
    for mode in ["-g", "-i"] {
        let line = format!("-a -t 10.0.0.100:80 -r 192.168.100.5:8080 {mode}");
        let (status, sentence) = lab.refused("ipvsadm-rs", &line);
        assert_eq!(status, 1);
        assert!(
            sentence.contains("192.168.100.5:8080 has another port than the service"),
            "{sentence}"
        );
        assert!(sentence.contains("leave the port out"), "{sentence}");
    }
    let list = lab.ipvsadm("-ln");
    for mode in ["Masq", "FullNat", "Tunnel"] {
        assert!(list.contains(mode), "{list}");
    }
}

/// Tutorial, "SNAT": hosts behind the director reach the world, which sees the WAN address.
#[rstest]
#[case::one_worker(1)]
#[case::the_local_port_names_the_worker(2)]
fn snat_hides_hosts_behind_the_wan_address(#[case] workers: u16, #[values(V4, V6)] addrs: Addrs) {
    let lab = Lab::new(workers);
    let (_, len) = addrs.clients.split_once('/').unwrap();
    add_director_addr(&lab, &addrs);
    lab.dpip(&format!("addr add {}/{len} dev dpdk1 sapool", addrs.vip));
    let (range, ping) = match addrs.host {
        32 => ("192.168.100.0-192.168.100.254", "icmp"),
        _ => ("2001:db8:100::-2001:db8:100::ff", "icmpv6"),
    };
    let shown_range = format!("{}:0-0", bracketed(range));
    let service = format!("-H proto=tcp,src-range={range},oif=dpdk1");
    let wan = format!("{}:0", bracketed(addrs.vip));
    lab.ipvsadm(&format!("-A -s rr {service}"));
    lab.ipvsadm(&format!("-a {service} -r {wan} -w 100 -J"));
    let who_asks = peer("http_who_asks.py");
    let _world = lab.client.spawn(&["python3", &who_asks, "8000"]);
    let url = format!("http://{}:8000/", bracketed(addrs.client));
    route_servers_through_the_director(&lab, &addrs);
    for server in &lab.servers {
        let seen = until(PATIENCE, "the world", || {
            let output = server.output(&["curl", "-sg", "--max-time", "3", &url]);
            output.status.success().then_some(output.stdout)
        });
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen.trim_start_matches("::ffff:"), addrs.vip);
    }
    for _ in 0..20 {
        lab.servers[0].run(&["curl", "-sSg", "--max-time", "3", &url]);
    }
    let ping = service.replace("tcp", ping);
    lab.ipvsadm(&format!("-A -s rr {ping}"));
    lab.ipvsadm(&format!("-a {ping} -r {wan} -w 100 -J"));
    lab.servers[0].run(&["ping", "-c", "3", "-i", "0.2", "-W", "3", addrs.client]);
    let list = lab.ipvsadm("-ln");
    let shown = format!("tcp,from={shown_range},oif=dpdk1");
    let rows = format!("MATCH {shown} rr\n  -> {wan:<28} SNAT    100    ");
    assert!(list.contains(&rows), "{list}");
    assert!(lab.ipvsadm("-G").contains(&shown));
    let saved = lab.ipvsadm("-S -n");
    assert!(!saved.contains("--add-laddr"), "{saved}");
    restores(&lab, &saved);
}

/// What was saved comes back after everything was cleared.
fn restores(lab: &Lab, saved: &str) {
    lab.ipvsadm("-C");
    let file = lab.folder.write("rules", saved);
    lab.ipvsadm(&format!("-R {}", file.display()));
    assert_eq!(lab.ipvsadm("-S -n"), saved);
}

/// One service for many VIPs and ports, which LVS does with firewall marks.
#[rstest]
#[case("-b", V4.laddr)]
#[case("-m", V4.client)]
fn a_match_service_takes_all_packets_that_match(#[case] mode: &str, #[case] seen: &str) {
    let mut lab = Lab::new(2);
    add_director_addr(&lab, &V4);
    lab.dpip("route add 10.0.0.0/16 dev dpdk1");
    for vip in ["10.0.0.100", "10.0.0.101"] {
        lab.dpip(&format!("addr add {vip}/32 dev dpdk1"));
    }
    let service = "-H proto=tcp,dst-range=10.0.0.100-10.0.0.109:80-89";
    lab.ipvsadm(&format!("-A -s rr {service}"));
    for server in V4.servers {
        lab.ipvsadm(&format!("-a {service} -r {server}:80 {mode}"));
    }
    if mode == "-b" {
        lab.ipvsadm(&format!("--add-laddr -z {} {service} -F dpdk0", V4.laddr));
    } else {
        route_servers_through_the_director(&lab, &V4);
    }
    lab.start_web();
    for url in ["http://10.0.0.100/", "http://10.0.0.101:85/"] {
        let answer = until(PATIENCE, url, || {
            let output = lab.client.output(&["curl", "-s", "--max-time", "3", url]);
            output.status.success().then_some(output.stdout)
        });
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.ends_with(seen), "{answer}");
    }
    restores(&lab, &lab.ipvsadm("-S -n"));
}

#[test]
fn snat_that_cannot_work_is_refused() {
    let lab = Lab::new(1);
    let service = "-H proto=tcp,src-range=192.168.100.0-192.168.100.254";
    lab.ipvsadm(&format!("-A -s rr {service}"));
    lab.ipvsadm("-A -s rr -t 10.0.0.100:80");
    for (line, part) in [
        (
            format!("-a {service} -r 10.0.0.7:0 -J"),
            "`dpip addr add 10.0.0.7/32 dev dpdk1 sapool`",
        ),
        (
            format!("-a {service} -r 10.0.0.7:80 -J"),
            "-r 10.0.0.7:0 -J",
        ),
        (
            "-a -t 10.0.0.100:80 -r 10.0.0.7 -J".to_owned(),
            "say which with -H",
        ),
        (format!("-A -s rr {service},oif=dpdk7"), "no device dpdk7"),
        (format!("-A -s rr {service}"), "exists"),
    ] {
        let (status, sentence) = lab.refused("ipvsadm-rs", &line);
        assert_eq!(status, 1, "{line}");
        assert!(sentence.contains(part), "{line}: {sentence}");
    }
}
