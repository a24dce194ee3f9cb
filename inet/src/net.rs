//! What workers read of the IP stack: one immutable value inside the snapshot.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::sync::Arc;

use packet::{MacAddr, PortId};

use crate::chunked::Chunked;
use crate::device::{Device, IfIndex};
use crate::hash::MixHasher;
use crate::route::{Route, RouteScope, RouteTable};

/// Index of a next hop in [`Net`]. Stable while the neighbour exists; reused only after a change of
/// [`Net::generation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NexthopId(pub u32);

/// Destination and source of a frame, as an Ethernet header begins with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacPair([u8; 12]);

impl MacPair {
    /// From our device to a neighbour.
    pub fn new(dst: MacAddr, src: MacAddr) -> Self {
        let mut pair = [0; 12];
        pair[..6].copy_from_slice(&dst.0);
        pair[6..].copy_from_slice(&src.0);
        Self(pair)
    }

    /// The neighbour's MAC address
    pub fn dst(&self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = self.0;
        MacAddr([a, b, c, d, e, f])
    }

    /// Our device's MAC address
    pub fn src(&self) -> MacAddr {
        let [.., a, b, c, d, e, f] = self.0;
        MacAddr([a, b, c, d, e, f])
    }

    /// Writes both into a frame.
    #[inline]
    pub fn write(&self, frame: &mut [u8]) {
        if let Some(place) = frame.first_chunk_mut() {
            *place = self.0;
        }
    }
}

/// How a packet leaves towards a neighbour. Aligned so that its place among others is found by a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub struct Nexthop {
    /// What an Ethernet header to it begins with, once its MAC address is known
    pub macs: Option<MacPair>,
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

/// Where a packet goes next.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// By this route
    pub route: &'a Route,
    /// On this device
    pub ifindex: IfIndex,
    /// To this neighbour: the gateway, or the destination itself
    pub neighbour: IpAddr,
    /// Largest IP packet in bytes: the lesser of route and device
    pub mtu: u16,
}

/// Shards of the neighbour index: a new neighbour copies one.
const SHARDS: usize = 256;

type NeighbourShard = HashMap<NeighbourKey, NexthopId, BuildHasherDefault<MixHasher>>;

/// A neighbour in one number, IPv4 as IPv6 maps it: what hashes quickly.
type NeighbourKey = (u16, u128);

fn neighbour_key(ifindex: IfIndex, addr: IpAddr) -> NeighbourKey {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    (ifindex.0, bits)
}

/// Devices, addresses, routes and neighbours as workers see them. Cloning copies pointers.
#[derive(Debug, Clone)]
pub struct Net {
    /// Changes whenever a next hop that a conn remembers may be wrong: a route or address changed, or
    /// the ids of neighbours that went away are about to be reused. Not when a neighbour's MAC address
    /// was learned or changed, nor when one only went away: [`Self::nexthop`] knows it no more.
    pub generation: u16,
    /// Indexed by `IfIndex - 1`
    pub devices: Arc<[Device]>,
    /// All routes, with those that addresses make
    pub routes: RouteTable,
    local_addrs: Arc<HashMap<IpAddr, LocalAddr>>,
    nexthops: Chunked<Nexthop>,
    nexthop_ids: Arc<[Arc<NeighbourShard>]>,
}

impl Default for Net {
    fn default() -> Self {
        let shard = Arc::new(NeighbourShard::default());
        Self {
            generation: 0,
            devices: Arc::default(),
            routes: RouteTable::default(),
            local_addrs: Arc::default(),
            nexthops: Chunked::default(),
            nexthop_ids: (0..SHARDS).map(|_| Arc::clone(&shard)).collect(),
        }
    }
}

impl Net {
    /// With these devices and nothing else.
    pub fn new(devices: impl Into<Arc<[Device]>>) -> Self {
        Self {
            devices: devices.into(),
            ..Self::default()
        }
    }

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
        self.local_addrs.get(&addr)
    }

    /// All addresses of the director, in no order.
    pub fn local_addrs(&self) -> impl Iterator<Item = &LocalAddr> {
        self.local_addrs.values()
    }

    /// The next hop of a neighbour, if control knows it (resolved or not).
    #[inline]
    pub fn nexthop_of(&self, ifindex: IfIndex, neighbour: IpAddr) -> Option<NexthopId> {
        let key = neighbour_key(ifindex, neighbour);
        self.nexthop_ids[shard_of(&key)].get(&key).copied()
    }

    /// What a next hop says, if it is (still) one.
    #[inline]
    pub fn nexthop(&self, id: NexthopId) -> Option<&Nexthop> {
        self.nexthops.get(id.0 as usize)
    }

    /// The same, with its MAC addresses, if those are known.
    #[inline]
    pub fn resolved(&self, id: NexthopId) -> Option<(&Nexthop, &MacPair)> {
        match self.nexthops.place(id.0 as usize)? {
            Some(
                nexthop @ Nexthop {
                    macs: Some(macs), ..
                },
            ) => Some((nexthop, macs)),
            _ => None,
        }
    }

    /// Where a packet to `dst` goes next; `None` if there is no route, or it leads to the director
    /// itself.
    pub fn route_to(&self, dst: IpAddr) -> Option<Hop<'_>> {
        let route = self.routes.lookup(dst)?;
        if matches!(route.scope, RouteScope::Host | RouteScope::KniHost) {
            return None;
        }
        let neighbour = route.gateway.unwrap_or(dst);
        let mtu = route.mtu.min(self.device(route.ifindex)?.mtu);
        Some(Hop {
            route,
            ifindex: route.ifindex,
            neighbour,
            mtu,
        })
    }

    /// The address that packets of our own to a neighbour carry: the route's, else one of the device, preferably
    /// one of the neighbour's scope (RFC 6724, 5) whose ports are not shared out.
    pub fn source_for(&self, ifindex: IfIndex, neighbour: IpAddr) -> Option<IpAddr> {
        let is_same_family = |addr: &IpAddr| addr.is_ipv4() == neighbour.is_ipv4();
        let of_route = self
            .routes
            .lookup(neighbour)
            .filter(|route| route.ifindex == ifindex)
            .and_then(|route| route.src);
        let of_device = || {
            let is_of_scope = |addr| is_link_local(addr) == is_link_local(neighbour);
            self.local_addrs
                .values()
                .filter(|local| local.ifindex == ifindex && is_same_family(&local.addr))
                .min_by_key(|local| (!is_of_scope(local.addr), local.sapool, local.addr))
                .map(|local| local.addr)
        };
        of_route.filter(is_same_family).or_else(of_device)
    }

    /// Replaces the addresses. For control.
    pub fn set_local_addrs(&mut self, addrs: impl IntoIterator<Item = LocalAddr>) {
        self.local_addrs = Arc::new(addrs.into_iter().map(|local| (local.addr, local)).collect());
    }

    /// Makes conns look their next hops up again. For control, after a change of routes.
    pub const fn invalidate_nexthops(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Sets, changes or takes away a neighbour's next hop. For the neighbour table.
    pub(crate) fn set_nexthop(
        &mut self,
        (ifindex, addr): (IfIndex, IpAddr),
        id: NexthopId,
        nexthop: Option<Nexthop>,
    ) {
        let key = neighbour_key(ifindex, addr);
        self.nexthops.set(id.0 as usize, nexthop);
        let known = self.nexthop_ids[shard_of(&key)].get(&key) == Some(&id);
        if known == nexthop.is_some() {
            return;
        }
        if Arc::get_mut(&mut self.nexthop_ids).is_none() {
            self.nexthop_ids = self.nexthop_ids.iter().cloned().collect();
        }
        if let Some(shards) = Arc::get_mut(&mut self.nexthop_ids) {
            let shard = Arc::make_mut(&mut shards[shard_of(&key)]);
            match nexthop {
                Some(_) => shard.insert(key, id),
                None => shard.remove(&key),
            };
        }
    }
}

/// RFC 4291, 2.5.6. IPv4 has none that matters here.
const fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

fn shard_of((ifindex, addr): &NeighbourKey) -> usize {
    let spread = ((*addr as u32).wrapping_mul(0x9E37_79B1) >> 16) as usize;
    (spread ^ usize::from(*ifindex)) % SHARDS
}

#[cfg(test)]
mod tests;
