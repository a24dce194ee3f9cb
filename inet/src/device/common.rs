//! What all kinds of devices have in common.

use packet::{MacAddr, PortId};

use crate::device::ifindex::IfIndex;

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
