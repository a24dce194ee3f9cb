//! `dpvsd` without packets: what it refuses to start with, its signals, its log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod lab;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lab::{PATIENCE, peer, program};
use testkit::netns::{Folder, Running, until};

/// A director without a NIC, in need of little memory.
const SMALL: &str = "[[device]]\nname = \"dpdk0\"\nvdev = \"net_null0\"\nkni = false\n\
                     [eal]\nhugepages = false\n[workers]\nidle = \"sleep\"\n";
/// Tables of few conns, so that it starts at once.
const FEW_CONNS: &str = "[conns]\nmax_per_worker = 1024\nmax_dests = 1024\n";

/// A director that runs.
struct Director {
    daemon: Running,
    folder: Folder,
}

impl Director {
    fn start(more: &str) -> Self {
        let folder = Folder::new();
        let log = std::fs::File::create(folder.file("log")).unwrap();
        Self::logging_to(log.into(), folder, more)
    }

    fn logging_to(log: Stdio, folder: Folder, more: &str) -> Self {
        let mut command = dpvsd(&folder, more);
        let daemon = Running::start(command.stdout(Stdio::null()).stderr(log));
        let director = Self { daemon, folder };
        until(PATIENCE, "dpvsd to answer", || director.timeouts());
        director
    }

    /// What `ipvsadm-rs -l --timeout` prints, if the daemon answers.
    fn timeouts(&self) -> Option<String> {
        timeouts(&self.folder)
    }

    /// Runs a tool, which must succeed. Returns its process id.
    fn run(&self, tool: &str, args: &str) -> u32 {
        let mut command = Command::new(program(tool));
        command.args(args.split_whitespace());
        command.env("DPVS_SOCKET", self.folder.file("dpvsd.sock"));
        let mut child = command.spawn().unwrap();
        assert!(child.wait().unwrap().success(), "{tool} {args}");
        child.id()
    }

    /// Writes a new configuration and has it read.
    fn reload(&self, more: &str) {
        self.folder.write("dpvsd.toml", &format!("{SMALL}{more}"));
        self.daemon.signal("HUP");
    }

    fn until_logged(&self, line: &str) {
        until(PATIENCE, line, || self.log().contains(line).then_some(()));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.file("log")).unwrap()
    }
}

fn timeouts(folder: &Folder) -> Option<String> {
    let output = Command::new(program("ipvsadm-rs"))
        .args(["-l", "--timeout"])
        .env("DPVS_SOCKET", folder.file("dpvsd.sock"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

/// `dpvsd` with this configuration.
fn dpvsd(folder: &Folder, more: &str) -> Command {
    let config = folder.write("dpvsd.toml", &format!("{SMALL}{more}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpvsd"));
    command.arg("--config").arg(config);
    command.arg("--socket").arg(folder.file("dpvsd.sock"));
    command
}

/// Runs `dpvsd` with this configuration until it ends.
fn run(more: &str, args: &[&str]) -> Output {
    dpvsd(&Folder::new(), more).args(args).output().unwrap()
}

#[test]
fn sizes_beyond_the_memory_are_refused_by_the_check_and_at_start() {
    for (more, key) in [
        (
            "[conns]\nmax_dests = 4294967295\n",
            "[conns] max_dests = 4294967295",
        ),
        (
            "[conns]\nmax_per_worker = 2147483647\n",
            "[conns] max_per_worker = 2147483647",
        ),
        (
            "[conns]\nmax_ipv6_per_worker = 2147483647\n",
            "[conns] max_ipv6_per_worker =",
        ),
        (
            "[mbufs]\ncount = 4294967295\n",
            "[mbufs] count = 4294967295",
        ),
    ] {
        for args in [&["--check"][..], &[]] {
            let output = run(more, args);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{more}{args:?}: {said}");
            let error = said.lines().find(|line| line.starts_with("dpvsd: error: "));
            assert!(
                error.is_some_and(|line| line.contains(key)),
                "{more}{args:?}: {said}"
            );
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

#[test]
fn the_file_and_the_options_of_dpvs_are_recognised_and_the_file_is_converted() {
    let folder = Folder::new();
    let dpvs_conf = "global_defs {\n    log_level INFO\n}\nnetif_defs {\n\
                     <init> device dpdk0 {\n        rx {\n            rss all\n        }\n    }\n}\n";
    let dpvs_conf = folder.write("dpvs.conf", dpvs_conf);
    let dpvs_conf = dpvs_conf.to_str().unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dpvsd"))
            .args(args)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (status, _, said) = run(&["--config", dpvs_conf]);
    assert_eq!(status, Some(1));
    let convert = format!("`dpvsd convert {dpvs_conf} > dpvs.toml`");
    assert!(
        said.contains("is a configuration file of DPVS: ") && said.contains(&convert),
        "{said}"
    );
    let (status, _, said) = run(&["-c", dpvs_conf, "-p", "/p", "-x", "/x", "--", "-l", "0-1"]);
    assert_eq!(status, Some(2));
    assert!(
        said.contains("these are options of dpvs. -c FILE is --config FILE here"),
        "{said}"
    );
    let (status, toml, said) = run(&["convert", dpvs_conf]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    assert!(toml.contains("[daemon]\nlog = \"info\"\n"), "{toml}");
    assert!(
        toml.contains("# line 7, netif_defs/device/rx/rss all: "),
        "{toml}"
    );
    // What is written can be checked. Only the NIC is not there.
    let toml = folder.write("dpvs.toml", &toml);
    let (_, _, said) = run(&["--check", "--config", toml.to_str().unwrap()]);
    assert!(
        said.contains("there is no PCI device ffff:ff:1f.7"),
        "{said}"
    );
}

/// systemd stops what it is still starting, and an operator types Ctrl-C.
#[test]
fn a_start_that_is_stopped_or_fails_leaves_no_socket() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        let socket = folder.file("dpvsd.sock");
        let mut command = dpvsd(&folder, FEW_CONNS);
        let mut daemon = command.stderr(Stdio::null()).spawn().unwrap();
        // DPDK starts after the socket is there, and takes longer than this.
        until(PATIENCE, "the socket", || socket.exists().then_some(()));
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &daemon.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = daemon.wait().unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert!(!socket.exists(), "{signal}");
    }
    let folder = Folder::new();
    let more = "[[device]]\nname = \"dpdk1\"\nvdev = \"net_nothing0\"\n";
    let failed = dpvsd(&folder, more).output().unwrap();
    assert!(!failed.status.success());
    assert!(!folder.file("dpvsd.sock").exists());
}

#[test]
fn sighup_changes_what_can_change_and_names_each_key_that_needs_a_restart() {
    let director = Director::start(FEW_CONNS);
    assert_eq!(
        director.timeouts().unwrap(),
        "Timeout (tcp tcpfin udp): 90 7 300\n"
    );
    director.reload(
        "[conns]\nmax_per_worker = 2048\nmax_dests = 1024\n[mbufs]\ncache = 128\n\
         [timeouts]\ntcp_established = 77\n[defence]\ntcp_drop = true\n",
    );
    for line in [
        "[timeouts] tcp_established: the default -> 77\n",
        "[defence] tcp_drop: the default -> true\n",
        "[conns] max_per_worker: 1024 -> 2048 needs a restart\n",
        "[mbufs] cache: the default -> 128 needs a restart\n",
    ] {
        director.until_logged(line);
        assert_eq!(director.log().matches(line).count(), 1, "{line}");
    }
    until(PATIENCE, "the new timeout", || {
        let expected = "Timeout (tcp tcpfin udp): 77 7 300\n";
        (director.timeouts().as_deref() == Some(expected)).then_some(())
    });
    assert_eq!(director.log().matches("needs a restart").count(), 2);
    // The next reload says again what still needs a restart.
    director.reload("[conns]\nmax_per_worker = 2048\nmax_dests = 1024\n[mbufs]\ncache = 128\n");
    director.until_logged("[timeouts] tcp_established: 77 -> the default\n");
    until(PATIENCE, "the lines about a restart", || {
        (director.log().matches("needs a restart").count() == 4).then_some(())
    });
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let director = Director::start(FEW_CONNS);
    for (broken, why) in [
        (
            "[timeouts]\nudp = 7\nudq = 8\n",
            "unknown key 'udq': did you mean 'udp'",
        ),
        (
            "[timeouts]\nudp = 7\ntcp_close = 0\n",
            "[timeouts] tcp_close = 0 is out of range",
        ),
        (
            "[timeouts]\nudp = 7\n[daemon]\nlog = \"inof\"\n",
            "did you mean 'info'?",
        ),
        ("[timeouts\n", "dpvsd.toml:12: "),
    ] {
        director.reload(&format!("{FEW_CONNS}{broken}"));
        director.until_logged(why);
    }
    assert_eq!(director.log().matches("Nothing was changed\n").count(), 4);
    std::fs::remove_file(director.folder.file("dpvsd.toml")).unwrap();
    director.daemon.signal("HUP");
    director.until_logged("dpvsd.toml: No such file or directory");
    assert_eq!(
        director.timeouts().unwrap(),
        "Timeout (tcp tcpfin udp): 90 7 300\n"
    );
}

#[test]
fn the_log_level_changes_while_the_daemon_runs() {
    let director = Director::start(&format!("{FEW_CONNS}[daemon]\nlog = \"error\"\n"));
    director.reload(&format!("{FEW_CONNS}[daemon]\nlog = \"debug\"\n"));
    until(PATIENCE, "a line of the new level", || {
        director.daemon.signal("HUP");
        director.log().contains("says nothing new").then_some(())
    });
}

#[test]
fn the_log_says_what_was_started_and_who_changes_what() {
    let director = Director::start(FEW_CONNS);
    let config = director.folder.file("dpvsd.toml");
    let started = format!(", configuration {}\n", config.display());
    for line in [
        concat!("dpvsd ", env!("CARGO_PKG_VERSION"), ", DPDK "),
        &started,
        "device dpdk0: MAC ",
        ", driver net_null, queues 1, ",
        "worker cpu1: CPU 1, NUMA node ",
        ", dpdk0:rx0,tx0, room for 1280 conns\n",
    ] {
        director.until_logged(line);
    }
    for (tool, args, change) in [
        (
            "dpip",
            "addr add 10.0.0.100/32 dev dpdk0",
            "address 10.0.0.100/32 dev dpdk0 added",
        ),
        (
            "dpip",
            "route add 10.0.0.0/16 dev dpdk0",
            "route 10.0.0.0/16 dev dpdk0 added",
        ),
        (
            "dpip",
            "neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev dpdk0",
            "neighbour 10.0.0.9 of dpdk0 is 02:00:00:00:00:09",
        ),
        (
            "ipvsadm-rs",
            "-A -t 10.0.0.100:80 -s rr",
            "service TCP 10.0.0.100:80 added (rr)",
        ),
        (
            "ipvsadm-rs",
            "-a -t 10.0.0.100:80 -r 10.0.0.9 -g -w 3",
            "service TCP 10.0.0.100:80: real server 10.0.0.9:80 added (DR (-g), weight 3)",
        ),
        ("ipvsadm-rs", "-C", "all services removed"),
        ("dpip", "route flush dev dpdk0", "routes of dpdk0 removed"),
    ] {
        let pid = director.run(tool, args);
        director.until_logged(&format!(": uid 0, pid {pid} ({tool}): {change}\n"));
    }
    assert!(!director.log().contains(" WARN "), "{}", director.log());
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let (_reader, mut log) = std::io::pipe().unwrap();
    // The size of a pipe, see pipe(7). The next byte would wait.
    log.write_all(&[b'.'; 65_536]).unwrap();
    let mut director = Director::logging_to(log.into(), Folder::new(), FEW_CONNS);
    for _ in 0..8 {
        director.run("ipvsadm-rs", "-Z");
    }
    director.reload(&format!("{FEW_CONNS}[timeouts]\nudp = 33\n"));
    until(PATIENCE, "the reload", || {
        director.timeouts().filter(|text| text.ends_with(" 33\n"))
    });
    assert!(director.daemon.terminate(PATIENCE));
}

#[test]
fn a_daemon_in_the_background_outlives_its_terminal() {
    let folder = Folder::new();
    let dpvsd = dpvsd(&folder, FEW_CONNS);
    let mut command = Command::new("python3");
    command
        .arg(peer("close_terminal.py"))
        .arg(dpvsd.get_program());
    command.args(dpvsd.get_args());
    let mut shell = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut pid = String::new();
    let stdout = shell.child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut pid).unwrap();
    let daemon = Background(pid.trim().to_owned());
    until(PATIENCE, "dpvsd to answer", || timeouts(&folder));
    // The terminal closes.
    drop(shell.child.stdin.take());
    assert!(shell.child.wait().unwrap().success());
    // A reload writes to the terminal that is gone.
    let reloaded = format!("{SMALL}{FEW_CONNS}[timeouts]\nudp = 33\n");
    folder.write("dpvsd.toml", &reloaded);
    daemon.signal("HUP");
    until(PATIENCE, "an answer after the reload", || {
        timeouts(&folder).filter(|text| text.ends_with(" 33\n"))
    });
    assert!(Path::new("/proc").join(&daemon.0).exists());
}

/// A process that is no child of the test. It is ended when the value is dropped.
struct Background(String);

impl Background {
    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{name}"), &self.0]).output().unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.signal("TERM");
    }
}
