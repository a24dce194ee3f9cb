//! The file as it is written, and how it becomes a [`Config`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use ipvs_core::{Defence, TcpState, Timeouts};
use packet::MacAddr;
use packet::nat64::Nat64Prefix;
use serde::Deserialize;

use super::plan::{self, RawWorker};
use super::{
    Config, DEFAULT_SOCKET, DeviceAddress, DeviceConfig, EalConfig, Hugepages, IdleConfig,
    NeighbourConfig,
};

/// Below this many CPUs workers rest by default: a polling worker would leave nothing for the
/// control plane and for the peers of a test.
const CPUS_TO_POLL: usize = 3;
/// Descriptors per queue that the number of mbufs allows for when none are configured.
const USUAL_DESCRIPTORS: u32 = 1024;
/// Mbufs beside those in descriptors: bursts, held packets, rings to the kernel and other workers.
const SPARE_MBUFS: u32 = 8192;
/// One in this many conns may have an end with IPv6 unless the file says otherwise.
const IPV6_SHARE: u32 = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    daemon: Daemon,
    #[serde(default)]
    eal: Eal,
    #[serde(default)]
    device: Vec<Device>,
    #[serde(default)]
    workers: Workers,
    #[serde(default)]
    worker: Vec<RawWorker>,
    #[serde(default)]
    conns: Conns,
    #[serde(default)]
    mbufs: Mbufs,
    #[serde(default)]
    timeouts: BTreeMap<TimeoutKey, u32>,
    #[serde(default)]
    neighbours: Neighbours,
    #[serde(default)]
    defence: RawDefence,
    #[serde(default)]
    nat64: Nat64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nat64 {
    prefix: Option<String>,
}

impl Nat64 {
    fn validate(self) -> Result<Nat64Prefix, String> {
        let Some(text) = self.prefix else {
            return Ok(Nat64Prefix::default());
        };
        let (addr, len) = parse_prefix(&text).ok_or_else(|| {
            format!("[nat64] prefix '{text}' is no IPv6 prefix: write it as \"64:ff9b::/96\"")
        })?;
        Nat64Prefix::new(addr, len).map_err(|error| format!("[nat64] prefix: {error}"))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawDefence {
    tcp_drop: bool,
    udp_drop: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Daemon {
    socket: Option<PathBuf>,
    log: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Eal {
    hugepages: Option<RawHugepages>,
    memory_mb: Option<u32>,
    #[serde(default)]
    main_lcore: u32,
    #[serde(default)]
    extra_args: Vec<String>,
}

impl Eal {
    fn validate(self) -> EalConfig {
        EalConfig {
            hugepages: match self.hugepages {
                None | Some(RawHugepages::Word(AutoWord::Auto)) => Hugepages::Auto,
                Some(RawHugepages::Fixed(true)) => Hugepages::Require,
                Some(RawHugepages::Fixed(false)) => Hugepages::Never,
            },
            memory_mb: self.memory_mb,
            main_lcore: self.main_lcore,
            extra_args: self.extra_args,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "hugepages is true, false or \"auto\"")]
enum RawHugepages {
    Fixed(bool),
    Word(AutoWord),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AutoWord {
    Auto,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    name: String,
    pci: Option<String>,
    vdev: Option<String>,
    #[serde(default)]
    rx_desc: u16,
    #[serde(default)]
    tx_desc: u16,
    #[serde(default = "usual_mtu")]
    mtu: u16,
    #[serde(default)]
    promiscuous: bool,
    #[serde(default = "yes")]
    kni: bool,
    kni_name: Option<String>,
    mac: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Workers {
    count: Option<u16>,
    idle: Option<IdleWord>,
    idle_after_loops: Option<u32>,
    idle_sleep_us: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum IdleWord {
    Poll,
    Sleep,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Conns {
    max_per_worker: u32,
    max_ipv6_per_worker: Option<u32>,
    max_dests: u32,
}

impl Default for Conns {
    fn default() -> Self {
        Self {
            max_per_worker: 1 << 20,
            max_ipv6_per_worker: None,
            max_dests: 1 << 20,
        }
    }
}

impl Conns {
    fn refuse_zero(&self) -> Result<(), String> {
        let sizes = [
            self.max_per_worker,
            self.max_ipv6_per_worker.unwrap_or(1),
            self.max_dests,
        ];
        if sizes.contains(&0) {
            return Err(
                "[conns] max_per_worker, max_ipv6_per_worker and max_dests must be at least 1"
                    .into(),
            );
        }
        Ok(())
    }

    fn max_ipv6(&self) -> u32 {
        self.max_ipv6_per_worker
            .unwrap_or_else(|| (self.max_per_worker / IPV6_SHARE).max(1))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mbufs {
    count: Option<u32>,
    cache: u32,
}

impl Default for Mbufs {
    fn default() -> Self {
        // pktpool_cache of DPVS
        Self {
            count: None,
            cache: 256,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Neighbours {
    timeout_s: u32,
    queue_length: u16,
    max: usize,
}

impl Default for Neighbours {
    fn default() -> Self {
        // neigh_defs of DPVS
        Self {
            timeout_s: 60,
            queue_length: 128,
            max: 65_536,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TimeoutKey {
    TcpNone,
    TcpEstablished,
    TcpSynSent,
    TcpSynRecv,
    TcpFinWait,
    TcpTimeWait,
    TcpClose,
    TcpCloseWait,
    TcpLastAck,
    TcpListen,
    TcpSynack,
    Udp,
    UdpOneway,
    SctpInit,
    SctpEstablished,
    SctpClosed,
}

const fn usual_mtu() -> u16 {
    1500
}

const fn yes() -> bool {
    true
}

impl File {
    pub(super) fn validate(self, cpus: usize) -> Result<Config, String> {
        if self.device.is_empty() {
            return Err("no [[device]]: name at least one, with a pci address or a vdev".into());
        }
        let devices = self
            .device
            .into_iter()
            .map(Device::validate)
            .collect::<Result<Vec<_>, _>>()?;
        refuse_twice("device", devices.iter().map(|device| device.name.as_str()))?;
        refuse_twice(
            "kni netdev",
            devices.iter().filter_map(|device| device.kni.as_deref()),
        )?;
        let workers = plan::workers(
            self.workers.count,
            self.worker,
            &devices,
            self.eal.main_lcore,
        )?;
        let idle = self.workers.idle(cpus);
        self.conns.refuse_zero()?;
        let mbufs = self
            .mbufs
            .count
            .unwrap_or_else(|| mbufs_for(&devices, workers.len()));
        Ok(Config {
            socket: self.daemon.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            log: self.daemon.log.unwrap_or_else(|| "info".into()),
            eal: self.eal.validate(),
            devices,
            workers,
            idle,
            max_conns: self.conns.max_per_worker,
            max_conns_v6: self.conns.max_ipv6(),
            max_dests: self.conns.max_dests,
            mbufs,
            mbuf_cache: self.mbufs.cache.min(512),
            timeouts: timeouts(&self.timeouts)?,
            defence: Defence {
                tcp_drop: self.defence.tcp_drop,
                udp_drop: self.defence.udp_drop,
            },
            nat64_prefix: self.nat64.validate()?,
            neighbours: NeighbourConfig {
                timeout: Duration::from_secs(u64::from(self.neighbours.timeout_s.max(1))),
                queue_length: self.neighbours.queue_length.max(1),
                max: self.neighbours.max.max(16),
            },
        })
    }
}

impl Device {
    fn validate(self) -> Result<DeviceConfig, String> {
        let name = self.name;
        let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(format!(
                "device name '{name}': use letters, digits, '.', '_' and '-', as in 'dpdk0'"
            ));
        }
        let address = match (self.pci, self.vdev) {
            (Some(pci), None) => DeviceAddress::Pci(pci_address(&name, &pci)?),
            (None, Some(vdev)) => DeviceAddress::Vdev(vdev),
            (None, None) => {
                return Err(format!(
                    "device {name}: say where it is, with pci = \"0000:06:00.0\" or vdev = \"...\""
                ));
            }
            (Some(_), Some(_)) => {
                return Err(format!("device {name}: it has both pci and vdev; keep one"));
            }
        };
        if !(68..=9000).contains(&self.mtu) {
            return Err(format!(
                "device {name}: mtu {} is out of range: 68 to 9000",
                self.mtu
            ));
        }
        let kni = self
            .kni
            .then(|| self.kni_name.unwrap_or_else(|| format!("{name}.kni")));
        if let Some(kni) = kni.as_ref().filter(|kni| kni.len() > kni::LONGEST_NAME) {
            return Err(format!(
                "device {name}: kni_name '{kni}' is longer than Linux allows (15 bytes): set a shorter one"
            ));
        }
        let mac = self.mac.map(|text| {
            parse_mac(&text).ok_or(format!(
                "device {name}: mac '{text}' is none, as in '02:00:00:00:00:01'"
            ))
        });
        Ok(DeviceConfig {
            address,
            rx_desc: self.rx_desc,
            tx_desc: self.tx_desc,
            mtu: self.mtu,
            promiscuous: self.promiscuous,
            kni,
            mac: mac.transpose()?,
            name,
        })
    }
}

impl Workers {
    fn idle(&self, cpus: usize) -> IdleConfig {
        let default = if cpus < CPUS_TO_POLL {
            IdleWord::Sleep
        } else {
            IdleWord::Poll
        };
        match self.idle.unwrap_or(default) {
            IdleWord::Poll => IdleConfig::Poll,
            IdleWord::Sleep => IdleConfig::Sleep {
                after_loops: self.idle_after_loops.unwrap_or(1_000),
                pause: Duration::from_micros(u64::from(self.idle_sleep_us.unwrap_or(50))),
            },
        }
    }
}

fn mbufs_for(devices: &[DeviceConfig], workers: usize) -> u32 {
    let or_usual = |desc: u16| {
        if desc == 0 {
            USUAL_DESCRIPTORS
        } else {
            u32::from(desc)
        }
    };
    let per_worker: u32 = devices
        .iter()
        .map(|device| or_usual(device.rx_desc) + or_usual(device.tx_desc))
        .sum();
    // One less than a power of two: the size DPDK's pools are best at.
    (per_worker * workers as u32 + SPARE_MBUFS * (workers as u32 + 1)).next_power_of_two() - 1
}

fn refuse_twice<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!(
                "{what} {name} is there twice: give each its own name"
            ));
        }
    }
    Ok(())
}

/// As sysfs writes it: domain, bus, device, function.
fn pci_address(device: &str, text: &str) -> Result<String, String> {
    let full = if text.matches(':').count() == 1 {
        format!("0000:{text}")
    } else {
        text.to_owned()
    };
    let shape: String = full
        .chars()
        .map(|c| if c.is_ascii_hexdigit() { 'h' } else { c })
        .collect();
    if shape == "hhhh:hh:hh.h" {
        Ok(full.to_ascii_lowercase())
    } else {
        Err(format!(
            "device {device}: pci '{text}' is no PCI address, as in '0000:06:00.0' (see `dpdk-devbind.py --status`)"
        ))
    }
}

fn parse_mac(text: &str) -> Option<MacAddr> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    (parts.next().is_none() && bytes[0] & 1 == 0).then_some(MacAddr(bytes))
}

fn parse_prefix(text: &str) -> Option<(Ipv6Addr, u8)> {
    let (addr, len) = text.split_once('/')?;
    Some((addr.parse().ok()?, len.parse().ok()?))
}

fn timeouts(raw: &BTreeMap<TimeoutKey, u32>) -> Result<Timeouts, String> {
    let mut timeouts = Timeouts::default();
    for (key, &secs) in raw {
        if !(1..=65_535).contains(&secs) {
            return Err(format!(
                "[timeouts] {secs} seconds are out of range: 1 to 65535"
            ));
        }
        let field = match key {
            TimeoutKey::Udp => &mut timeouts.udp_s,
            TimeoutKey::UdpOneway => &mut timeouts.udp_oneway_s,
            TimeoutKey::SctpInit => &mut timeouts.sctp_init_s,
            TimeoutKey::SctpEstablished => &mut timeouts.sctp_s,
            TimeoutKey::SctpClosed => &mut timeouts.sctp_closed_s,
            tcp => &mut timeouts.tcp_s[tcp_state(*tcp) as usize],
        };
        *field = secs;
    }
    Ok(timeouts)
}

const fn tcp_state(key: TimeoutKey) -> TcpState {
    match key {
        TimeoutKey::TcpEstablished => TcpState::Established,
        TimeoutKey::TcpSynSent => TcpState::SynSent,
        TimeoutKey::TcpSynRecv => TcpState::SynRecv,
        TimeoutKey::TcpFinWait => TcpState::FinWait,
        TimeoutKey::TcpTimeWait => TcpState::TimeWait,
        TimeoutKey::TcpClose => TcpState::Close,
        TimeoutKey::TcpCloseWait => TcpState::CloseWait,
        TimeoutKey::TcpLastAck => TcpState::LastAck,
        TimeoutKey::TcpListen => TcpState::Listen,
        TimeoutKey::TcpSynack => TcpState::SynAck,
        _ => TcpState::None,
    }
}
