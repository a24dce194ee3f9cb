//! What operators asked for: whole and valid at any time.
//!
//! Every change is checked before anything is touched. Pure data: no rings, no clock. A transaction
//! changes a clone, which shares the services with the original, and then takes its place or is
//! thrown away.

mod change;
mod ids;
mod ipvs;
mod net;
mod ordered;

use ahash::{AHashMap, AHashSet};
use std::net::IpAddr;
use std::sync::Arc;

use inet::{Device, IfIndex, Prefix, RouteTable};
use ipvs_core::{DestId, LaddrId, MAX_LADDR_USES, MAX_SERVICES, ServiceKey, Timeouts};
use packet::MacAddr;

pub use change::{Change, ChangeError};
pub use ids::IdPool;
pub use ipvs::{
    AccessError, AccessList, DestEntry, DestRequest, LaddrError, LaddrRemoval, LaddrUse, Removal,
    ServiceEntry, ServiceError, ServiceRequest, TimeoutsRequest,
};
use ipvs::{DestAddrs, Drain};
pub(crate) use ipvs::{Leaving, LeavingUse, RemovedService};
pub(crate) use net::require_host;
pub use net::{
    Address, AddressError, AddressRequest, LaddrEntry, LeavingLaddr, RouteError, RouteFilter,
    RouteRequest,
};
pub use ordered::Ordered;

/// Something that the workers have to do once a change is final, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Make port pools for a local address
    AddPools(LaddrId, IpAddr),
    /// Give its pools back
    RemovePools(LaddrId),
    /// End the conns of a dest
    EndConns(DestId),
    /// End the conns that use a local address
    EndConnsOfLaddr(IpAddr),
    /// Forget a removed dest when no worker has anything left of it
    Leave(Removal),
    /// Forget a removed local address of a service when no conn is counted there
    LeaveUse(LaddrRemoval),
    /// Tell the neighbours that an address is ours
    Announce(IfIndex, IpAddr),
}

/// What changed since the last snapshot.
#[derive(Debug, Clone, Default)]
pub struct Dirty {
    /// Services that were added, changed or removed
    pub services: AHashSet<ServiceKey>,
    /// Devices, addresses, routes
    pub net: bool,
    /// What conns look at again when it changes: access lists, timeouts of services
    pub conns: bool,
    /// Timeouts
    pub timeouts: bool,
}

/// The desired state.
#[derive(Debug, Clone)]
pub struct Desired {
    pub(crate) devices: Vec<Device>,
    pub(crate) addresses: Ordered<IpAddr, Address>,
    /// The addresses that share a network on a device, in the order they were added.
    pub(crate) networks: AHashMap<(Prefix, IfIndex), Vec<IpAddr>>,
    pub(crate) routes: RouteTable,
    /// How many routes of the operator have this address as `src`
    pub(crate) route_srcs: AHashMap<IpAddr, usize>,
    pub(crate) services: Ordered<ServiceKey, Arc<ServiceEntry>>,
    pub(crate) dest_addrs: DestAddrs,
    pub(crate) laddrs: AHashMap<IpAddr, LaddrEntry>,
    /// Those that go when no conn uses them any more
    pub(crate) leaving_laddrs: Vec<LeavingLaddr>,
    pub(crate) timeouts: Timeouts,
    pub(crate) service_ids: IdPool,
    pub(crate) dest_ids: IdPool,
    pub(crate) laddr_ids: IdPool,
    pub(crate) laddr_use_ids: IdPool,
    pub(crate) drains: Vec<Drain>,
    /// Removed services whose dests may still have conns
    pub(crate) removed_services: AHashMap<ServiceKey, RemovedService>,
    /// How many dests and local addresses of services were ever removed
    pub(crate) removals: u64,
    pub(crate) dirty: Dirty,
    pub(crate) effects: Vec<Effect>,
}

/// A device that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no device '{name}': the devices are {devices} (`ListLinks`)")]
pub struct NoDevice {
    name: String,
    devices: String,
}

impl Desired {
    /// A state with these devices and nothing else.
    pub fn new(devices: Vec<Device>, timeouts: Timeouts, max_dests: u32) -> Self {
        Self {
            devices,
            addresses: Ordered::default(),
            networks: AHashMap::new(),
            routes: RouteTable::default(),
            route_srcs: AHashMap::new(),
            services: Ordered::default(),
            dest_addrs: DestAddrs::default(),
            laddrs: AHashMap::new(),
            leaving_laddrs: Vec::new(),
            timeouts,
            service_ids: IdPool::new(MAX_SERVICES),
            dest_ids: IdPool::new(max_dests),
            laddr_ids: IdPool::new(1 << 16),
            laddr_use_ids: IdPool::new(MAX_LADDR_USES),
            drains: Vec::new(),
            removed_services: AHashMap::new(),
            removals: 0,
            dirty: Dirty {
                net: true,
                timeouts: true,
                ..Dirty::default()
            },
            effects: Vec::new(),
        }
    }

    /// A device by its name.
    ///
    /// # Errors
    ///
    /// If there is none. The error lists the devices.
    pub fn device(&self, name: &str) -> Result<&Device, NoDevice> {
        self.devices
            .iter()
            .find(|device| device.name == name)
            .ok_or_else(|| NoDevice {
                name: name.to_owned(),
                devices: self
                    .devices
                    .iter()
                    .map(|device| device.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Changes a device. Its neighbours are told of a new MAC address.
    pub(crate) fn set_device(&mut self, ifindex: IfIndex, mac: MacAddr, forward_to_kni: bool) {
        let device = self
            .devices
            .iter_mut()
            .find(|device| device.ifindex == ifindex);
        let Some(device) = device else {
            return;
        };
        let has_new_mac = device.mac != mac;
        device.mac = mac;
        device.forward_to_kni = forward_to_kni;
        self.dirty.net = true;
        if has_new_mac {
            let addrs = self
                .addresses
                .values()
                .filter(|address| address.ifindex == ifindex);
            self.effects.extend(addrs.map(Address::announcement));
        }
    }

    /// A copy to be changed. Changes before it count as published.
    pub(crate) fn successor(&self) -> Self {
        Self {
            dirty: Dirty::default(),
            effects: Vec::new(),
            ..self.clone()
        }
    }

    /// Replaces the original by a changed [`Self::successor`]. Returns the original.
    pub(crate) fn succeed_by(&mut self, mut successor: Self) -> Self {
        successor.dirty.services.extend(self.dirty.services.drain());
        successor.dirty.net |= self.dirty.net;
        successor.dirty.conns |= self.dirty.conns;
        successor.dirty.timeouts |= self.dirty.timeouts;
        self.effects.append(&mut successor.effects);
        successor.effects = std::mem::take(&mut self.effects);
        std::mem::replace(self, successor)
    }

    /// The name of a device.
    pub fn device_name(&self, ifindex: IfIndex) -> &str {
        self.devices
            .iter()
            .find(|device| device.ifindex == ifindex)
            .map_or("?", |device| &device.name)
    }
}

#[cfg(test)]
mod tests;
