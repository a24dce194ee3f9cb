//! Routes, found by the longest prefix.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasherDefault;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::device::IfIndex;
use crate::hash::MixHasher;

/// An address and how many of its leading bits count. The other bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

impl Prefix {
    /// `len` leading bits of `addr`; `None` if `len` is longer than the address.
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        let addr = match addr {
            IpAddr::V4(addr) if len <= 32 => {
                IpAddr::V4(Ipv4Addr::from(u32::from(addr) & mask_v4(len)))
            }
            IpAddr::V6(addr) if len <= 128 => {
                let mask = if len == 0 {
                    0
                } else {
                    u128::MAX << (128 - len)
                };
                IpAddr::V6((u128::from(addr) & mask).into())
            }
            _ => return None,
        };
        Some(Self { addr, len })
    }

    /// The prefix of this address alone.
    pub const fn host(addr: IpAddr) -> Self {
        Self {
            addr,
            len: if addr.is_ipv4() { 32 } else { 128 },
        }
    }

    /// The first address.
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// Leading bits that count.
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Whether `addr` is within.
    pub fn contains(&self, addr: IpAddr) -> bool {
        Self::new(addr, self.len).is_some_and(|prefix| prefix == *self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

const fn mask_v4(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - len) }
}

/// Who a route's packets are for. The words of `dpip route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteScope {
    /// This host itself: an address of the director
    Host,
    /// The kernel behind the kni netdev; prefix length 32 (128) only
    KniHost,
    /// On the link: the destination is the neighbour
    Link,
    /// Behind a gateway
    Global,
}

/// A route as configured, or as made by an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to
    pub prefix: Prefix,
    /// By which device
    pub ifindex: IfIndex,
    /// Through this neighbour; none on the link
    pub gateway: Option<IpAddr>,
    /// Which address packets of ours carry
    pub src: Option<IpAddr>,
    /// Largest packet; the device's when none was given
    pub mtu: u16,
    /// Among routes to the same prefix the lowest wins
    pub metric: u32,
    /// Who it is for
    pub scope: RouteScope,
    /// Made by an address rather than by a command
    pub auto: bool,
}

type OfLength = HashMap<u32, Vec<Route>, BuildHasherDefault<MixHasher>>;

/// Routes by longest prefix. Cloning copies pointers; a change copies the routes of one length.
#[derive(Debug, Clone)]
pub struct RouteTable {
    /// By prefix length; within one by the first address, lowest metric first.
    v4: [Arc<OfLength>; 33],
    /// A bit for each length that has routes.
    v4_lengths: u64,
    /// The order of configuration, for show.
    order: Arc<Vec<(Prefix, IfIndex)>>,
}

impl Default for RouteTable {
    fn default() -> Self {
        Self {
            v4: std::array::from_fn(|_| Arc::default()),
            v4_lengths: 0,
            order: Arc::default(),
        }
    }
}

/// A route to the same prefix by the same device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteExists(pub Route);

impl RouteTable {
    /// The route of the longest prefix that holds `dst`; among equals the lowest metric.
    #[inline]
    pub fn lookup_v4(&self, dst: Ipv4Addr) -> Option<&Route> {
        let mut lengths = self.v4_lengths;
        while lengths != 0 {
            let len = (u64::BITS - 1 - lengths.leading_zeros()) as u8;
            lengths &= !(1 << len);
            if let Some(routes) = self.v4[usize::from(len)].get(&(u32::from(dst) & mask_v4(len))) {
                return routes.first();
            }
        }
        None
    }

    /// Adds a route.
    ///
    /// # Errors
    /// If there is one to the same prefix by the same device.
    pub fn insert(&mut self, route: Route) -> Result<(), RouteExists> {
        if let Some(existing) = self.get(&route.prefix, Some(route.ifindex)) {
            return Err(RouteExists(*existing));
        }
        self.put(route);
        Arc::make_mut(&mut self.order).push((route.prefix, route.ifindex));
        Ok(())
    }

    /// Changes the route with the same prefix and device, or adds it.
    pub fn replace(&mut self, route: Route) {
        if self.take(&route.prefix, Some(route.ifindex)).is_none() {
            Arc::make_mut(&mut self.order).push((route.prefix, route.ifindex));
        }
        self.put(route);
    }

    /// Takes a route out; the first of its prefix if no device is given.
    pub fn remove(&mut self, prefix: &Prefix, ifindex: Option<IfIndex>) -> Option<Route> {
        let route = self.take(prefix, ifindex)?;
        let order = Arc::make_mut(&mut self.order);
        order.retain(|entry| *entry != (route.prefix, route.ifindex));
        Some(route)
    }

    /// Takes out all routes of a device, or all but those that addresses made; how many there were.
    pub fn remove_device(&mut self, ifindex: IfIndex, keep_auto: bool) -> usize {
        let goes = |route: &Route| route.ifindex == ifindex && !(keep_auto && route.auto);
        let gone: HashSet<Prefix> = self
            .iter()
            .filter(|route| goes(route))
            .map(|route| route.prefix)
            .collect();
        for prefix in &gone {
            self.take(prefix, Some(ifindex));
        }
        if !gone.is_empty() {
            Arc::make_mut(&mut self.order)
                .retain(|(prefix, device)| *device != ifindex || !gone.contains(prefix));
        }
        gone.len()
    }

    /// A route by its prefix, and its device if given.
    pub fn get(&self, prefix: &Prefix, ifindex: Option<IfIndex>) -> Option<&Route> {
        let IpAddr::V4(addr) = prefix.addr() else {
            return None;
        };
        let routes = self.v4[usize::from(prefix.prefix_len())].get(&u32::from(addr))?;
        routes
            .iter()
            .find(|route| ifindex.is_none_or(|ifindex| route.ifindex == ifindex))
    }

    /// All routes, longest prefix first, those of the same length in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        let mut order: Vec<_> = self.order.iter().collect();
        order.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        order
            .into_iter()
            .filter_map(|(prefix, ifindex)| self.get(prefix, Some(*ifindex)))
    }

    fn put(&mut self, route: Route) {
        let IpAddr::V4(addr) = route.prefix.addr() else {
            return;
        };
        let len = usize::from(route.prefix.prefix_len());
        let routes = Arc::make_mut(&mut self.v4[len])
            .entry(u32::from(addr))
            .or_default();
        routes.push(route);
        routes.sort_by_key(|route| route.metric);
        self.v4_lengths |= 1 << len;
    }

    fn take(&mut self, prefix: &Prefix, ifindex: Option<IfIndex>) -> Option<Route> {
        self.get(prefix, ifindex)?;
        let IpAddr::V4(addr) = prefix.addr() else {
            return None;
        };
        let len = usize::from(prefix.prefix_len());
        let of_length = Arc::make_mut(&mut self.v4[len]);
        let routes = of_length.get_mut(&u32::from(addr))?;
        let at = routes
            .iter()
            .position(|route| ifindex.is_none_or(|ifindex| route.ifindex == ifindex))?;
        let route = routes.remove(at);
        if routes.is_empty() {
            of_length.remove(&u32::from(addr));
        }
        if of_length.is_empty() {
            self.v4_lengths &= !(1 << len);
        }
        Some(route)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(addr: Ipv4Addr, len: u8, metric: u32, ifindex: u16) -> Route {
        Route {
            prefix: Prefix::new(IpAddr::V4(addr), len).unwrap(),
            ifindex: IfIndex(ifindex),
            gateway: None,
            src: None,
            mtu: 1500,
            metric,
            scope: RouteScope::Link,
            auto: false,
        }
    }

    #[test]
    fn a_prefix_keeps_its_leading_bits_only() {
        let prefix = Prefix::new("10.1.2.3".parse().unwrap(), 16).unwrap();
        assert_eq!(prefix.to_string(), "10.1.0.0/16");
        assert!(prefix.contains("10.1.255.255".parse().unwrap()));
        assert!(!prefix.contains("10.2.0.0".parse().unwrap()));
        assert_eq!(Prefix::new("10.0.0.0".parse().unwrap(), 33), None);
    }

    #[test]
    fn the_lowest_metric_wins_among_routes_to_the_same_prefix() {
        let mut table = RouteTable::default();
        table
            .insert(route(Ipv4Addr::UNSPECIFIED, 0, 10, 1))
            .unwrap();
        table.insert(route(Ipv4Addr::UNSPECIFIED, 0, 5, 2)).unwrap();
        assert_eq!(
            table
                .lookup_v4([8, 8, 8, 8].into())
                .map(|route| route.ifindex),
            Some(IfIndex(2))
        );
        table.remove(
            &Prefix::new([0, 0, 0, 0].into(), 0).unwrap(),
            Some(IfIndex(2)),
        );
        assert_eq!(
            table
                .lookup_v4([8, 8, 8, 8].into())
                .map(|route| route.ifindex),
            Some(IfIndex(1))
        );
    }

    #[test]
    fn a_second_route_to_a_prefix_by_the_same_device_is_refused() {
        let mut table = RouteTable::default();
        let first = route([10, 0, 0, 0].into(), 8, 0, 1);
        table.insert(first).unwrap();
        assert_eq!(
            table.insert(Route { mtu: 9000, ..first }),
            Err(RouteExists(first))
        );
        table.replace(Route { mtu: 9000, ..first });
        assert_eq!(
            table.iter().map(|route| route.mtu).collect::<Vec<_>>(),
            [9000]
        );
    }

    #[test]
    fn flushing_a_device_leaves_other_devices_and_what_addresses_made() {
        let mut table = RouteTable::default();
        let by_address = Route {
            auto: true,
            ..route([10, 0, 0, 1].into(), 32, 0, 1)
        };
        let other = route([10, 0, 0, 0].into(), 8, 1, 2);
        for route in [by_address, route([10, 0, 0, 0].into(), 8, 0, 1), other] {
            table.insert(route).unwrap();
        }
        assert_eq!(table.remove_device(IfIndex(1), true), 1);
        assert_eq!(
            table.iter().copied().collect::<Vec<_>>(),
            [by_address, other]
        );
        assert_eq!(table.remove_device(IfIndex(1), false), 1);
        assert_eq!(table.lookup_v4([10, 0, 0, 1].into()), Some(&other));
    }

    #[test]
    fn a_published_table_does_not_change_with_its_successor() {
        let mut table = RouteTable::default();
        table.insert(route([10, 0, 0, 0].into(), 8, 0, 1)).unwrap();
        let published = table.clone();
        table.insert(route([10, 1, 0, 0].into(), 16, 0, 2)).unwrap();
        table.remove(&Prefix::new([10, 0, 0, 0].into(), 8).unwrap(), None);
        let device = |table: &RouteTable| {
            table
                .lookup_v4([10, 1, 2, 3].into())
                .map(|route| route.ifindex)
        };
        assert_eq!(
            (device(&published), device(&table)),
            (Some(IfIndex(1)), Some(IfIndex(2)))
        );
    }

    /// The order in which the tutorial shows its routes.
    #[test]
    fn routes_are_listed_longest_prefix_first() {
        let mut table = RouteTable::default();
        for (addr, len) in [
            ([10, 0, 0, 100], 32),
            ([10, 0, 0, 0], 16),
            ([192, 168, 100, 0], 24),
            ([192, 168, 100, 200], 32),
        ] {
            table.insert(route(addr.into(), len, 0, 1)).unwrap();
        }
        let listed: Vec<_> = table.iter().map(|route| route.prefix.to_string()).collect();
        assert_eq!(
            listed,
            [
                "10.0.0.100/32",
                "192.168.100.200/32",
                "192.168.100.0/24",
                "10.0.0.0/16"
            ]
        );
    }

    proptest! {
        #[test]
        fn a_look_up_finds_what_a_search_of_all_routes_finds(
            routes in prop::collection::vec((any::<u32>(), 0u8..=32, 0u32..3), 0..60), dst in any::<u32>(), near in any::<prop::sample::Index>(),
        ) {
            let mut table = RouteTable::default();
            let mut model: Vec<Route> = Vec::new();
            for (addr, len, metric) in routes {
                let route = route(addr.into(), len, metric, 1);
                if table.insert(route).is_ok() {
                    model.push(route);
                }
            }
            let near = (!model.is_empty()).then(|| model[near.index(model.len())].prefix.addr());
            for dst in [Some(IpAddr::V4(dst.into())), near].into_iter().flatten() {
                let IpAddr::V4(v4) = dst else { unreachable!() };
                let expected = model.iter().filter(|route| route.prefix.contains(dst)).max_by_key(|route| route.prefix.prefix_len());
                prop_assert_eq!(table.lookup_v4(v4), expected);
            }
        }
    }
}
