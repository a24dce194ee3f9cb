//! What operators asked for: whole and valid at any time. Every change is checked before anything is
//! touched. Pure data: no rings, no clock, so that a failed transaction is undone by a clone.

mod address;
mod ids;
mod laddr;
mod route;
mod service;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use inet::{Device, IfIndex, RouteTable};
use ipvs_core::{DestId, LaddrId, ServiceKey, Timeouts};

pub(crate) use address::host_v4;
pub use address::{Address, AddressError, AddressRequest};
pub use ids::IdPool;
pub use laddr::{LaddrEntry, LaddrError};
pub use route::{RouteError, RouteRequest};
pub use service::{DestEntry, DestRequest, ServiceEntry, ServiceError, ServiceRequest};

/// Something to be done at the workers once a change is final, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Make port pools for a local address
    AddPools(LaddrId, IpAddr),
    /// Give its pools back
    RemovePools(LaddrId),
    /// End the conns of a dest
    CloseDest(DestId),
    /// Tell the neighbours that an address is ours
    Announce(IfIndex, Ipv4Addr),
}

/// What changed since the last snapshot.
#[derive(Debug, Clone, Default)]
pub struct Dirty {
    /// Services that were added, changed or removed
    pub services: HashSet<ServiceKey>,
    /// Devices, addresses, routes
    pub net: bool,
    /// Timeouts
    pub timeouts: bool,
}

/// The desired state.
#[derive(Debug, Clone)]
pub struct Desired {
    pub(crate) devices: Vec<Device>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: RouteTable,
    pub(crate) services: HashMap<ServiceKey, ServiceEntry>,
    pub(crate) laddrs: HashMap<IpAddr, LaddrEntry>,
    pub(crate) timeouts: Timeouts,
    pub(crate) service_ids: IdPool,
    pub(crate) dest_ids: IdPool,
    pub(crate) laddr_ids: IdPool,
    /// Counts services, so that they are shown in the order they were made.
    pub(crate) next_seq: u64,
    pub(crate) dirty: Dirty,
    pub(crate) effects: Vec<Effect>,
}

/// A device that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no device '{name}': the devices are {devices} (`dpip link show`)")]
pub struct NoDevice {
    name: String,
    devices: String,
}

impl Desired {
    /// Nothing but these devices.
    pub fn new(devices: Vec<Device>, timeouts: Timeouts, max_dests: u32) -> Self {
        Self {
            devices,
            addresses: Vec::new(),
            routes: RouteTable::default(),
            services: HashMap::new(),
            laddrs: HashMap::new(),
            timeouts,
            service_ids: IdPool::new(1 << 20),
            dest_ids: IdPool::new(max_dests),
            laddr_ids: IdPool::new(1 << 16),
            next_seq: 0,
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
    /// With the names there are.
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
