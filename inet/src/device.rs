//! A logical device: a DPDK port now, a VLAN or tunnel on one later.

use packet::{MacAddr, PortId};

/// Index of a device, as `dpip link show` counts them, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfIndex(pub u16);

/// What forwarding needs to know of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its index
    pub ifindex: IfIndex,
    /// `dpdk0`
    pub name: String,
    /// The port its packets leave by
    pub port: PortId,
    /// Its own address
    pub mac: MacAddr,
    /// Largest IP packet in bytes
    pub mtu: u16,
    /// Whether a kni netdev exists for it
    pub kni: bool,
    /// `dpip link set DEV forward2kni on`: every packet is shown to the kernel too
    pub forward_to_kni: bool,
}
