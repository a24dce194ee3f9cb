//! What is wrong with a configuration file: where it is, what it is, and what to write instead.

use std::path::{Path, PathBuf};

use dpdk::{LcoreId, QueueId};
use packet::nat64::Nat64PrefixError;

use super::log_filter::InvalidLogLevel;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}. Samples to start from are in conf/", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason of the system.
        why: std::io::Error,
    },
    /// The file is DPVS's own, which is not TOML.
    #[error(
        "{path} is a configuration file of DPVS: \
         `dpvsd convert {path} > dpvs.toml` writes the TOML that it means", path = .0.display()
    )]
    OfDpvs(PathBuf),
    /// A line is not TOML, or holds a key or a value that no section has.
    #[error("{path}:{line}: {what}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A value is out of range, or sections contradict each other.
    #[error("{path}: {why}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: Invalid,
    },
}

/// A value that cannot be used, or a contradiction. Each names its section and key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    /// What is to be logged is not a level.
    #[error("[daemon] log: {0}")]
    Log(#[from] InvalidLogLevel),
    /// The file has no device.
    #[error("no [[device]] section: add one per NIC, with its name and its pci address or vdev")]
    NoDevice,
    /// A device's name has characters that do not fit into commands.
    #[error(
        "[[device]] name: invalid device name '{0}': \
         expected letters, digits, '.', '_' and '-', e.g. dpdk0"
    )]
    DeviceName(String),
    /// A device has neither a PCI address nor a vdev.
    #[error("[[device]] {0}: say where it is, with pci = \"0000:06:00.0\" or vdev = \"...\"")]
    NoAddress(String),
    /// A device has a PCI address and a vdev.
    #[error("[[device]] {0}: it has both pci and vdev: keep one")]
    TwoAddresses(String),
    /// A device's PCI address is not one.
    #[error(
        "[[device]] {device}: invalid pci address '{text}': \
         expected e.g. 0000:06:00.0 (`scripts/bind-nic` lists them)"
    )]
    PciAddress {
        /// The device's name.
        device: String,
        /// What the file says.
        text: String,
    },
    /// A device's MTU is too small for IP, or too large for mbufs.
    #[error("[[device]] {device}: mtu {mtu} is out of range: expected 68 to 9000")]
    Mtu {
        /// The device's name.
        device: String,
        /// What the file says.
        mtu: u16,
    },
    /// A kni netdev's name is too long for Linux.
    #[error(
        "[[device]] {device}: kni_name '{name}' is too long: \
         set one of at most {max} bytes, Linux allows no more", max = kni::LONGEST_NAME
    )]
    KniName {
        /// The device's name.
        device: String,
        /// What the file says, or the default.
        name: String,
    },
    /// A device's MAC address is not one, or is a multicast address.
    #[error(
        "[[device]] {device}: invalid MAC address '{text}': \
         expected a unicast address, e.g. 02:00:00:00:00:01"
    )]
    Mac {
        /// The device's name.
        device: String,
        /// What the file says.
        text: String,
    },
    /// Two devices have the same name.
    #[error("[[device]] {0} is there twice: give each device its own name")]
    DeviceTwice(String),
    /// Two kni netdevs have the same name.
    #[error("[[device]] kni_name {0} is there twice: give each kni netdev its own name")]
    KniTwice(String),
    /// Workers are counted and also listed.
    #[error("[workers] count and [[worker]] contradict each other: keep one")]
    CountAndWorkers,
    /// Workers would sleep for too long.
    #[error(
        "[workers] idle_sleep_us = {us} is out of range: expected 0 to {most}. Packets that come \
         meanwhile wait, and are lost when the ring of their queue is full"
    )]
    IdleSleep {
        /// What the file says.
        us: u32,
        /// The most.
        most: u32,
    },
    /// There is no worker.
    #[error("[workers] count is 0: it must be at least 1")]
    NoWorkers,
    /// A worker's lcore is the control plane's.
    #[error(
        "[[worker]] lcore {0} is the main lcore: \
         give the worker its own lcore (several may share a cpu)"
    )]
    MainLcore(LcoreId),
    /// A worker's lcore is another worker's.
    #[error(
        "[[worker]] lcore {0} is another worker's: \
         give each worker its own lcore (several may share a cpu)"
    )]
    LcoreTwice(LcoreId),
    /// A worker names a device that is not there.
    #[error("[[worker]] lcore {lcore}: no device {device}: the devices are {known}")]
    NoSuchDevice {
        /// The worker's lcore.
        lcore: LcoreId,
        /// The name that the worker's `queues` has.
        device: String,
        /// The names that there are, with commas between them.
        known: String,
    },
    /// Two workers poll the same queue.
    #[error(
        "[[worker]] queues: queue {queue} of {device} has two workers: give each worker its own"
    )]
    QueueTwice {
        /// The device's name.
        device: String,
        /// The queue.
        queue: QueueId,
    },
    /// A worker has no queue of a device, or more than one.
    #[error(
        "[[worker]] lcore {lcore}: it has {count} queues of {device}: \
         give it exactly one of each device"
    )]
    QueueCount {
        /// The worker's lcore.
        lcore: LcoreId,
        /// The device's name.
        device: String,
        /// How many queues of the device it has.
        count: usize,
    },
    /// A device's queues have gaps in their numbers.
    #[error(
        "[[worker]] queues: those of {device} must be numbered 0 to {last}, one for each worker"
    )]
    QueueNumbers {
        /// The device's name.
        device: String,
        /// The last number that is expected.
        last: usize,
    },
    /// A table of the engine would have no room, or more than its numbers can name.
    #[error("[conns] {key} = {size} is out of range: expected 1 to {most}")]
    TableSize {
        /// The key.
        key: &'static str,
        /// What the file says, or the default.
        size: u32,
        /// The largest that is possible.
        most: u32,
    },
    /// There are more mbufs in the caches, or in descriptors, than there are mbufs.
    #[error(
        "[mbufs] count = {count} is too small: \
         expected at least {least} for the descriptors and the caches, or leave it out"
    )]
    TooFewMbufs {
        /// What the file says.
        count: u32,
        /// The fewest that can work.
        least: u64,
    },
    /// The pool of mbufs would have more than DPDK can count.
    #[error("the descriptors of {workers} workers need more mbufs than DPDK can count: lower them")]
    TooManyMbufs {
        /// How many workers there are.
        workers: usize,
    },
    /// An lcore has a number that DPDK has no room for.
    #[error(
        "lcore {lcore} is out of range: DPDK's lcores are 0 to {last}, whatever cpu they run on"
    )]
    LcoreNumber {
        /// The number.
        lcore: u64,
        /// The last that is possible.
        last: u32,
    },
    /// A timeout is too short or too long.
    #[error("[timeouts] {key} = {secs} is out of range: expected 1 to {most} seconds")]
    Timeout {
        /// The key.
        key: &'static str,
        /// What the file says.
        secs: u32,
        /// The longest that is possible.
        most: u32,
    },
    /// A timeout of a state that no conn enters.
    #[error(
        "[timeouts] tcp_synack has no effect, since no conn enters the state SYNACK: the SYN proxy \
         answers a SYN without a conn. Remove the key"
    )]
    TimeoutOfNoState,
    /// The NAT64 prefix is not an IPv6 prefix.
    #[error("[nat64] prefix: invalid IPv6 prefix '{0}': expected e.g. \"64:ff9b::/96\"")]
    Nat64Text(String),
    /// The NAT64 prefix is not one that RFC 6052 allows.
    #[error("[nat64] prefix: {0}")]
    Nat64Prefix(#[from] Nat64PrefixError),
}

/// Adds the line to an error of the TOML reader, and to an unknown key the nearest valid one.
pub(super) fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(at);
    let line = before.filter(|byte| **byte == b'\n').count() + 1;
    let what =
        unknown_key(error.message()).unwrap_or_else(|| error.message().trim().replace('\n', " "));
    ConfigError::Line {
        path: path.to_owned(),
        line,
        what,
    }
}

/// What to say about an unknown key or word. serde's message has everything that is needed:
/// ``unknown field `quues`, expected one of `name`, `queues` ``, or `unknown variant` likewise.
fn unknown_key(message: &str) -> Option<String> {
    let (head, expected) = message.split_once(", expected ")?;
    let key = head
        .strip_prefix("unknown field ")
        .or_else(|| head.strip_prefix("unknown variant "))?
        .trim_matches('`');
    let valid: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = valid
        .iter()
        .max_by(|a, b| strsim::jaro(key, a).total_cmp(&strsim::jaro(key, b)))?;
    Some(format!(
        "unknown key '{key}': did you mean '{nearest}'? Valid here: {}",
        valid.join(", ")
    ))
}
