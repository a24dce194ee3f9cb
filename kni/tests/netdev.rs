//! The netdev as its users see it: it is down at first, works in another network namespace, and
//! goes away with its owner. The test needs root.

use std::error::Error;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kni::{KniDevice, KniError};
use packet::MacAddr;

const NAME: &str = "dpdk0.kni";
const MAC: MacAddr = MacAddr([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 9];
const PATIENCE: Duration = Duration::from_secs(10);
/// Where an Ethernet frame has its EtherType.
const ETHERTYPE: std::ops::Range<usize> = 12..14;
/// Where a frame with an ARP packet has the operation (RFC 826).
const ARP_OPERATION: std::ops::Range<usize> = 20..22;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A network namespace that lives as long as a sleeping process in it.
struct Namespace(Child);

impl Namespace {
    fn new() -> Outcome<Self> {
        let child = Command::new("unshare")
            .args(["-n", "sleep", "60"])
            .stdin(Stdio::null())
            .spawn()?;
        let namespace = Self(child);
        let ours = fs::read_link("/proc/thread-self/ns/net")?;
        let theirs = format!("/proc/{}/ns/net", namespace.0.id());
        wait_for(|| Ok(fs::read_link(&theirs)? != ours))?;
        Ok(namespace)
    }

    fn run(&self, command: &str) -> Outcome<String> {
        let pid = self.0.id().to_string();
        run(&["nsenter", "-t", &pid, "-n", "bash", "-c", command])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &[&str]) -> Outcome<String> {
    let output = Command::new(command[0]).args(&command[1..]).output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

fn wait_for(mut done: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err("it did not happen in time".into());
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Puts this thread, and the processes that it starts, into a new network namespace.
fn leave_the_host() -> Outcome<()> {
    // SAFETY: the call takes no pointer; only this thread's namespace changes.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0 {
        Ok(())
    } else {
        Err(format!("unshare: {}", std::io::Error::last_os_error()).into())
    }
}

#[test]
fn a_netdev_is_down_at_first_can_be_moved_and_goes_away_with_its_owner() -> Outcome<()> {
    leave_the_host()?;
    let device = KniDevice::create(NAME, MAC, 1400)?;
    let shown = run(&["ip", "link", "show", NAME])?;
    assert!(shown.contains("mtu 1400"), "{shown}");
    assert!(shown.contains(&MAC.to_string()), "{shown}");
    assert!(!shown.contains("UP"), "the user brings it up: {shown}");
    let mut frame = [0; 2048];
    assert!(
        matches!(device.read(&mut frame), Ok(None)),
        "while it is down the kernel sends nothing, and a read does not wait"
    );
    assert!(matches!(
        KniDevice::create("a-name-too-long-for-linux", MAC, 1500),
        Err(KniError::NameTooLong(_))
    ));

    let elsewhere = Namespace::new()?;
    let pid = elsewhere.0.id().to_string();
    run(&["ip", "link", "set", NAME, "netns", &pid])?;
    assert!(run(&["ip", "link", "show", NAME]).is_err(), "it has moved");
    elsewhere.run(&format!(
        "sysctl -qw net.ipv6.conf.{}.disable_ipv6=1; \
         ip link set {NAME} up && ip addr add 10.0.0.1/24 dev {NAME}",
        NAME.replace('.', "/")
    ))?;
    resolves_a_neighbour(&device, &elsewhere)?;

    drop(device);
    wait_for(|| Ok(elsewhere.run(&format!("ip link show {NAME}")).is_err()))
}

/// The kernel sends an ARP request for 10.0.0.2 through the netdev, and accepts the reply.
fn resolves_a_neighbour(device: &KniDevice, elsewhere: &Namespace) -> Outcome<()> {
    elsewhere.run("echo hello >/dev/udp/10.0.0.2/9")?;
    let mut frame = [0; 2048];
    let mut request = Vec::new();
    wait_for(|| {
        if let Some(len) = device.read(&mut frame)? {
            request = frame[..len].to_vec();
        }
        Ok(request.get(ETHERTYPE) == Some(&[0x08, 0x06]))
    })?;
    assert_eq!(request[..6], MacAddr::BROADCAST.0);
    assert_eq!(request[6..12], MAC.0);
    assert_eq!(request[ARP_OPERATION], [0, 1]);

    let mut reply = [&MAC.0[..], &PEER_MAC, &request[12..20], &[0, 2], &PEER_MAC].concat();
    reply.extend([10, 0, 0, 2]);
    reply.extend(MAC.0);
    reply.extend([10, 0, 0, 1]);
    device.write(&reply)?;
    wait_for(|| {
        let neighbours = elsewhere.run("ip neigh show 10.0.0.2")?;
        Ok(neighbours.contains(&MacAddr(PEER_MAC).to_string()))
    })
}
