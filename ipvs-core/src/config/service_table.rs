//! All services: those with a VIP, found by the destination of a packet, and those that match
//! packets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use inet::Sharded;

use crate::config::Protocol;
use crate::config::match_packets::{Match, MatchFacts};
use crate::config::service::{FTP_CONTROL_PORT, Service, ServiceId, ServiceKey};
use crate::config::service_index::ServiceIndex;
use crate::tuple::Address;

/// Number of shards of a [`ServiceTable`].
const SHARDS: usize = 4096;

/// All services. Cloning copies pointers; a change copies only the shard that it touches.
#[derive(Debug, Clone, Default)]
pub struct ServiceTable {
    shards: Sharded<Shard, SHARDS>,
    /// Facts about the services together.
    index: ServiceIndex,
    /// Services that match packets, in the order they were added.
    match_services: Arc<Vec<Arc<Service>>>,
}

/// Services with the keys that packets find them by.
type Shard = Vec<(VipKey, Arc<Service>)>;

/// The key of a packet to a VIP, kept in registers. A [`ServiceKey`] would be written to memory in
/// parts and read back in larger words, which is a store-forwarding stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct VipKey {
    /// The VIP, mapped into IPv6 if it is IPv4: RFC 4291, 2.5.5.2.
    addr: u128,
    protocol_and_port: u32,
}

impl VipKey {
    #[inline]
    const fn new(protocol: Protocol, addr: u128, port: u16) -> Self {
        Self {
            addr,
            protocol_and_port: (protocol.number() as u32) << 16 | port as u32,
        }
    }

    fn of(key: &ServiceKey) -> Self {
        let addr = match key.addr {
            IpAddr::V4(addr) => addr.to_ipv6_mapped(),
            IpAddr::V6(addr) => addr,
        };
        Self::new(key.protocol, addr.to_bits(), key.port)
    }

    /// A fixed hash is enough, since operators choose VIPs and vports, and clients do not.
    /// Operators often choose consecutive ports or addresses: they fall into different shards.
    #[inline]
    const fn hash(self) -> usize {
        let addr = self.addr as u64 ^ (self.addr >> 64) as u64;
        let hash =
            (addr ^ (self.protocol_and_port as u64) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 32) as usize
    }
}

impl ServiceTable {
    /// The service with this key, which must have a VIP.
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.find(VipKey::of(key))
            .filter(|service| service.key == *key)
    }

    /// The service for this port of a VIP, or the one for all ports of the VIP. Workers call it for
    /// the first packet of a conn, and when a conn needs the options of its service.
    #[inline]
    pub fn of_vip<A: Address>(
        &self,
        protocol: Protocol,
        addr: A,
        port: u16,
    ) -> Option<&Arc<Service>> {
        let addr = u128::from_be_bytes(addr.to_mapped());
        let of_port = self.find(VipKey::new(protocol, addr, port));
        if of_port.is_some() || !self.index.has_any_port() {
            return of_port;
        }
        self.find(VipKey::new(protocol, addr, 0))
    }

    #[inline]
    fn find(&self, vip: VipKey) -> Option<&Arc<Service>> {
        let mut shard = self.shards.of(vip.hash()).iter();
        let (_, service) = shard.find(|(other, _)| *other == vip)?;
        Some(service)
    }

    /// Whether any port of this address has a service.
    pub fn is_vip(&self, protocol: Protocol, addr: IpAddr) -> bool {
        self.index.is_vip(protocol, addr)
    }

    /// Whether there are FTP services.
    #[inline]
    pub const fn has_ftp(&self) -> bool {
        self.index.has_ftp()
    }

    /// Whether this is the VIP of an FTP service.
    pub fn is_ftp_vip(&self, addr: IpAddr) -> bool {
        let control = self.get(&ServiceKey::vip(Protocol::Tcp, addr, FTP_CONTROL_PORT));
        control.is_some_and(|service| service.is_ftp())
    }

    /// Whether this is the address of a dest of an FTP service.
    pub fn is_ftp_dest(&self, addr: IpAddr) -> bool {
        self.index.is_ftp_dest(addr)
    }

    /// Whether there are services whose scheduler looks up a hash.
    #[inline]
    pub const fn has_hashed(&self) -> bool {
        self.index.has_hashed()
    }

    /// Whether there are services with a SYN proxy.
    #[inline]
    pub const fn has_syn_proxy(&self) -> bool {
        self.index.has_syn_proxy()
    }

    /// Whether there are services with dests of the other address family.
    #[inline]
    pub const fn has_nat64(&self) -> bool {
        self.index.has_nat64()
    }

    /// Whether there are services that match packets.
    #[inline]
    pub fn has_match_services(&self) -> bool {
        !self.match_services.is_empty()
    }

    /// The first service that matches a packet of its address family. For a packet to the director
    /// itself, services of SNAT are skipped; for any other packet, only services of SNAT count.
    pub fn matching(
        &self,
        protocol: Protocol,
        packet: &MatchFacts<'_>,
        is_to_us: bool,
    ) -> Option<&Arc<Service>> {
        self.match_services.iter().find(|service| {
            let matches = |matcher: Match| matcher.has(packet);
            service.key.protocol == protocol
                && service.key.addr.is_ipv4() == packet.src.0.is_ipv4()
                && service.leads_out() != is_to_us
                && service.key.matcher.is_some_and(matches)
        })
    }

    /// Whether SNAT may translate a packet between these addresses. For fragments, whose ports are
    /// not known.
    pub(crate) fn may_lead_out(&self, protocol: Protocol, src: IpAddr, dst: IpAddr) -> bool {
        self.match_services.iter().any(|service| {
            let may_match = |matcher: Match| matcher.may_have(src, dst);
            service.key.protocol == protocol
                && service.leads_out()
                && service.key.matcher.is_some_and(may_match)
        })
    }

    /// The service with this id, among those that match packets.
    pub fn matching_by_id(&self, id: ServiceId) -> Option<&Arc<Service>> {
        self.match_services.iter().find(|service| service.id == id)
    }

    /// Whether packets with this source come from a dest of a NAT service. They must have a conn,
    /// or they are dropped.
    pub fn is_nat_dest(&self, protocol: Protocol, addr: IpAddr, port: u16) -> bool {
        self.index.is_nat_dest(protocol, addr, port)
    }

    /// Whether there are dests that are reached by NAT.
    pub(crate) const fn has_nat_dests(&self) -> bool {
        self.index.has_nat_dests()
    }

    /// The VIPs, each with the port of its service, to which the clients of a NAT dest with this
    /// address and port have sent their packets, and whether these are all.
    pub(crate) fn vips_of_nat_dest(
        &self,
        protocol: Protocol,
        addr: IpAddr,
        port: u16,
    ) -> (impl Iterator<Item = SocketAddr>, bool) {
        self.index.vips_of_nat_dest(protocol, addr, port)
    }

    /// Whether this is the address of a dest of a NAT service. For fragments, whose ports are not
    /// known.
    pub(crate) fn is_nat_dest_addr(&self, protocol: Protocol, addr: IpAddr) -> bool {
        self.index.is_nat_dest_addr(protocol, addr)
    }

    /// Adds services, or replaces those with the same key. Each shard that changes is copied once.
    pub fn insert_all(&mut self, services: impl IntoIterator<Item = Arc<Service>>) {
        for service in services {
            if service.key.matcher.is_some() {
                self.index.add(&service);
                let match_services = Arc::make_mut(&mut self.match_services);
                match match_services.iter_mut().find(|old| old.key == service.key) {
                    Some(old) => {
                        self.index.remove(old);
                        *old = service;
                    }
                    None => match_services.push(service),
                }
                continue;
            }
            self.index.add(&service);
            let vip = VipKey::of(&service.key);
            let shard = self.shards.of_mut(vip.hash());
            match shard.iter_mut().find(|(other, _)| *other == vip) {
                Some((_, old)) => {
                    self.index.remove(old);
                    *old = service;
                }
                None => shard.push((vip, service)),
            }
        }
    }

    /// Removes a service.
    pub fn remove(&mut self, key: &ServiceKey) {
        if key.matcher.is_some() {
            let match_services = Arc::make_mut(&mut self.match_services);
            if let Some(at) = match_services
                .iter()
                .position(|service| service.key == *key)
            {
                self.index.remove(&match_services.remove(at));
            }
            return;
        }
        let vip = VipKey::of(key);
        let shard = self.shards.of_mut(vip.hash());
        if let Some(at) = shard.iter().position(|(other, _)| *other == vip) {
            let (_, service) = shard.swap_remove(at);
            self.index.remove(&service);
        }
    }

    /// All services, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.shards
            .iter()
            .flatten()
            .map(|(_, service)| service)
            .chain(self.match_services.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scheduler_kind::SchedulerKind;
    use crate::config::service_tests::service_with;

    #[test]
    fn a_change_of_one_service_leaves_the_others_and_the_old_table_alone() {
        let service = |port| {
            let mut service = service_with(SchedulerKind::Rr, &[1]);
            service.key.port = port;
            Arc::new(service)
        };
        let mut table = ServiceTable::default();
        table.insert_all((1..2000).map(service));
        let before = table.clone();
        table.remove(&service(7).key);
        assert!(table.get(&service(7).key).is_none());
        assert!(before.get(&service(7).key).is_some());
        assert_eq!(table.iter().count(), 1998);
        assert_eq!(
            table.get(&service(8).key).map(|found| found.key.port),
            Some(8)
        );
    }

    #[test]
    fn a_vip_is_found_by_its_ipv4_and_its_mapped_address_only() {
        let service = Arc::new(service_with(SchedulerKind::Rr, &[1]));
        let IpAddr::V4(vip) = service.key.addr else {
            panic!("a VIP of IPv4")
        };
        let (vip, port) = (vip.octets(), service.key.port);
        let protocol = service.key.protocol;
        let mut table = ServiceTable::default();
        table.insert_all([Arc::clone(&service)]);
        assert!(table.of_vip(protocol, vip, port).is_some());
        assert!(table.of_vip(protocol, vip.to_mapped(), port).is_some());
        // An IPv6 address with the same low bits as the mapped VIP, but without the prefix of RFC
        // 4291, 2.5.5.2.
        let unmapped = u128::from(u32::from_be_bytes(vip)).to_be_bytes();
        assert!(table.of_vip(protocol, unmapped, port).is_none());
        let [a, b, c, d] = vip;
        assert!(table.of_vip(protocol, [a, b, c, d ^ 1], port).is_none());
        assert!(table.of_vip(protocol, vip, port ^ 1).is_none());
        assert!(table.of_vip(Protocol::Sctp, vip, port).is_none());
    }

    /// A SYN costs the same with 10,000 services as with one.
    #[test]
    fn services_on_consecutive_ports_or_addresses_are_spread_over_all_shards() {
        let most_in_a_shard = |key: fn(u16) -> (u32, u16)| {
            let mut shards = [0; SHARDS];
            for (addr, port) in (0..10_000).map(key) {
                let addr = std::net::Ipv4Addr::from_bits(addr).into();
                shards[VipKey::of(&ServiceKey::vip(Protocol::Tcp, addr, port)).hash() % SHARDS] +=
                    1;
            }
            shards.into_iter().max()
        };
        // 10,000 services in 4,096 shards: two or three in each if they were spread evenly.
        assert!(
            most_in_a_shard(|n| (0x0a00_0064, 1 + n)) <= Some(8),
            "ports"
        );
        assert!(
            most_in_a_shard(|n| (0x0a00_0064 + u32::from(n), 80)) <= Some(8),
            "addresses"
        );
        assert!(
            most_in_a_shard(|n| (0x0a00_0064 + (u32::from(n) << 8), 443)) <= Some(8),
            "networks"
        );
    }
}
