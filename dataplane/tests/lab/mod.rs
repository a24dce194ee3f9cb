//! A client, a director and two real servers in network namespaces.
//!
//! [`Lab`] is the entrance. Its commands are those of DPVS's tutorial. `addrs` has the addresses,
//! `config` the configuration files.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

mod addrs;
mod config;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use testkit::netns::{Folder, Netns, Running, cable, until};

pub(crate) use addrs::{Addrs, V4, V6, bracketed};
pub(crate) use config::More;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The namespaces, and the programs in them. Everything ends with the value.
pub(crate) struct Lab {
    /// The running `dpvsd`.
    pub(crate) director: Running,
    /// The client's namespace.
    pub(crate) client: Netns,
    /// The director's namespace.
    pub(crate) director_netns: Netns,
    /// The real servers' namespaces.
    pub(crate) servers: [Netns; 2],
    /// A folder for files of the test.
    pub(crate) folder: Folder,
    /// The switches between all of them: a bridge `lan` and a bridge `wan`.
    switch: Netns,
    /// Programs on the real servers.
    running: Vec<Running>,
}

/// The path of a program that is built beside the daemon.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dpvsd")).with_file_name(name)
}

/// The path of a peer in `tests/peers`. One in Python is run as `python3 PATH`.
pub(crate) fn peer(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    path.join(name).to_str().unwrap().to_owned()
}

impl Lab {
    /// Client and real servers on different sides of the director. `dpvsd` runs with this many
    /// workers, and nothing is configured.
    pub(crate) fn new(workers: u16) -> Self {
        Self::wired(workers, false, |_| More::default())
    }

    /// A lab with one worker, whose director has more devices or other ports.
    pub(crate) fn with_more(more: impl FnOnce(&Folder) -> More) -> Self {
        Self::wired(1, false, more)
    }

    /// A lab with several workers, whose director has more devices or other ports.
    pub(crate) fn with_workers(workers: u16, more: impl FnOnce(&Folder) -> More) -> Self {
        Self::wired(workers, false, more)
    }

    /// Client and real servers both at the director's `dpdk0`, so that real servers can reach
    /// clients without the director.
    pub(crate) fn one_arm(workers: u16) -> Self {
        Self::wired(workers, true, |_| More::default())
    }

    fn wired(workers: u16, one_arm: bool, more: impl FnOnce(&Folder) -> More) -> Self {
        let client = Netns::new("client");
        let director_netns = Netns::new("director");
        let servers = [Netns::new("rs1"), Netns::new("rs2")];
        let switch = Netns::new("switch");
        // The kernels of the director and of the switch must not take part, so they have no IPv6.
        for end in [&client, &servers[0], &servers[1]] {
            end.enable_ipv6();
        }
        for bridge in ["lan", "wan"] {
            switch.ip(&format!("link add {bridge} type bridge"));
            switch.ip(&format!("link set {bridge} up"));
        }
        cable((&director_netns, "wan"), (&switch, "outside"));
        switch.ip("link set outside master wan");
        cable((&client, "eth0"), (&switch, "client"));
        let side = if one_arm { "lan" } else { "wan" };
        switch.ip(&format!("link set client master {side}"));
        cable((&director_netns, "lan"), (&switch, "director"));
        switch.ip("link set director master lan");
        for (number, server) in (1..).zip(&servers) {
            let port = format!("rs{number}");
            cable((server, "eth0"), (&switch, &port));
            switch.ip(&format!("link set {port} master lan"));
            server.ip(&format!("addr add 192.168.100.{}/24 dev eth0", number + 1));
            let addr = format!("2001:db8:100::{}/64", number + 1);
            server.ip(&format!("addr add {addr} dev eth0 nodad"));
        }
        client.ip("addr add 10.0.0.48/16 dev eth0");
        client.ip("addr add 2001:db8:1::48/64 dev eth0 nodad");
        let folder = Folder::new();
        let more = more(&folder);
        folder.write("dpvsd.toml", &config::dpvsd(&folder, workers, &more));
        let director = start_dpvsd(&director_netns, &folder, more.log_is_full);
        let lab = Self {
            director,
            client,
            director_netns,
            servers,
            folder,
            switch,
            running: Vec::new(),
        };
        lab.wait_until_it_answers();
        lab
    }

    /// Connects the real servers with the clients' network, around the director.
    pub(crate) fn connect_servers_to_clients(&self) {
        for (number, server) in (1..).zip(&self.servers) {
            let port = format!("rs{number}wan");
            cable((server, "eth1"), (&self.switch, &port));
            self.switch.ip(&format!("link set {port} master wan"));
            server.ip(&format!("addr add 10.0.0.{}/16 dev eth1", number + 10));
            let addr = format!("2001:db8:1::{}/64", number + 10);
            server.ip(&format!("addr add {addr} dev eth1 nodad"));
        }
    }

    fn wait_until_it_answers(&self) {
        until(PATIENCE, "dpvsd to answer", || {
            self.output("dpip", "link show")
                .status
                .success()
                .then_some(())
        });
    }

    /// The tutorial's commands for two-arm FullNAT, for TCP and UDP.
    pub(crate) fn set_up(&self) {
        self.dpip("addr add 10.0.0.100/32 dev dpdk1");
        self.dpip("route add 10.0.0.0/16 dev dpdk1");
        self.dpip("route add 192.168.100.0/24 dev dpdk0");
        for service in ["-t 10.0.0.100:80", "-u 10.0.0.100:80"] {
            self.ipvsadm(&format!("-A {service} -s rr"));
            self.ipvsadm(&format!("-a {service} -r 192.168.100.2 -b"));
            self.ipvsadm(&format!("-a {service} -r 192.168.100.3 -b"));
            self.ipvsadm(&format!(
                "--add-laddr -z 192.168.100.200 {service} -F dpdk0"
            ));
        }
    }

    /// Runs `dpip` or `ipvsadm-rs`, whether or not it succeeds.
    pub(crate) fn output(&self, name: &str, args: &str) -> Output {
        let mut command = Command::new(program(name));
        command
            .args(args.split_whitespace())
            .env("DPVS_SOCKET", self.folder.file("dpvsd.sock"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs `dpip` or `ipvsadm-rs`, which must succeed. Returns what it printed.
    fn succeed(&self, name: &str, args: &str) -> String {
        let output = self.output(name, args);
        assert!(
            output.status.success(),
            "{name} {args}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `dpip`, which must succeed. Returns what it printed.
    pub(crate) fn dpip(&self, args: &str) -> String {
        self.succeed("dpip", args)
    }

    /// Runs `ipvsadm-rs`, which must succeed. Returns what it printed.
    pub(crate) fn ipvsadm(&self, args: &str) -> String {
        self.succeed("ipvsadm-rs", args)
    }

    /// Runs a command that must be refused. Returns its exit status and message.
    pub(crate) fn refused(&self, name: &str, args: &str) -> (i32, String) {
        let output = self.output(name, args);
        assert!(!output.status.success(), "{name} {args} was not refused");
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// Starts nginx on both real servers. Its page says which one it is, and the client's address.
    pub(crate) fn start_web(&mut self) {
        for (number, server) in (1..).zip(&self.servers) {
            let dir = self.folder.file(&format!("rs{number}"));
            std::fs::create_dir_all(&dir).unwrap();
            let dir = dir.display().to_string();
            let config = config::nginx(number, &dir);
            let path = self.folder.write(&format!("rs{number}.conf"), &config);
            let log = format!("{dir}/error.log");
            self.running
                .push(server.spawn(&["nginx", "-e", &log, "-c", path.to_str().unwrap()]));
        }
        for (number, server) in (2..).zip(&self.servers) {
            let url = format!("http://192.168.100.{number}/");
            until(PATIENCE, "nginx", || {
                server
                    .output(&["curl", "-s", "--max-time", "1", &url])
                    .status
                    .success()
                    .then_some(())
            });
        }
    }

    /// Starts a program on both real servers.
    pub(crate) fn start_on_servers(&mut self, args: &[&str]) {
        let started: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.spawn(args))
            .collect();
        self.running.extend(started);
    }

    /// Starts the ends of tunnels of this kind on both real servers. The outer headers are of this
    /// family.
    pub(crate) fn start_tunnel_ends(&mut self, kind: &str, outer: &Addrs) {
        self.start_on_servers(&["python3", &peer("tunnel_end.py"), kind, outer.vip]);
        for server in &self.servers {
            until(PATIENCE, "the tunnel's end", || {
                let link = server.output(&["ip", "link", "show", "tunl"]);
                let text = String::from_utf8(link.stdout).unwrap();
                text.contains("LOWER_UP").then_some(())
            });
        }
    }

    /// Fetches the page through the VIP.
    pub(crate) fn fetch(&self) -> Option<String> {
        self.fetch_by(&V4)
    }

    /// Fetches the page through the VIP of a family.
    pub(crate) fn fetch_by(&self, addrs: &Addrs) -> Option<String> {
        let url = format!("http://{}/", addrs.service());
        let output = self
            .client
            .output(&["curl", "-sg", "--max-time", "3", &url]);
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Fetches until both real servers have answered. They must see the local address.
    pub(crate) fn fetch_from_both(&self) {
        self.fetch_from_both_as(&V4, V4.laddr);
    }

    /// Fetches until both real servers have answered. They must see the client as `seen`.
    pub(crate) fn fetch_from_both_as(&self, by: &Addrs, seen: &str) {
        for name in ["rs1", "rs2"] {
            let answer = until(PATIENCE, name, || {
                self.fetch_by(by).filter(|answer| answer.starts_with(name))
            });
            assert_eq!(
                answer,
                format!("{name} {seen}"),
                "the address that the dest sees"
            );
        }
    }

    /// A counter of `dpip --json link show cpu`, summed over the workers.
    pub(crate) fn worker_count(&self, name: &str) -> u64 {
        let text = self.dpip("--json link show cpu");
        let wanted = format!("\"{name}\":");
        let values = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&wanted));
        values
            .map(|value| value.trim().trim_end_matches(',').parse::<u64>().unwrap())
            .sum()
    }
}

fn start_dpvsd(netns: &Netns, folder: &Folder, log_is_full: bool) -> Running {
    let log = if log_is_full {
        PathBuf::from("/dev/full")
    } else {
        folder.file("dpvsd.log")
    };
    let log = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .open(log)
        .unwrap();
    let mut command = netns.command(program("dpvsd"));
    command.arg("--config").arg(folder.file("dpvsd.toml"));
    Running::start(command.stdout(Stdio::null()).stderr(log))
}
