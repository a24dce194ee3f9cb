//! `dpvsd --config FILE`: TOML in, a whole and sensible configuration out, or a sentence that says
//! what is wrong in which line.

mod error;
mod plan;
mod raw;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipvs_core::{Defence, Timeouts};
use packet::MacAddr;
use packet::nat64::Nat64Prefix;

pub use error::ConfigError;
pub use plan::WorkerPlan;

/// Where the control socket is if nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/dpvs-rs/dpvsd.sock";

/// A configuration that contradicts itself nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where `dpip` and `ipvsadm-rs` connect to
    pub socket: PathBuf,
    /// What is logged: a filter of the `tracing` crate
    pub log: String,
    /// DPDK's memory and lcores
    pub eal: EalConfig,
    /// The ports, in the order of their indices
    pub devices: Vec<DeviceConfig>,
    /// The worker lcores with their queues
    pub workers: Vec<WorkerPlan>,
    /// What a worker does when nothing comes
    pub idle: IdleConfig,
    /// Most conns per worker
    pub max_conns: u32,
    /// The same of conns of which an end has IPv6
    pub max_conns_v6: u32,
    /// Most dests
    pub max_dests: u32,
    /// Mbufs of all ports together
    pub mbufs: u32,
    /// Mbufs in the cache of each lcore
    pub mbuf_cache: u32,
    /// Timeouts of conns
    pub timeouts: Timeouts,
    /// What of a VIP the kernels behind the kni devices do not get to see
    pub defence: Defence,
    /// How NAT shows clients to dests of the other address family
    pub nat64_prefix: Nat64Prefix,
    /// Neighbours
    pub neighbours: NeighbourConfig,
}

/// DPDK's memory and lcores.
#[derive(Debug, Clone, PartialEq)]
pub struct EalConfig {
    /// Whether to use hugepages
    pub hugepages: Hugepages,
    /// Memory for mbufs and rings in MB, if it is not to be worked out
    pub memory_mb: Option<u32>,
    /// The lcore of the control plane
    pub main_lcore: u32,
    /// Passed to EAL as they are
    pub extra_args: Vec<String>,
}

/// Whether to use hugepages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hugepages {
    /// If there are enough
    Auto,
    /// Or do not start
    Require,
    /// Never
    Never,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceAddress {
    /// A NIC by its PCI address, bound to igb_uio or vfio-pci
    Pci(String),
    /// A software port: EAL's vdev string
    Vdev(String),
}

impl DeviceAddress {
    /// The name by which EAL knows the port.
    pub fn port_name(&self) -> &str {
        match self {
            Self::Pci(address) => address,
            Self::Vdev(vdev) => vdev.split(',').next().unwrap_or(vdev),
        }
    }

    /// The kernel interface that an af_packet or af_xdp vdev sits on.
    pub fn kernel_interface(&self) -> Option<&str> {
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
pub struct DeviceConfig {
    /// `dpdk0`
    pub name: String,
    /// Where it is
    pub address: DeviceAddress,
    /// Receive descriptors per queue; 0 for the driver's default
    pub rx_desc: u16,
    /// Transmit descriptors per queue; 0 for the driver's default
    pub tx_desc: u16,
    /// Largest IP packet in bytes
    pub mtu: u16,
    /// Whether to take frames for other MAC addresses
    pub promiscuous: bool,
    /// The kni netdev's name, if it is to have one
    pub kni: Option<String>,
    /// Instead of the MAC address that the port has
    pub mac: Option<MacAddr>,
}

/// What a worker does when nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleConfig {
    /// Polls on
    Poll,
    /// Sleeps for a moment after so many loops without a packet
    Sleep {
        /// Loops
        after_loops: u32,
        /// How long
        pause: Duration,
    },
}

/// Neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// How long an answer counts
    pub timeout: Duration,
    /// Packets held per unresolved neighbour
    pub queue_length: u16,
    /// Most neighbours
    pub max: usize,
}

impl Config {
    /// Reads a configuration file. `cpus` is how many CPUs the machine has, for the defaults.
    ///
    /// # Errors
    /// With file, line and what to write instead.
    pub fn load(path: &Path, cpus: usize) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable {
            path: path.to_owned(),
            why,
        })?;
        Self::parse(path, &text, cpus)
    }

    /// Reads a configuration from text; `path` is for messages only.
    ///
    /// # Errors
    /// With file, line and what to write instead.
    pub fn parse(path: &Path, text: &str, cpus: usize) -> Result<Self, ConfigError> {
        let raw: raw::File =
            toml::from_str(text).map_err(|why| error::explain(path, text, &why))?;
        raw.validate(cpus).map_err(|what| ConfigError::Invalid {
            path: path.to_owned(),
            what,
        })
    }

    /// Bytes of the largest frame of any device: its MTU with Ethernet and VLAN headers.
    pub fn largest_frame(&self) -> u16 {
        const HEADERS: u16 = 14 + 2 * 4;
        self.devices
            .iter()
            .map(|device| device.mtu + HEADERS)
            .max()
            .unwrap_or(0)
    }

    /// Queues of each device: one per worker that polls it.
    pub fn queues_of(&self, device: usize) -> u16 {
        let queues = self.workers.iter().flat_map(|worker| &worker.queues);
        queues
            .filter(|queue| queue.device == device)
            .map(|queue| queue.queue + 1)
            .max()
            .unwrap_or(0)
    }
}
