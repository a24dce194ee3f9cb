//! What a service asks of its conns, with real clients and servers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod lab;

use std::os::unix::fs::PermissionsExt;

use lab::{Addrs, Lab, PATIENCE, V4, V6, bracketed};
use rstest::rstest;
use testkit::netns::until;

/// Two arms, FullNAT, and dests on this port; `options` are the service's.
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

/// A stock nginx with `listen ... proxy_protocol` learns the client's address, whatever lies between.
#[rstest]
#[case::v4(V4, V4)]
#[case::v6(V6, V6)]
#[case::nat64(V6, V4)]
fn nginx_sees_the_client_by_the_proxy_protocol(
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

/// HAProxy with `accept-proxy`.
#[rstest]
fn haproxy_sees_the_client_by_the_proxy_protocol(#[values("v1", "v2")] version: &str) {
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

/// curl speaks first, ssh's server does: both get through, and the real server never sees a SYN of who is not there.
#[rstest]
#[case::v4(V4, V4)]
#[case::v6(V6, V6)]
#[case::nat64(V6, V4)]
fn clients_shake_hands_with_the_director(#[case] outside: Addrs, #[case] inside: Addrs) {
    let mut lab = Lab::new(2);
    set_up(&lab, &outside, &inside, 80, "-j enable");
    lab.start_web();
    lab.fetch_from_both_as(&outside, inside.laddr);
    for _ in 0..20 {
        assert!(lab.fetch_by(&outside).is_some(), "no fetch may fail");
    }
    let banner = "import socketserver\n\
        class H(socketserver.BaseRequestHandler):\n  \
        def handle(self): self.request.sendall(b'SSH-2.0-hello\\r\\n'); self.request.recv(1)\n\
        class S(socketserver.ThreadingTCPServer): address_family = socketserver.socket.AF_INET6\n\
        S(('::', 22), H).serve_forever()";
    lab.start_on_servers(&["python3", "-c", banner]);
    let service = format!("{}:22", bracketed(outside.vip));
    lab.ipvsadm(&format!("-A -t {service} -s rr -j enable"));
    lab.ipvsadm(&format!(
        "-a -t {service} -r {}:22 -b",
        bracketed(inside.servers[0])
    ));
    lab.ipvsadm(&format!(
        "--add-laddr -z {} -t {service} -F dpdk0",
        inside.laddr
    ));
    let ask = format!(
        "import socket; s = socket.create_connection(('{}', 22), timeout=3); print(s.recv(100).decode())",
        outside.vip
    );
    let heard = until(PATIENCE, "the server's greeting", || {
        let output = lab.client.output(&["python3", "-c", &ask]);
        output.status.success().then_some(output.stdout)
    });
    assert!(heard.starts_with(b"SSH-2.0-hello"));
    assert!(lab.ipvsadm("-ln").contains("rr synproxy\n"));
    // A large answer, with windows and losses as they come.
    let big = "import http.server, socket\n\
        class H(http.server.BaseHTTPRequestHandler):\n  \
        def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'x' * 20_000_000)\n  \
        def log_message(self, *args): pass\n\
        class S(http.server.ThreadingHTTPServer): address_family = socket.AF_INET6\n\
        S(('::', 8080), H).serve_forever()";
    lab.start_on_servers(&["python3", "-c", big]);
    let service = format!("{}:8080", bracketed(outside.vip));
    lab.ipvsadm(&format!("-A -t {service} -s rr -j enable"));
    lab.ipvsadm(&format!(
        "-a -t {service} -r {}:8080 -b",
        bracketed(inside.servers[0])
    ));
    lab.ipvsadm(&format!(
        "--add-laddr -z {} -t {service} -F dpdk0",
        inside.laddr
    ));
    let url = format!("http://{service}/");
    let got = until(PATIENCE, "20 MB", || {
        let args = [
            "curl",
            "-sg",
            "--max-time",
            "20",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            &url,
        ];
        let output = lab.client.output(&args);
        output.status.success().then_some(output.stdout)
    });
    assert_eq!(String::from_utf8(got).unwrap(), "20000000");
}

/// The rows of the LVS-NAT how-to: VIP:80 to two real servers with different ports and weights, VIP:21 to one of them.
/// A real client and a real server of FTP, who call each other both ways.
#[rstest]
#[case::nat("-m", V4.client)]
#[case::fullnat("-b", V4.laddr)]
fn the_how_to_s_rows_and_ftp(
    #[case] mode: &str,
    #[case] seen: &str,
    #[values(1, 2)] workers: u16,
    #[values("YES", "NO")] calls_from_port_20: &str,
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
        &format!("listen=YES\nconnect_from_port_20={calls_from_port_20}\n"),
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

/// vsftpd on both real servers; what is in its file.
fn start_ftp(lab: &mut Lab, settings: &str) -> String {
    let [files, empty] = ["ftp", "empty"].map(|name| lab.folder.file(name));
    for folder in [&files, &empty] {
        std::fs::create_dir_all(folder).unwrap();
    }
    // It reads as a user of its own.
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

/// Fetches the file through the VIP; `how` says who calls whom.
fn fetch_by_ftp(lab: &Lab, addrs: &Addrs, how: &[&str], content: &str) {
    let url = format!("ftp://{}/file", bracketed(addrs.vip));
    let got = until(PATIENCE, "the file", || {
        let args = [&["curl", "-sg", "--max-time", "10"][..], how, &[&url]].concat();
        let output = lab.client.output(&args);
        output.status.success().then_some(output.stdout)
    });
    assert!(got == content.as_bytes(), "{how:?}: {} bytes", got.len());
}

/// Clients of one family and servers of the other, who call each other both ways; curl says EPRT unless told not to.
#[rstest]
#[case::nat64(V6, V4, "-b", "listen=YES\n")]
#[case::nat46(V4, V6, "-b", "listen_ipv6=YES\n")]
#[case::nat64_by_nat(V6, V4, "-m", "listen=YES\n")]
#[case::nat46_by_nat(V4, V6, "-m", "listen_ipv6=YES\n")]
fn ftp_leads_to_the_other_family(
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

/// A service of FTP whose dest is of the other family.
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

/// RFC 959 and nothing that came after: it knows neither EPSV nor EPRT.
const OLD_SERVER: &str = "import socket, socketserver\n\
    class H(socketserver.StreamRequestHandler):\n  \
    def say(self, line): self.wfile.write(line.encode() + b'\\r\\n')\n  \
    def pasv(self, _):\n    \
    here = self.request.getsockname()[0]\n    \
    waiting = socket.create_server((here, 0))\n    \
    port = waiting.getsockname()[1]\n    \
    self.say('227 Entering Passive Mode (%s,%d,%d).' % (here.replace('.', ','), port >> 8, port & 255))\n    \
    self.data = lambda: waiting.accept()[0]\n  \
    def port(self, end):\n    \
    words = end.split(',')\n    \
    end = '.'.join(words[:4]), int(words[4]) << 8 | int(words[5])\n    \
    self.data = lambda: socket.create_connection(end, 5)\n    \
    self.say('200 ok')\n  \
    def retr(self, _):\n    \
    self.say('150 here')\n    \
    with self.data() as data: data.sendall(b'what is in the file\\n' * 10000)\n    \
    self.say('226 done')\n  \
    def handle(self):\n    \
    self.say('220 hello')\n    \
    for line in self.rfile:\n      \
    verb, _, rest = line.decode().strip().partition(' ')\n      \
    do = {'PASV': self.pasv, 'PORT': self.port, 'RETR': self.retr}.get(verb)\n      \
    answers = {'USER': '230 in', 'PWD': '257 \"/\"', 'TYPE': '200 ok', 'QUIT': '221 bye'}\n      \
    do(rest) if do else self.say(answers.get(verb, '502 what?'))\n\
    class S(socketserver.ThreadingTCPServer): allow_reuse_address = True\n\
    S(('0.0.0.0', 21), H).serve_forever()";

/// RFC 6384: a client of IPv6 has no other commands than EPSV and EPRT, and servers of IPv4 need not know them.
#[rstest]
fn old_servers_of_ftp_have_clients_of_ipv6(
    #[values("-b", "-m")] mode: &str,
    #[values(1, 2)] workers: u16,
) {
    let mut lab = Lab::new(workers);
    set_up_ftp(&lab, &V6, &V4, mode);
    lab.start_on_servers(&["python3", "-c", OLD_SERVER]);
    let content = "what is in the file\n".repeat(10_000);
    for how in [&["--ftp-pasv"][..], &["--ftp-port", "-"]] {
        fetch_by_ftp(&lab, &V6, how, &content);
    }
}

#[test]
fn a_client_keeps_to_its_real_server() {
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
        "one, at each worker that it came by: {row}"
    );
}

#[test]
fn a_denied_client_is_counted_and_a_drained_server_gets_empty() {
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
    // A conn that would last: the server waits for a request that does not come.
    let _idle = lab.client.spawn(&["nc", "10.0.0.100", "80"]);
    until(PATIENCE, "an established conn", || {
        lab.ipvsadm("-lnc").contains("ESTABLISHED").then_some(())
    });
    for server in V4.servers {
        lab.ipvsadm(&format!(
            "-e -t 10.0.0.100:80 -r {server}:80 -b -w 0 --drain 1"
        ));
    }
    assert!(lab.ipvsadm("-ln").contains("inhibited drains within 1s"));
    until(PATIENCE, "the end of all conns", || {
        (!lab.ipvsadm("-lnc").contains("ESTABLISHED")).then_some(())
    });
}
