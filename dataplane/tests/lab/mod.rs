//! A client, a director and two real servers in namespaces, set up by the tutorial's own lines.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use testkit::netns::{Folder, Netns, Running, cable, until};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The addresses of a family, as the tutorial gives them, and their like in IPv6.
#[derive(Debug, Clone, Copy)]
pub struct Addrs {
    /// The service, as in a URL
    pub vip: &'static str,
    pub client: &'static str,
    pub clients: &'static str,
    pub servers: [&'static str; 2],
    pub laddr: &'static str,
    /// The director's own among the servers
    pub director: &'static str,
    pub lan: &'static str,
    /// A prefix of one address
    pub host: u8,
}

pub const V4: Addrs = Addrs {
    vip: "10.0.0.100",
    client: "10.0.0.48",
    clients: "10.0.0.0/16",
    servers: ["192.168.100.2", "192.168.100.3"],
    laddr: "192.168.100.200",
    director: "192.168.100.1",
    lan: "192.168.100.0/24",
    host: 32,
};

pub const V6: Addrs = Addrs {
    vip: "2001:db8:1::100",
    client: "2001:db8:1::48",
    clients: "2001:db8:1::/64",
    servers: ["2001:db8:100::2", "2001:db8:100::3"],
    laddr: "2001:db8:100::200",
    director: "2001:db8:100::1",
    lan: "2001:db8:100::/64",
    host: 128,
};

/// An address before a port.
pub fn bracketed(addr: &str) -> String {
    if addr.contains(':') {
        format!("[{addr}]")
    } else {
        addr.to_owned()
    }
}

impl Addrs {
    /// `10.0.0.100:80`
    pub fn service(&self) -> String {
        format!("{}:80", bracketed(self.vip))
    }
}

/// Takes packets out of their tunnel and gives them to the kernel, which need not know tunnels.
const TUNNEL_END: &str = r"
import fcntl, os, select, socket, struct, subprocess, sys
kind, is_outside_v6 = sys.argv[1], ':' in sys.argv[2]
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH14x', b'tunl', 0x1001))
subprocess.check_call('sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl.rp_filter=0; ip link set tunl up', shell=True)
family = socket.AF_INET6 if is_outside_v6 else socket.AF_INET
# A raw socket of IPv4 hands out the header too.
header = 0 if is_outside_v6 or kind == 'gue' else 20
if kind == 'gue':
    ends = [socket.socket(family, socket.SOCK_DGRAM)]
    if is_outside_v6: ends[0].setsockopt(socket.IPPROTO_UDP, 102, 1) # UDP_NO_CHECK6_RX: RFC 6935
    ends[0].bind(('', 6080))
elif kind == 'gre':
    ends = [socket.socket(family, socket.SOCK_RAW, 47)]
else:
    ends = [socket.socket(family, socket.SOCK_RAW, protocol) for protocol in (4, 41)]
shim = {'ipip': 0, 'gre': 4, 'gue': 4}[kind]
while True:
    for end in select.select(ends, [], [])[0]:
        packet = end.recv(65535)[header:]
        inner = packet[shim:]
        is_v4 = inner[0] >> 4 == 4
        told = {'ipip': b'', 'gre': b'\0\0\x08\0' if is_v4 else b'\0\0\x86\xdd', 'gue': bytes([0, 4 if is_v4 else 41, 0, 0])}[kind]
        assert packet.startswith(told), packet
        os.write(tun, inner)
";

/// What a director has beside its two cables.
#[derive(Debug, Default)]
pub struct More {
    /// Names and vdevs of its devices
    pub devices: Vec<(&'static str, String)>,
    /// All its mbufs, if they have to be more than usual
    pub mbufs: Option<u32>,
    /// Its cables end in libpcap, without kni: the kernel would put IPv4 fragments together again before it hands them
    /// to a port of `net_af_packet`, which asks for that (PACKET_FANOUT_FLAG_DEFRAG).
    pub sees_fragments: bool,
}

pub struct Lab {
    pub director: Running,
    pub client: Netns,
    pub director_netns: Netns,
    pub servers: [Netns; 2],
    pub folder: Folder,
    switch: Netns,
    web: Vec<Running>,
}

/// The program of this name, built beside the daemon.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dpvsd")).with_file_name(name)
}

impl Lab {
    /// Client and real servers on different sides of the director, `dpvsd` running with this many workers,
    /// nothing configured.
    pub fn new(workers: u16) -> Self {
        Self::wired(workers, false, |_| More::default())
    }

    /// The same with one worker and more devices.
    pub fn with_more(more: impl FnOnce(&Folder) -> More) -> Self {
        Self::wired(1, false, more)
    }

    /// All on the director's `dpdk0`, where real servers reach clients by themselves.
    pub fn one_arm(workers: u16) -> Self {
        Self::wired(workers, true, |_| More::default())
    }

    fn wired(workers: u16, one_arm: bool, more: impl FnOnce(&Folder) -> More) -> Self {
        let client = Netns::new("client");
        let director_netns = Netns::new("director");
        let servers = [Netns::new("rs1"), Netns::new("rs2")];
        let switch = Netns::new("switch");
        // The director's kernel, and the switch's, keep out of it.
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
        folder.write("dpvsd.toml", &config(&folder, workers, more(&folder)));
        let director = start_dpvsd(&director_netns, &folder);
        let lab = Self {
            director,
            client,
            director_netns,
            servers,
            folder,
            switch,
            web: Vec::new(),
        };
        lab.wait_until_it_answers();
        lab
    }

    /// Gives the real servers a way to the clients that does not lead through the director.
    pub fn connect_servers_to_clients(&self) {
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

    /// The tutorial's lines for two-arm FullNAT, for both protocols.
    pub fn set_up(&self) {
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

    /// Runs a program of ours; whatever comes of it.
    pub fn output(&self, name: &str, args: &str) -> Output {
        let mut command = Command::new(program(name));
        command
            .args(args.split_whitespace())
            .env("DPVS_SOCKET", self.folder.file("dpvsd.sock"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a program of ours that must succeed; what it printed.
    fn succeed(&self, name: &str, args: &str) -> String {
        let output = self.output(name, args);
        assert!(
            output.status.success(),
            "{name} {args}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn dpip(&self, args: &str) -> String {
        self.succeed("dpip", args)
    }

    pub fn ipvsadm(&self, args: &str) -> String {
        self.succeed("ipvsadm-rs", args)
    }

    /// A command that must be refused: exit status and sentence.
    pub fn refused(&self, name: &str, args: &str) -> (i32, String) {
        let output = self.output(name, args);
        assert!(!output.status.success(), "{name} {args} was not refused");
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// nginx on both real servers, saying who it is and whom it sees.
    pub fn start_web(&mut self) {
        for (number, server) in (1..).zip(&self.servers) {
            let dir = self.folder.file(&format!("rs{number}"));
            std::fs::create_dir_all(&dir).unwrap();
            let dir = dir.display();
            let path = self.folder.write(
                &format!("rs{number}.conf"),
                &format!(
                    "daemon off; pid {dir}/pid; error_log {dir}/error.log; events {{}}
                     http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir};
                     fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
                     server {{ listen 80; listen [::]:80; listen 8000; location / {{ return 200 \"rs{number} $remote_addr\"; }} }}
                     server {{ listen 81 proxy_protocol; listen [::]:81 proxy_protocol;
                     location / {{ return 200 \"rs{number} $proxy_protocol_addr\"; }} }} }}"
                ),
            );
            let log = format!("{dir}/error.log");
            self.web
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
    pub fn start_on_servers(&mut self, args: &[&str]) {
        let started: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.spawn(args))
            .collect();
        self.web.extend(started);
    }

    /// The ends of tunnels of this kind on both real servers. The director's packets there are of this family.
    pub fn start_tunnel_ends(&mut self, kind: &str, outside: &Addrs) {
        self.start_on_servers(&["python3", "-c", TUNNEL_END, kind, outside.vip]);
        for server in &self.servers {
            until(PATIENCE, "the tunnel's end", || {
                let link = server.output(&["ip", "link", "show", "tunl"]);
                let text = String::from_utf8(link.stdout).unwrap();
                text.contains("LOWER_UP").then_some(())
            });
        }
    }

    /// Fetches the page through the VIP.
    pub fn fetch(&self) -> Option<String> {
        self.fetch_by(&V4)
    }

    /// Fetches the page through the VIP of a family.
    pub fn fetch_by(&self, addrs: &Addrs) -> Option<String> {
        let url = format!("http://{}/", addrs.service());
        let output = self
            .client
            .output(&["curl", "-sg", "--max-time", "3", &url]);
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Fetches until both real servers have answered, who see the local address.
    pub fn fetch_from_both(&self) {
        self.fetch_from_both_as(&V4, V4.laddr);
    }

    /// Fetches until both real servers have answered, who see this address.
    pub fn fetch_from_both_as(&self, by: &Addrs, seen: &str) {
        for name in ["rs1", "rs2"] {
            let answer = until(PATIENCE, name, || {
                self.fetch_by(by).filter(|answer| answer.starts_with(name))
            });
            assert_eq!(answer, format!("{name} {seen}"), "whom the dest sees");
        }
    }

    /// A number out of `dpip --json link show cpu`, summed over the workers.
    pub fn worker_count(&self, name: &str) -> u64 {
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

fn config(folder: &Folder, workers: u16, more: More) -> String {
    let driver = if more.sees_fragments {
        "net_pcap"
    } else {
        "net_af_packet"
    };
    let mut devices = vec![
        ("dpdk0", format!("{driver}0,iface=lan")),
        ("dpdk1", format!("{driver}1,iface=wan")),
    ];
    devices.extend(more.devices);
    let mbufs = more
        .mbufs
        .map(|count| format!("[mbufs]\ncount = {count}\n"));
    // Workers share CPU 1, or CPU 0 where there is no other: logic is tested here, not speed.
    let cpu = usize::from(std::thread::available_parallelism().map_or(1, usize::from) > 1);
    let worker = |number: u16| {
        let lcore = number + 1;
        let queues: Vec<String> = devices
            .iter()
            .map(|(name, _)| format!("{name} = [{number}]"))
            .collect();
        let queues = queues.join(", ");
        format!("[[worker]]\nlcore = {lcore}\ncpu = {cpu}\nqueues = {{ {queues} }}\n")
    };
    let device = |(name, vdev): &(&str, String)| {
        let kni = vdev.starts_with("net_af_packet");
        format!("[[device]]\nname = \"{name}\"\nvdev = \"{vdev}\"\nkni = {kni}\n")
    };
    format!(
        "[daemon]\nsocket = \"{}\"\n{}{}\
         [conns]\nmax_per_worker = 65536\nmax_dests = 4096\n\
         [workers]\nidle = \"sleep\"\n{}",
        folder.file("dpvsd.sock").display(),
        mbufs.unwrap_or_default(),
        devices.iter().map(device).collect::<String>(),
        (0..workers).map(worker).collect::<String>()
    )
}

fn start_dpvsd(netns: &Netns, folder: &Folder) -> Running {
    let log = std::fs::File::create(folder.file("dpvsd.log")).unwrap();
    let mut command = netns.command(program("dpvsd"));
    command.arg("--config").arg(folder.file("dpvsd.toml"));
    Running::start(command.stdout(Stdio::null()).stderr(log))
}
