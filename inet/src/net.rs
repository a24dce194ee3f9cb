//! The part of the IP stack that workers read: one immutable value inside the snapshot.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use packet::{MacAddr, PortId};

use crate::chunked::Chunked;
use crate::device::{Device, IfIndex};
use crate::hash::MixHasher;
use crate::local_addr::LocalAddr;
use crate::route::{Route, RouteScope, RouteTable};
use crate::sharded::Sharded;
use crate::sources::Sources;

/// Index of a next hop in [`Net`]. Stable while the neighbour exists; reused only after a change of
/// [`Net::generation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NexthopId(pub u32);

/// Destination and source MAC address, in the order of an Ethernet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacPair([u8; 12]);

impl MacPair {
    /// The addresses of frames from our device to a neighbour.
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

/// How packets leave towards a neighbour. Its size is a power of two, so that an index becomes an
/// offset by a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(32))]
pub struct Nexthop {
    /// The MAC addresses of frames to it. `None` as long as its own is not known.
    pub macs: Option<MacPair>,
    /// The port that packets leave by
    pub port: PortId,
    /// Largest IP packet in bytes
    pub mtu: u16,
}

/// Where a packet goes next.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The route that was found
    pub route: &'a Route,
    /// The device that the packet leaves by
    pub ifindex: IfIndex,
    /// The neighbour to send to: the gateway, or the destination itself
    pub neighbour: IpAddr,
    /// Largest IP packet in bytes: the lesser of the MTUs of route and device
    pub mtu: u16,
}

/// Number of shards of the neighbour index.
const SHARDS: usize = 256;

type NeighbourShard = HashMap<NeighbourKey, NexthopId, BuildHasherDefault<MixHasher>>;

/// A neighbour as two numbers, which hash fast. IPv4 addresses are IPv4-mapped.
type NeighbourKey = (u16, u128);

fn neighbour_key(ifindex: IfIndex, addr: IpAddr) -> NeighbourKey {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    (ifindex.0, bits)
}

/// Devices, addresses, routes and neighbours as workers see them. Cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub struct Net {
    /// Changes when a next hop that a conn remembers may have become wrong: a route or an address
    /// changed, what conns look at with it (access lists, timeouts), or the ids of neighbours that
    /// were removed are about to be reused. It does not change when a neighbour's MAC address is
    /// learned or changes. Nor does it change when a neighbour is removed, since [`Self::nexthop`]
    /// then returns `None` for its id.
    pub generation: u16,
    /// All devices, indexed by `IfIndex - 1`
    pub devices: Arc<[Device]>,
    /// All routes, including those made for addresses
    pub routes: RouteTable,
    local_addrs: Arc<HashMap<IpAddr, LocalAddr, BuildHasherDefault<MixHasher>>>,
    sources: Arc<Sources>,
    nexthops: Chunked<Nexthop>,
    nexthop_ids: Sharded<NeighbourShard, SHARDS>,
}

impl Net {
    /// A `Net` with these devices and nothing else.
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

    /// The address of the director that equals `addr`, on any device.
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
        self.nexthop_ids.of(hash_of(&key)).get(&key).copied()
    }

    /// A next hop by its id. `None` if the neighbour was removed.
    #[inline]
    pub fn nexthop(&self, id: NexthopId) -> Option<&Nexthop> {
        self.nexthops.get(id.0 as usize)
    }

    /// A next hop by its id, together with its MAC addresses. `None` if those are not known or the
    /// neighbour was removed.
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

    /// Where a packet to `dst` goes next. `None` if there is no route, or if the route leads to the
    /// director itself.
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

    /// Whether this is the broadcast address of a link: RFC 919, 7. Links with a prefix of 31 bits
    /// have none (RFC 3021, 2.1).
    pub fn is_link_broadcast(&self, addr: Ipv4Addr) -> bool {
        // The longest prefix with a broadcast leaves two bits to hosts. Most addresses need no
        // look-up.
        let may_be = addr.to_bits() & 0b11 == 0b11;
        let route = may_be.then(|| self.routes.lookup(addr.into())).flatten();
        route.is_some_and(|route| {
            let len = route.prefix.prefix_len();
            let hosts = u32::MAX.checked_shr(len.into()).unwrap_or(0);
            route.scope == RouteScope::Link && len <= 30 && addr.to_bits() & hosts == hosts
        })
    }

    /// The source address of our own packets to a neighbour: the route's, or else one of the
    /// device. Among those, one of the same scope as the neighbour's (RFC 6724, 5) comes first, and
    /// then one that is not a local address of FullNAT or SNAT. A link-local address is the source
    /// towards link-local addresses only.
    pub fn source_for(&self, ifindex: IfIndex, neighbour: IpAddr) -> Option<IpAddr> {
        let of_route = self
            .routes
            .lookup(neighbour)
            .filter(|route| route.ifindex == ifindex)
            .and_then(|route| route.src)
            .filter(|addr| addr.is_ipv4() == neighbour.is_ipv4());
        of_route.or_else(|| self.sources.of_device(ifindex, neighbour))
    }

    /// The source address of a request for the MAC address of a neighbour. The request does not
    /// leave the link, so a link-local address will do if there is no other (RFC 4861, 7.2.2).
    pub(crate) fn source_on_link(&self, ifindex: IfIndex, neighbour: IpAddr) -> Option<IpAddr> {
        let link_local = || self.sources.link_local(ifindex);
        self.source_for(ifindex, neighbour)
            .or_else(|| neighbour.is_ipv6().then(link_local).flatten())
    }

    /// Whether an address is on the link of a device: by a route, or because it is link-local.
    pub(crate) fn is_on_link(&self, ifindex: IfIndex, addr: IpAddr) -> bool {
        // Every link has all link-local addresses (RFC 4291, 2.5.6), whatever routes say.
        if matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local()) {
            return true;
        }
        let is_here = |hop: Hop<'_>| hop.ifindex == ifindex && hop.neighbour == addr;
        self.route_to(addr).is_some_and(is_here)
    }

    /// The source of an ICMP error that leaves by a device, about a packet from `sender` to `dst`.
    ///
    /// An error about a packet to the director itself comes from the address that the packet was
    /// for (RFC 4443, 2.2 (a)), with IPv4 only if that is one of the device. Any other error comes
    /// from an address of the device (RFC 1812, 4.3.2.4), or, if it has none, from another one of
    /// the director. It never comes from the address of another host. `None` if the director has
    /// no address of this family.
    pub fn error_source(&self, ifindex: IfIndex, dst: IpAddr, sender: IpAddr) -> Option<IpAddr> {
        let is_of_device = |local: &LocalAddr| dst.is_ipv6() || local.ifindex == ifindex;
        if self.local_addr(dst).is_some_and(is_of_device) {
            return Some(dst);
        }
        self.source_for(ifindex, sender)
            .or_else(|| self.sources.of_director(sender))
    }

    /// Replaces all addresses. Control calls it.
    pub fn set_local_addrs(&mut self, addrs: impl IntoIterator<Item = LocalAddr>) {
        let addrs: HashMap<_, _, _> = addrs.into_iter().map(|local| (local.addr, local)).collect();
        self.sources = Arc::new(Sources::of(addrs.values()));
        self.local_addrs = Arc::new(addrs);
    }

    /// Makes all conns look up their next hops again. Control calls it after a change of routes, of
    /// timeouts, or of the clients that a service serves.
    pub const fn invalidate_nexthops(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Sets, changes or removes the next hop of a neighbour. The neighbour table calls it.
    pub(crate) fn set_nexthop(
        &mut self,
        (ifindex, addr): (IfIndex, IpAddr),
        id: NexthopId,
        nexthop: Option<Nexthop>,
    ) {
        let key = neighbour_key(ifindex, addr);
        self.nexthops.set(id.0 as usize, nexthop);
        let known = self.nexthop_ids.of(hash_of(&key)).get(&key) == Some(&id);
        if known == nexthop.is_some() {
            return;
        }
        let shard = self.nexthop_ids.of_mut(hash_of(&key));
        match nexthop {
            Some(_) => shard.insert(key, id),
            None => shard.remove(&key),
        };
    }
}

fn hash_of((ifindex, addr): &NeighbourKey) -> usize {
    let spread = ((*addr as u32).wrapping_mul(0x9E37_79B1) >> 16) as usize;
    spread ^ usize::from(*ifindex)
}

#[cfg(test)]
mod tests;
