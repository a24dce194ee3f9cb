//! Routes, found by the longest prefix.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use crate::device::IfIndex;
use crate::hash::MixHasher;
use crate::prefix::Bits;

pub use crate::prefix::Prefix;

/// Who the packets of a route are for. The names are those of `dpip route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteScope {
    /// This host itself: an address of the director
    Host,
    /// The kernel behind the kni netdev. Only for prefixes of one address.
    KniHost,
    /// On the link: the destination is the neighbour
    Link,
    /// Behind a gateway
    Global,
}

/// A route as configured, or as made by an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The destinations of the route
    pub prefix: Prefix,
    /// The device that packets leave by
    pub ifindex: IfIndex,
    /// The neighbour to send to. `None` if the destinations are on the link.
    pub gateway: Option<IpAddr>,
    /// The source address of our own packets
    pub src: Option<IpAddr>,
    /// Largest IP packet in bytes. The device's MTU if none was given.
    pub mtu: u16,
    /// Of several routes to the same prefix the one with the lowest metric is used.
    pub metric: u32,
    /// Who the packets are for
    pub scope: RouteScope,
    /// Whether it was made for an address, and not by a command
    pub auto: bool,
}

type OfLength<K> = HashMap<K, Vec<Route>, BuildHasherDefault<MixHasher>>;

/// The routes of one family. `LENGTHS` is one more than its addresses have bits.
#[derive(Debug, Clone)]
struct Family<K, const LENGTHS: usize> {
    /// The routes by prefix length, and those of one length by the first address of the prefix.
    /// Routes to the same prefix are in the order of their metrics.
    routes: [Arc<OfLength<K>>; LENGTHS],
    /// The prefix lengths that have routes, longest first.
    lengths: Arc<Vec<u8>>,
}

impl<K, const LENGTHS: usize> Default for Family<K, LENGTHS> {
    fn default() -> Self {
        let none: Arc<OfLength<K>> = Arc::default();
        Self {
            routes: std::array::from_fn(|_| Arc::clone(&none)),
            lengths: Arc::default(),
        }
    }
}

impl<K: Bits, const LENGTHS: usize> Family<K, LENGTHS> {
    #[inline]
    fn lookup(&self, dst: K) -> Option<&Route> {
        self.lengths.iter().find_map(|len| {
            self.routes[usize::from(*len)]
                .get(&dst.leading(*len))?
                .first()
        })
    }

    fn of(&self, prefix: K, len: u8) -> &[Route] {
        self.routes[usize::from(len)]
            .get(&prefix)
            .map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, prefix: K, route: Route) {
        let len = route.prefix.prefix_len();
        let of_length = Arc::make_mut(&mut self.routes[usize::from(len)]);
        let routes = of_length.entry(prefix).or_default();
        routes.push(route);
        routes.sort_by_key(|route| route.metric);
        if !self.lengths.contains(&len) {
            let lengths = Arc::make_mut(&mut self.lengths);
            lengths.push(len);
            lengths.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    fn take(&mut self, prefix: K, len: u8, is_it: impl Fn(&Route) -> bool) -> Option<Route> {
        let at = self.of(prefix, len).iter().position(is_it)?;
        let of_length = Arc::make_mut(&mut self.routes[usize::from(len)]);
        let routes = of_length.get_mut(&prefix)?;
        let route = routes.remove(at);
        if routes.is_empty() {
            of_length.remove(&prefix);
        }
        if of_length.is_empty() {
            Arc::make_mut(&mut self.lengths).retain(|other| *other != len);
        }
        Some(route)
    }
}

/// All routes, found by longest prefix match. Cloning copies pointers. A change copies the routes
/// of one prefix length.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    v4: Arc<Family<u32, 33>>,
    v6: Arc<Family<u128, 129>>,
    /// The order in which the routes were made, for show.
    order: Arc<Vec<RouteKey>>,
}

/// What tells routes apart: of several with the same prefix, the metric chooses.
type RouteKey = (Prefix, IfIndex, u32);

const fn key_of(route: &Route) -> RouteKey {
    (route.prefix, route.ifindex, route.metric)
}

/// There is already a route with the same prefix, device and metric: this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteExists(pub Route);

impl RouteTable {
    /// The route with the longest prefix that contains `dst`. Of several to that prefix, the one
    /// with the lowest metric.
    #[inline]
    pub fn lookup(&self, dst: IpAddr) -> Option<&Route> {
        match dst {
            IpAddr::V4(dst) => self.v4.lookup(dst.to_bits()),
            IpAddr::V6(dst) => self.v6.lookup(dst.to_bits()),
        }
    }

    /// Adds a route.
    ///
    /// # Errors
    /// If there is one with the same prefix, device and metric.
    pub fn insert(&mut self, route: Route) -> Result<(), RouteExists> {
        if let Some(existing) = self.same(&route) {
            return Err(RouteExists(*existing));
        }
        self.put(route);
        Arc::make_mut(&mut self.order).push(key_of(&route));
        Ok(())
    }

    /// Changes the route with the same prefix, device and metric, or adds it.
    pub fn replace(&mut self, route: Route) {
        let is_it = |other: &Route| key_of(other) == key_of(&route);
        if self.take(&route.prefix, is_it).is_none() {
            Arc::make_mut(&mut self.order).push(key_of(&route));
        }
        self.put(route);
    }

    /// Removes the first route to a prefix, in the order of the metrics, for which `is_it` is true.
    pub fn remove(&mut self, prefix: &Prefix, is_it: impl Fn(&Route) -> bool) -> Option<Route> {
        let route = self.take(prefix, is_it)?;
        let order = Arc::make_mut(&mut self.order);
        order.retain(|entry| *entry != key_of(&route));
        Some(route)
    }

    /// Removes all routes for which `is_meant` is true, and returns how many.
    pub fn remove_all(&mut self, is_meant: impl Fn(&Route) -> bool) -> usize {
        let meant = self.iter().filter(|route| is_meant(route));
        let gone: HashSet<RouteKey> = meant.map(key_of).collect();
        for key in &gone {
            self.take(&key.0, |route| key_of(route) == *key);
        }
        if !gone.is_empty() {
            Arc::make_mut(&mut self.order).retain(|key| !gone.contains(key));
        }
        gone.len()
    }

    /// All routes to a prefix, lowest metric first.
    pub fn to(&self, prefix: &Prefix) -> &[Route] {
        let len = prefix.prefix_len();
        match prefix.addr() {
            IpAddr::V4(addr) => self.v4.of(addr.to_bits(), len),
            IpAddr::V6(addr) => self.v6.of(addr.to_bits(), len),
        }
    }

    /// Whether a device has routes of IPv6.
    pub fn has_ipv6(&self, ifindex: IfIndex) -> bool {
        let mut keys = self.order.iter();
        keys.any(|(prefix, device, _)| *device == ifindex && prefix.addr().is_ipv6())
    }

    /// The route with the same prefix, device and metric.
    pub fn same(&self, route: &Route) -> Option<&Route> {
        let mut routes = self.to(&route.prefix).iter();
        routes.find(|other| key_of(other) == key_of(route))
    }

    /// All routes, longest prefix first, those of the same length in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        let mut order: Vec<_> = self.order.iter().collect();
        order.sort_by_key(|(prefix, ..)| std::cmp::Reverse(prefix.prefix_len()));
        order.into_iter().filter_map(|key| {
            let mut routes = self.to(&key.0).iter();
            routes.find(|route| key_of(route) == *key)
        })
    }

    fn put(&mut self, route: Route) {
        match route.prefix.addr() {
            IpAddr::V4(addr) => Arc::make_mut(&mut self.v4).put(addr.to_bits(), route),
            IpAddr::V6(addr) => Arc::make_mut(&mut self.v6).put(addr.to_bits(), route),
        }
    }

    fn take(&mut self, prefix: &Prefix, is_it: impl Fn(&Route) -> bool) -> Option<Route> {
        let len = prefix.prefix_len();
        match prefix.addr() {
            IpAddr::V4(addr) => Arc::make_mut(&mut self.v4).take(addr.to_bits(), len, is_it),
            IpAddr::V6(addr) => Arc::make_mut(&mut self.v6).take(addr.to_bits(), len, is_it),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(addr: impl Into<IpAddr>, len: u8, metric: u32, ifindex: u16) -> Route {
        Route {
            prefix: Prefix::new(addr.into(), len).unwrap(),
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
    fn the_lowest_metric_wins_among_routes_to_the_same_prefix() {
        let mut table = RouteTable::default();
        table.insert(route([0, 0, 0, 0], 0, 10, 1)).unwrap();
        table.insert(route([0, 0, 0, 0], 0, 5, 2)).unwrap();
        assert_eq!(
            table.lookup([8, 8, 8, 8].into()).map(|route| route.ifindex),
            Some(IfIndex(2))
        );
        let all = Prefix::new([0, 0, 0, 0].into(), 0).unwrap();
        table.remove(&all, |route| route.ifindex == IfIndex(2));
        assert_eq!(
            table.lookup([8, 8, 8, 8].into()).map(|route| route.ifindex),
            Some(IfIndex(1))
        );
    }

    #[test]
    fn a_second_route_to_a_prefix_by_the_same_device_is_refused() {
        let mut table = RouteTable::default();
        let first = route([10, 0, 0, 0], 8, 0, 1);
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

    /// ip-route(8): prefix and metric tell routes apart, so a second default route waits for the
    /// first to go.
    #[test]
    fn routes_of_one_device_may_differ_in_their_metric() {
        let mut table = RouteTable::default();
        let gateway = |last: u8, metric| Route {
            gateway: Some([10, 0, 0, last].into()),
            ..route([0, 0, 0, 0], 0, metric, 1)
        };
        table.insert(gateway(2, 100)).unwrap();
        table.insert(gateway(1, 0)).unwrap();
        let used = |table: &RouteTable| table.lookup([8, 8, 8, 8].into()).copied();
        assert_eq!(used(&table), Some(gateway(1, 0)));
        assert_eq!(table.iter().count(), 2);
        let all = gateway(1, 0).prefix;
        let by_metric = table.remove(&all, |route| route.metric == 100);
        assert_eq!(by_metric, Some(gateway(2, 100)));
        table.insert(gateway(2, 100)).unwrap();
        assert_eq!(table.remove(&all, |_| true), Some(gateway(1, 0)));
        assert_eq!(used(&table), Some(gateway(2, 100)));
    }

    #[test]
    fn flushing_a_device_leaves_other_devices_and_what_addresses_made() {
        let mut table = RouteTable::default();
        let by_address = Route {
            auto: true,
            ..route([10, 0, 0, 1], 32, 0, 1)
        };
        let other = route([10, 0, 0, 0], 8, 1, 2);
        for route in [by_address, route([10, 0, 0, 0], 8, 0, 1), other] {
            table.insert(route).unwrap();
        }
        assert_eq!(
            table.remove_all(|route| route.ifindex == IfIndex(1) && !route.auto),
            1
        );
        assert_eq!(
            table.iter().copied().collect::<Vec<_>>(),
            [by_address, other]
        );
        assert_eq!(table.remove_all(|route| route.ifindex == IfIndex(1)), 1);
        assert_eq!(table.lookup([10, 0, 0, 1].into()), Some(&other));
    }

    #[test]
    fn a_published_table_does_not_change_with_its_successor() {
        let mut table = RouteTable::default();
        table.insert(route([10, 0, 0, 0], 8, 0, 1)).unwrap();
        let published = table.clone();
        table.insert(route([10, 1, 0, 0], 16, 0, 2)).unwrap();
        table.remove(&Prefix::new([10, 0, 0, 0].into(), 8).unwrap(), |_| true);
        let device = |table: &RouteTable| {
            table
                .lookup([10, 1, 2, 3].into())
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
            table.insert(route(addr, len, 0, 1)).unwrap();
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
            routes in prop::collection::vec((any::<u128>(), 0u8..=128, 0u32..3), 0..60),
            dst in any::<u128>(),
            near in any::<prop::sample::Index>(),
        ) {
            let mut table = RouteTable::default();
            let mut model: Vec<Route> = Vec::new();
            for (addr, len, metric) in routes {
                let of_v4 = route((addr as u32).to_be_bytes(), len / 4, metric, 1);
                let of_v6 = route(addr.to_be_bytes(), len, metric, 1);
                for route in [of_v4, of_v6] {
                    if table.insert(route).is_ok() {
                        model.push(route);
                    }
                }
            }
            let near = (!model.is_empty()).then(|| model[near.index(model.len())].prefix.addr());
            let (v6, v4) = (dst.to_be_bytes(), (dst as u32).to_be_bytes());
            let others = [IpAddr::from(v6), IpAddr::from(v4)];
            for dst in others.into_iter().chain(near) {
                let holds = |route: &&Route| {
                    let prefix = route.prefix;
                    prefix.addr().is_ipv4() == dst.is_ipv4() && prefix.contains(dst)
                };
                let matching = model.iter().filter(holds);
                let expected = matching.max_by_key(|route| {
                    (route.prefix.prefix_len(), std::cmp::Reverse(route.metric))
                });
                prop_assert_eq!(table.lookup(dst), expected);
            }
        }
    }
}
