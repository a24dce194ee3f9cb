//! What all kinds of devices have in common.

use packet::{MacAddr, PortId};

use crate::device::ifindex::IfIndex;

/// What forwarding needs to know of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Index of the device
    pub ifindex: IfIndex,
    /// Name of the device, e.g. `dpdk0`
    pub name: String,
    /// The port that its packets leave by
    pub port: PortId,
    /// MAC address of the device
    pub mac: MacAddr,
    /// Largest IP packet in bytes
    pub mtu: u16,
    /// Whether the device has a kni netdev
    pub kni: bool,
    /// Whether the kernel gets a copy of every packet: `dpip link set DEV forward2kni on`
    pub forward_to_kni: bool,
}
