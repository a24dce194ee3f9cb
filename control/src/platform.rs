//! What control asks of the ports: DPDK in the daemon, anything in a test.

use packet::{MacAddr, PortId};

/// State, abilities and counters of a port.
#[derive(Debug, Clone, Default)]
pub struct LinkInfo {
    /// NUMA node, -1 if it has none
    pub socket: i32,
    /// Receive and transmit queues
    pub queues: u16,
    /// Carrier
    pub up: bool,
    /// Mbit/s
    pub speed_mbps: u32,
    /// Full duplex
    pub full_duplex: bool,
    /// Autonegotiated
    pub autoneg: bool,
    /// Takes frames for other MAC addresses
    pub promiscuous: bool,
    /// Takes all multicast frames
    pub all_multicast: bool,
    /// As DPVS names them: `OF_RX_IP_CSUM`
    pub offloads: Vec<String>,
    /// How packets reach the worker that owns them
    pub steering: String,
    /// What is known of that, by name
    pub steering_facts: Vec<(String, String)>,
    /// Name of the kni netdev, empty without
    pub kni: String,
    /// Counters
    pub stats: LinkStats,
    /// What the driver says of itself
    pub details: Vec<(String, String)>,
    /// The driver's own counters
    pub xstats: Vec<(String, u64)>,
}

/// Counters of a port.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkStats {
    /// Packets received
    pub ipackets: u64,
    /// Packets sent
    pub opackets: u64,
    /// Bytes received
    pub ibytes: u64,
    /// Bytes sent
    pub obytes: u64,
    /// Received with errors
    pub ierrors: u64,
    /// Not sent
    pub oerrors: u64,
    /// Not received for want of descriptors
    pub imissed: u64,
    /// Not received for want of mbufs
    pub rx_nombuf: u64,
    /// Mbufs free
    pub mbuf_available: u64,
    /// Mbufs somewhere
    pub mbuf_in_use: u64,
}

/// What is watched of a port while the daemon runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkHealth {
    /// Carrier
    pub up: bool,
    /// Packets not received for want of descriptors
    pub imissed: u64,
    /// Packets not received for want of mbufs
    pub rx_nombuf: u64,
}

/// A pool of the ports' memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolInfo {
    /// Its name
    pub name: String,
    /// DPDK's flags
    pub flags: u32,
    /// Bytes of an element
    pub element_bytes: u32,
    /// Bytes before each element
    pub header_bytes: u32,
    /// Bytes after each element
    pub trailer_bytes: u32,
    /// Bytes of the pool's own
    pub private_bytes: u32,
    /// Elements
    pub size: u32,
    /// Elements that are out
    pub used: u32,
    /// Bytes of all elements
    pub memory_bytes: u64,
}

/// The driver refused a change of a port.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct PlatformError(pub String);

/// The ports.
pub trait Platform: Send + Sync {
    /// What a port is, can, and has counted.
    fn link(&self, port: PortId) -> LinkInfo;
    /// The part of [`Self::link`] that is asked for every second.
    fn health(&self, port: PortId) -> LinkHealth;
    /// Looks whether the port still brings packets to the workers that own them. Returns a sentence
    /// if that has changed. Called every second.
    fn watch_steering(&self, port: PortId) -> Option<String>;
    /// Where packets are kept.
    fn pools(&self) -> Vec<PoolInfo>;
    /// Takes frames for other MAC addresses, or no longer.
    ///
    /// # Errors
    /// If the driver cannot.
    fn set_promiscuous(&self, port: PortId, on: bool) -> Result<(), PlatformError>;
    /// Takes all multicast frames, or no longer.
    ///
    /// # Errors
    /// If the driver cannot.
    fn set_all_multicast(&self, port: PortId, on: bool) -> Result<(), PlatformError>;
    /// Takes the link up or down.
    ///
    /// # Errors
    /// If the driver cannot.
    fn set_link_up(&self, port: PortId, up: bool) -> Result<(), PlatformError>;
    /// Changes the MAC address.
    ///
    /// # Errors
    /// If the driver cannot.
    fn set_mac(&self, port: PortId, mac: MacAddr) -> Result<(), PlatformError>;
}
