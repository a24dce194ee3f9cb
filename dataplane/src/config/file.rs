//! The file as it is written, section by section, and how it becomes a [`Config`].

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use dpdk::LcoreId;
use ipvs_core::{Defence, MAX_CONNS, OnUnserved, ReturnPath};
use packet::nat64::Nat64Prefix;
use serde::Deserialize;

use super::device::{self, RawDevice};
use super::error::Invalid;
use super::log_filter::LogFilter;
use super::settings::{
    Config, DEFAULT_SOCKET, DeviceConfig, EalConfig, Hugepages, NeighbourConfig,
};
use super::timeouts::RawTimeouts;
use super::workers::{RawWorker, RawWorkers};

/// Descriptors per queue that the number of mbufs allows for when none are configured.
const USUAL_DESCRIPTORS: u64 = 1024;
/// Mbufs per lcore beyond those in descriptors: for bursts, packets that wait for a neighbour, and
/// rings to the kernel and to other workers.
const SPARE_MBUFS: u64 = 8192;
/// Most mbufs in an lcore's cache: `RTE_MEMPOOL_CACHE_MAX_SIZE` of DPDK.
pub(crate) const MAX_MBUF_CACHE: u32 = 512;
/// The default room for conns with IPv6 at one end or both is this part of that for IPv4.
const IPV6_SHARE: u32 = 4;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    daemon: Daemon,
    #[serde(default)]
    eal: Eal,
    #[serde(default)]
    device: Vec<RawDevice>,
    #[serde(default)]
    workers: RawWorkers,
    #[serde(default)]
    worker: Vec<RawWorker>,
    #[serde(default)]
    conns: Conns,
    #[serde(default)]
    mbufs: Mbufs,
    #[serde(default)]
    timeouts: RawTimeouts,
    #[serde(default)]
    neighbours: Neighbours,
    #[serde(default)]
    defence: RawDefence,
    #[serde(default)]
    nat64: Nat64,
}

impl File {
    pub(super) fn validate(self, cpus: usize) -> Result<Config, Invalid> {
        let eal = self.eal.validate();
        let devices = device::validate(self.device)?;
        let workers = self.workers.plan(self.worker, &devices, eal.main_lcore)?;
        self.conns.check()?;
        let log = self.daemon.log()?;
        let mbuf_cache = self.mbufs.cache.min(MAX_MBUF_CACHE);
        let mbufs = match self.mbufs.count {
            Some(count) => enough_mbufs(count, mbuf_cache, &devices, workers.len())?,
            None => mbufs_for(&devices, workers.len())?,
        };
        Ok(Config {
            socket: self.daemon.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            log,
            eal,
            devices,
            workers,
            idle: self.workers.idle(cpus)?,
            max_conns: self.conns.max_per_worker,
            max_conns_v6: self.conns.max_ipv6(),
            max_dests: self.conns.max_dests,
            mbufs,
            mbuf_cache,
            timeouts: self.timeouts.validate()?,
            defence: self.defence.validate(),
            nat64_prefix: self.nat64.validate()?,
            return_path: self.conns.return_path(),
            neighbours: self.neighbours.validate(),
        })
    }
}

/// The number of mbufs if the file names none: enough to fill all descriptors, and some to spare.
fn mbufs_for(devices: &[DeviceConfig], workers: usize) -> Result<u32, Invalid> {
    let or_usual = |desc: u16| {
        if desc == 0 {
            USUAL_DESCRIPTORS
        } else {
            u64::from(desc)
        }
    };
    let per_worker: u64 = devices
        .iter()
        .map(|device| or_usual(device.rx_desc) + or_usual(device.tx_desc))
        .sum();
    // DPDK's mempools use memory best with one less than a power of two.
    let mbufs = per_worker * workers as u64 + SPARE_MBUFS * (workers as u64 + 1);
    u32::try_from(mbufs.next_power_of_two() - 1).map_err(|_| Invalid::TooManyMbufs { workers })
}

/// The number of mbufs that the file names, if the ports can start with it.
fn enough_mbufs(
    count: u32,
    cache: u32,
    devices: &[DeviceConfig],
    workers: usize,
) -> Result<u32, Invalid> {
    // DPDK refuses a pool that is smaller than one and a half caches. A NIC's receive queue is
    // filled when it starts.
    let received = devices.iter().map(|device| u64::from(device.rx_desc));
    let least = received.sum::<u64>() * workers as u64 + u64::from(cache) * 3 / 2 + 1;
    if u64::from(count) < least {
        return Err(Invalid::TooFewMbufs { count, least });
    }
    Ok(count)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Daemon {
    socket: Option<PathBuf>,
    log: Option<String>,
}

impl Daemon {
    /// What is logged: `info` unless the file says otherwise.
    fn log(&self) -> Result<LogFilter, Invalid> {
        let log = self.log.as_deref().map(str::parse);
        Ok(log.transpose()?.unwrap_or_default())
    }
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

impl Eal {
    fn validate(self) -> EalConfig {
        EalConfig {
            hugepages: match self.hugepages {
                None | Some(RawHugepages::Word(AutoWord::Auto)) => Hugepages::Auto,
                Some(RawHugepages::Fixed(true)) => Hugepages::Require,
                Some(RawHugepages::Fixed(false)) => Hugepages::Never,
            },
            memory_mb: self.memory_mb,
            main_lcore: LcoreId(self.main_lcore),
            extra_args: self.extra_args,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Conns {
    max_per_worker: u32,
    max_ipv6_per_worker: Option<u32>,
    max_dests: u32,
    return_path: Option<ReturnPathWord>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReturnPathWord {
    Route,
    Mac,
}

impl Default for Conns {
    fn default() -> Self {
        Self {
            max_per_worker: 1 << 20,
            max_ipv6_per_worker: None,
            max_dests: 1 << 20,
            return_path: None,
        }
    }
}

impl Conns {
    fn check(&self) -> Result<(), Invalid> {
        let sizes = [
            ("max_per_worker", self.max_per_worker, MAX_CONNS),
            ("max_ipv6_per_worker", self.max_ipv6(), MAX_CONNS),
            ("max_dests", self.max_dests, u32::MAX),
        ];
        for (key, size, most) in sizes {
            if !(1..=most).contains(&size) {
                return Err(Invalid::TableSize { key, size, most });
            }
        }
        Ok(())
    }

    fn return_path(&self) -> ReturnPath {
        match self.return_path {
            None => ReturnPath::RouteOrMac,
            Some(ReturnPathWord::Route) => ReturnPath::Route,
            Some(ReturnPathWord::Mac) => ReturnPath::Mac,
        }
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
        // DPVS's default of pktpool_cache.
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
        // The timeout and the queue length are the defaults of DPVS's neigh_defs.
        Self {
            timeout_s: 60,
            queue_length: 128,
            max: 65_536,
        }
    }
}

impl Neighbours {
    fn validate(&self) -> NeighbourConfig {
        NeighbourConfig {
            timeout: Duration::from_secs(u64::from(self.timeout_s.max(1))),
            queue_length: self.queue_length.max(1),
            max: self.max.max(16),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawDefence {
    tcp_drop: bool,
    udp_drop: bool,
    unserved: UnservedWord,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnservedWord {
    #[default]
    Reject,
    Drop,
}

impl RawDefence {
    const fn validate(&self) -> Defence {
        Defence {
            tcp_drop: self.tcp_drop,
            udp_drop: self.udp_drop,
            unserved: match self.unserved {
                UnservedWord::Reject => OnUnserved::Reject,
                UnservedWord::Drop => OnUnserved::Drop,
            },
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nat64 {
    prefix: Option<String>,
}

impl Nat64 {
    fn validate(self) -> Result<Nat64Prefix, Invalid> {
        let Some(text) = self.prefix else {
            return Ok(Nat64Prefix::default());
        };
        let (addr, len) = parse_prefix(&text).ok_or(Invalid::Nat64Text(text))?;
        Ok(Nat64Prefix::new(addr, len)?)
    }
}

fn parse_prefix(text: &str) -> Option<(Ipv6Addr, u8)> {
    let (addr, len) = text.split_once('/')?;
    Some((addr.parse().ok()?, len.parse().ok()?))
}
