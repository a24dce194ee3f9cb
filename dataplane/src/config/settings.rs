//! The configuration as the rest of the daemon sees it: complete, and free of contradictions.

use super::log_filter::LogFilter;
use std::path::PathBuf;
use std::time::Duration;

use dpdk::{LcoreId, QueueId};
use ipvs_core::{Defence, ReturnPath, Timeouts};
use packet::MacAddr;
use packet::nat64::Nat64Prefix;
use serde::Deserialize;

/// Where the control socket is unless the file or the command line says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/dpvs-rs/dpvsd.sock";

/// A complete configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The socket that `dpip` and `ipvsadm-rs` connect to.
    pub(crate) socket: PathBuf,
    /// What is logged
    pub(crate) log: LogFilter,
    /// DPDK's memory and lcores.
    pub(crate) eal: EalConfig,
    /// The devices, in the order of their interface indices.
    pub(crate) devices: Vec<DeviceConfig>,
    /// The worker lcores with their queues.
    pub(crate) workers: Vec<WorkerPlan>,
    /// What a worker does when no packet comes.
    pub(crate) idle: Idle,
    /// Most IPv4 conns per worker.
    pub(crate) max_conns: u32,
    /// Most conns per worker that have IPv6 at one end or both.
    pub(crate) max_conns_v6: u32,
    /// Most dests of all services together.
    pub(crate) max_dests: u32,
    /// Number of mbufs in the pool that all ports share.
    pub(crate) mbufs: u32,
    /// Number of mbufs in the cache of each lcore.
    pub(crate) mbuf_cache: u32,
    /// Timeouts of conns.
    pub(crate) timeouts: Timeouts,
    /// Packets to a VIP that are dropped instead of going to its kni device.
    pub(crate) defence: Defence,
    /// The prefix by which NAT shows IPv4 clients to IPv6 dests.
    pub(crate) nat64_prefix: Nat64Prefix,
    /// Where answers to clients go.
    pub(crate) return_path: ReturnPath,
    /// The neighbour table.
    pub(crate) neighbours: NeighbourConfig,
}

/// DPDK's memory and lcores.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EalConfig {
    /// Whether to use hugepages.
    pub(crate) hugepages: Hugepages,
    /// Memory for mbufs and rings in MB; `None` to work it out from the number of mbufs.
    pub(crate) memory_mb: Option<u32>,
    /// The lcore of the control plane. It runs on the CPU of the same number.
    pub(crate) main_lcore: LcoreId,
    /// Arguments that are passed to EAL as they are.
    pub(crate) extra_args: Vec<String>,
}

/// Whether to use hugepages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hugepages {
    /// Use them if enough are free.
    Auto,
    /// Refuse to start without them.
    Require,
    /// Never use them.
    Never,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeviceAddress {
    /// A NIC by its PCI address, bound to igb_uio or vfio-pci.
    Pci(String),
    /// A software port by EAL's vdev string, e.g. `net_af_packet0,iface=eth0`.
    Vdev(String),
}

impl DeviceAddress {
    /// The name by which EAL knows the port.
    pub(crate) fn port_name(&self) -> &str {
        match self {
            Self::Pci(address) => address,
            Self::Vdev(vdev) => vdev.split(',').next().unwrap_or(vdev),
        }
    }

    /// The kernel interface under an af_packet or af_xdp vdev.
    pub(crate) fn kernel_interface(&self) -> Option<&str> {
        match self {
            Self::Vdev(vdev) if vdev.starts_with("net_af_") => {
                vdev.split(',').find_map(|part| part.strip_prefix("iface="))
            }
            _ => None,
        }
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeviceConfig {
    /// Its name, e.g. `dpdk0`.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) address: DeviceAddress,
    /// Receive descriptors per queue; 0 for the driver's default.
    pub(crate) rx_desc: u16,
    /// Transmit descriptors per queue; 0 for the driver's default.
    pub(crate) tx_desc: u16,
    /// Largest IP packet in bytes.
    pub(crate) mtu: u16,
    /// Whether to take frames for other MAC addresses.
    pub(crate) promiscuous: bool,
    /// The kni netdev's name; `None` to have no kni netdev.
    pub(crate) kni: Option<String>,
    /// A MAC address to use instead of the port's own.
    pub(crate) mac: Option<MacAddr>,
    /// How packets reach the worker that owns them.
    pub(crate) steering: Steering,
}

/// How packets of a device reach the worker that owns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Steering {
    /// The best way that the NIC has.
    #[default]
    Auto,
    /// The NIC brings them there, by RSS. Where it does not, they are handed over.
    Rss,
    /// The worker that receives a packet hands it over. The NIC spreads packets as it likes.
    Ring,
}

/// A worker lcore and its queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerPlan {
    /// The lcore's number.
    pub(crate) lcore: LcoreId,
    /// The number of the CPU that it runs on. Several lcores may share one.
    pub(crate) cpu: u32,
    /// Its queues, one of each device.
    pub(crate) queues: Vec<QueuePlan>,
}

/// A receive queue, and the transmit queue of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueuePlan {
    /// Index of the device in [`Config::devices`].
    pub(crate) device: usize,
    /// Number of the queue.
    pub(crate) queue: QueueId,
}

/// What a worker does when no packet comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// It goes on polling: the lowest latency, and a whole CPU in use.
    Poll,
    /// It sleeps between two polls once it has found no packet for a while.
    Sleep {
        /// Turns of the loop without a packet before the first sleep.
        after_loops: u32,
        /// Length of each sleep.
        pause: Duration,
    },
}

/// The neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeighbourConfig {
    /// How long an answer is valid.
    pub(crate) timeout: Duration,
    /// Most packets that wait for one unresolved neighbour.
    pub(crate) queue_length: u16,
    /// Most neighbours.
    pub(crate) max: usize,
}

impl Config {
    /// Bytes of the largest frame of any device: its MTU with Ethernet and VLAN headers.
    pub(crate) fn largest_frame(&self) -> u16 {
        const HEADERS: u16 = 14 + 2 * 4;
        self.devices
            .iter()
            .map(|device| device.mtu + HEADERS)
            .max()
            .unwrap_or(0)
    }

    /// Number of queues of a device: one per worker that polls it.
    pub(crate) fn queues_of(&self, device: usize) -> u16 {
        let queues = self.workers.iter().flat_map(|worker| &worker.queues);
        queues
            .filter(|queue| queue.device == device)
            .map(|queue| queue.queue.0 + 1)
            .max()
            .unwrap_or(0)
    }
}
