//! Network namespaces with real programs in them. What a test makes is removed when its value is
//! dropped, also when the test fails.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The time between two attempts of [`until`].
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Calls `attempt` until it returns something. Fails the test when that takes longer than `within`.
pub fn until<T>(within: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {within:?} in vain for {what}"
        );
        std::thread::sleep(POLL_EVERY); // until the deadline
    }
}

/// A network namespace of a test.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// A new namespace whose loopback is up, without IPv6; `role` is part of its name.
    pub fn new(role: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let netns = Self {
            name: format!("dpvs-test-{}-{number}-{role}", std::process::id()),
        };
        run(Command::new("ip").args(["netns", "add", &netns.name]));
        netns.sysctl("net.ipv6.conf.all.disable_ipv6=1");
        netns.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        netns.ip("link set lo up");
        netns
    }

    /// Enables IPv6. Addresses can be used at once, without duplicate address detection (RFC 4862,
    /// 5.4).
    pub fn enable_ipv6(&self) {
        self.sysctl("net.ipv6.conf.default.accept_dad=0");
        self.sysctl("net.ipv6.conf.all.disable_ipv6=0");
        self.sysctl("net.ipv6.conf.default.disable_ipv6=0");
    }

    /// `ip -n NAME ...`
    pub fn ip(&self, args: &str) -> String {
        run(Command::new("ip")
            .args(["-n", &self.name])
            .args(args.split_whitespace()))
    }

    fn sysctl(&self, setting: &str) {
        self.run(&["sysctl", "-qw", setting]);
    }

    /// A command to run in the namespace.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .arg(program.as_ref())
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its end. Returns its output.
    pub fn output(&self, args: &[&str]) -> Output {
        let mut command = self.command(args[0]);
        command
            .args(&args[1..])
            .output()
            .expect("ip netns exec starts")
    }

    /// Runs a program that must succeed. Returns what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        run(self.command(args[0]).args(&args[1..]))
    }

    /// Starts a program, which is ended when the value is dropped.
    pub fn spawn(&self, args: &[&str]) -> Running {
        Running::start(
            self.command(args[0])
                .args(&args[1..])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

/// A cable between two namespaces. The sender makes the checksums, since a DPDK port gets frames as
/// they are sent.
pub fn cable((a, at_a): (&Netns, &str), (b, at_b): (&Netns, &str)) {
    run(Command::new("ip").args([
        "link", "add", at_a, "netns", &a.name, "type", "veth", "peer", "name", at_b, "netns",
        &b.name,
    ]));
    for (netns, interface) in [(a, at_a), (b, at_b)] {
        netns.run(&["ethtool", "-K", interface, "tx", "off"]);
        netns.ip(&format!("link set {interface} up"));
    }
}

/// A program that is ended, by its process id, when the value is dropped.
#[derive(Debug)]
pub struct Running {
    /// The process
    pub child: Child,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self {
            child: command.spawn().expect("the program starts"),
        }
    }

    /// Asks it to end and waits for that. Returns whether it succeeded.
    pub fn terminate(&mut self, within: Duration) -> bool {
        self.signal("TERM");
        until(within, "a process to end", || {
            self.child.try_wait().ok().flatten()
        })
        .success()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .output();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A master process ends its workers only if it is asked to end.
        self.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline
        {
            std::thread::sleep(POLL_EVERY); // until the deadline
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is removed when the value is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder within the system's temporary folder.
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dpvs-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it. Returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
