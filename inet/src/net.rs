//! What workers read of the IP stack: one immutable value inside the snapshot.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use packet::{MacAddr, PortId};

use crate::device::{Device, IfIndex};
use crate::route::RouteTable;

/// Index of a next hop in [`Net`]. Stable while the neighbour exists; reused only after a change of
/// [`Net::generation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NexthopId(pub u32);

/// How a packet leaves towards a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nexthop {
    /// The neighbour's MAC address, once known
    pub dst_mac: Option<MacAddr>,
    /// Our device's MAC address
    pub src_mac: MacAddr,
    /// The port it leaves by
    pub port: PortId,
    /// Largest IP packet in bytes
    pub mtu: u16,
}

/// An address of the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddr {
    /// The address
    pub addr: IpAddr,
    /// The device it was added on
    pub ifindex: IfIndex,
    /// A local address of FullNAT or SNAT: its ports belong to the workers' pools
    pub sapool: bool,
}

/// Devices, addresses, routes and neighbours as workers see them. Cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub struct Net {
    /// Changes whenever a next hop that a conn remembers may be wrong: a route or address changed,
    /// or a neighbour went away. Not when a neighbour's MAC address was learned or changed.
    pub generation: u16,
    /// Indexed by `IfIndex - 1`
    pub devices: Arc<[Device]>,
    /// All routes, with those that addresses make
    pub routes: RouteTable,
}

impl Net {
    /// The device that owns a port.
    #[inline]
    pub fn device_of(&self, port: PortId) -> Option<&Device> {
        self.devices.iter().find(|device| device.port == port)
    }

    /// A device by its index.
    #[inline]
    pub fn device(&self, ifindex: IfIndex) -> Option<&Device> {
        self.devices.get(usize::from(ifindex.0).checked_sub(1)?)
    }

    /// The address of the director that this is, on whatever device.
    #[inline]
    pub fn local_addr(&self, addr: IpAddr) -> Option<&LocalAddr> {
        let _ = addr;
        None
    }

    /// The next hop of a neighbour, if control knows it (resolved or not).
    #[inline]
    pub fn nexthop_of(&self, ifindex: IfIndex, neighbour: Ipv4Addr) -> Option<NexthopId> {
        let _ = (ifindex, neighbour);
        None
    }

    /// What a next hop says, if it is (still) one.
    #[inline]
    pub fn nexthop(&self, id: NexthopId) -> Option<&Nexthop> {
        let _ = id;
        None
    }
}
