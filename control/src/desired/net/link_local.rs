//! The link-local address of each device that has IPv6, as RFC 4291, 2.1 requires. Nobody adds or
//! deletes it: it follows from the device's MAC address.

use std::net::IpAddr;

use inet::{Device, RouteScope};

use super::Address;
use crate::desired::Desired;

impl Desired {
    /// The link-local addresses of all devices with IPv6, except those that were added by hand.
    pub(crate) fn link_locals(&self) -> impl Iterator<Item = Address> {
        let has_ipv6 = |device: &&Device| self.routes.has_ipv6(device.ifindex);
        let all = self.devices.iter().filter(has_ipv6).map(link_local_of);
        all.filter(|address| !self.addresses.contains(&address.addr))
    }

    /// The link-local address of a device that equals `addr`.
    pub(in crate::desired) fn link_local(&self, addr: IpAddr) -> Option<Address> {
        // Nearly all addresses need no look at the devices.
        let may_be = matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local());
        let find = || self.link_locals().find(|address| address.addr == addr);
        may_be.then(find).flatten()
    }

    /// Whether this is an address of the director, added or link-local.
    pub(crate) fn has_address(&self, addr: IpAddr) -> bool {
        self.address(addr).is_some() || self.link_local(addr).is_some()
    }
}

fn link_local_of(device: &Device) -> Address {
    Address {
        addr: device.link_local().into(),
        prefix_len: Device::LINK_LOCAL_LEN,
        ifindex: device.ifindex,
        broadcast: None,
        scope: RouteScope::Link,
        sapool: false,
        by_dpip: false,
    }
}
