//! Facts about all services together, so that a worker need not look at each.

mod ends;
mod nat_dests;

use std::net::{IpAddr, SocketAddr};

use crate::config::Protocol;
use crate::config::service::Service;
use ends::{End, Ends};
pub(crate) use nat_dests::MOST_VIPS;
use nat_dests::{NatDests, nat_dests_of};

/// Facts about all services, updated when a service is added or removed. Cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub(super) struct ServiceIndex {
    /// Dests of NAT services. Their packets must not be forwarded untranslated.
    nat_dests: NatDests,
    /// Addresses of the dests of NAT services, for later fragments, which have no ports.
    nat_dest_addrs: Ends,
    /// VIPs, without ports.
    vips: Ends,
    /// Number of services for all ports of their VIP.
    any_port: usize,
    /// Number of services that match packets.
    matching: usize,
    /// Number of services of NAT64: they have dests of the other address family.
    nat64: usize,
    /// Number of services with a SYN proxy.
    syn_proxy: usize,
    /// Number of services whose scheduler looks up a hash.
    hashed: usize,
    /// Number of FTP services.
    ftp: usize,
    /// Addresses of the dests of FTP services.
    ftp_dests: Ends,
}

impl ServiceIndex {
    /// Adds the facts of a service.
    pub(crate) fn add(&mut self, service: &Service) {
        self.nat_dests.add(service);
        for (end, _) in nat_dests_of(service) {
            self.nat_dest_addrs.add(of_any_port(end));
        }
        self.nat64 += usize::from(service.is_nat64());
        if service.key.matcher.is_some() {
            self.matching += 1;
            return;
        }
        self.vips.add(vip_of(service));
        self.any_port += usize::from(service.key.port == 0);
        self.hashed += usize::from(service.scheduler.is_by_hash());
        self.ftp += usize::from(service.is_ftp());
        ftp_dests_of(service).for_each(|end| self.ftp_dests.add(end));
        self.syn_proxy += usize::from(service.options.syn_proxy.is_some());
    }

    /// Removes the facts of a service that was added.
    pub(crate) fn remove(&mut self, service: &Service) {
        self.nat_dests.remove(service);
        for (end, _) in nat_dests_of(service) {
            self.nat_dest_addrs.remove(&of_any_port(end));
        }
        self.nat64 -= usize::from(service.is_nat64());
        if service.key.matcher.is_some() {
            self.matching -= 1;
            return;
        }
        self.vips.remove(&vip_of(service));
        self.any_port -= usize::from(service.key.port == 0);
        self.hashed -= usize::from(service.scheduler.is_by_hash());
        self.ftp -= usize::from(service.is_ftp());
        ftp_dests_of(service).for_each(|end| self.ftp_dests.remove(&end));
        self.syn_proxy -= usize::from(service.options.syn_proxy.is_some());
    }

    /// Whether there are services for all ports of their VIP.
    #[inline]
    pub(super) const fn has_any_port(&self) -> bool {
        self.any_port > 0
    }

    /// Whether there are services with dests of the other address family.
    #[inline]
    pub(crate) const fn has_nat64(&self) -> bool {
        self.nat64 > 0
    }

    /// Whether there are services whose scheduler looks up a hash.
    #[inline]
    pub(crate) const fn has_hashed(&self) -> bool {
        self.hashed > 0
    }

    /// Whether there are dests that are reached by NAT.
    #[inline]
    pub(super) const fn has_nat_dests(&self) -> bool {
        !self.nat_dests.is_empty()
    }

    /// Whether there are FTP services.
    #[inline]
    pub(crate) const fn has_ftp(&self) -> bool {
        self.ftp > 0
    }

    /// Whether this is the address of a dest of an FTP service.
    pub(crate) fn is_ftp_dest(&self, addr: IpAddr) -> bool {
        self.ftp_dests.contains(&(Protocol::Tcp, addr, 0))
    }

    /// Whether there are services with a SYN proxy.
    #[inline]
    pub(crate) const fn has_syn_proxy(&self) -> bool {
        self.syn_proxy > 0
    }

    /// Whether any port of this address has a service.
    pub(crate) fn is_vip(&self, protocol: Protocol, addr: IpAddr) -> bool {
        self.vips.contains(&(protocol, addr, 0))
    }

    /// Whether packets with this source come from a dest of a NAT service.
    pub(crate) fn is_nat_dest(&self, protocol: Protocol, addr: IpAddr, port: u16) -> bool {
        self.nat_dests.contains(&(protocol, addr, port))
            || self.any_port + self.matching > 0 && self.nat_dests.contains(&(protocol, addr, 0))
    }

    /// The VIPs, each with the port of its service, to which the clients of a NAT dest with this
    /// address and port have sent their packets, and whether these are all.
    pub(super) fn vips_of_nat_dest(
        &self,
        protocol: Protocol,
        addr: IpAddr,
        port: u16,
    ) -> (impl Iterator<Item = SocketAddr>, bool) {
        let (of_port, is_port_known) = self.nat_dests.vips((protocol, addr, port));
        let (of_any, is_any_known) = self.nat_dests.vips((protocol, addr, 0));
        let with_port = move |vip: SocketAddr| match vip.port() {
            0 => SocketAddr::new(vip.ip(), port),
            _ => vip,
        };
        let all = of_port.chain(of_any).map(with_port);
        (all, is_port_known && is_any_known)
    }

    /// Whether this is the address of a dest of a NAT service.
    pub(crate) fn is_nat_dest_addr(&self, protocol: Protocol, addr: IpAddr) -> bool {
        self.nat_dest_addrs.contains(&(protocol, addr, 0))
    }
}

fn vip_of(service: &Service) -> End {
    (service.key.protocol, service.key.addr, 0)
}

const fn of_any_port((protocol, addr, _): End) -> End {
    (protocol, addr, 0)
}

fn ftp_dests_of(service: &Service) -> impl Iterator<Item = End> {
    let dests = service.dests.iter().chain(&service.leaving);
    let dests = dests.filter(|_| service.is_ftp());
    dests.map(|dest| (Protocol::Tcp, dest.addr, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fwdmode::FwdMode;
    use crate::config::scheduler_kind::SchedulerKind;
    use crate::config::service_tests::service_with;

    #[test]
    fn a_dest_of_two_services_stays_until_both_are_removed() {
        let mut service = service_with(SchedulerKind::Rr, &[1, 1]);
        service.dests[0].fwdmode = FwdMode::Nat;
        let known = |index: &ServiceIndex, at: usize| {
            let dest = &service.dests[at];
            index.is_nat_dest(Protocol::Tcp, dest.addr, dest.port)
        };
        let mut index = ServiceIndex::default();
        assert!(!known(&index, 0));
        index.add(&service);
        index.add(&service);
        let before = index.clone();
        index.remove(&service);
        assert!(
            known(&index, 0) && !known(&index, 1),
            "the other is FullNAT"
        );
        assert!(index.is_vip(Protocol::Tcp, service.key.addr));
        assert!(!index.is_vip(Protocol::Udp, service.key.addr));
        index.remove(&service);
        assert!(!known(&index, 0) && known(&before, 0));
        let addr = service.dests[0].addr;
        assert!(before.is_nat_dest_addr(Protocol::Tcp, addr));
        assert!(!before.is_nat_dest_addr(Protocol::Udp, addr));
        assert!(!before.is_nat_dest_addr(Protocol::Tcp, service.dests[1].addr));
        assert!(!index.is_nat_dest_addr(Protocol::Tcp, addr));
        assert!(!index.is_vip(Protocol::Tcp, service.key.addr));
    }

    #[test]
    fn a_dest_for_all_ports_is_found_by_each_port() {
        let mut service = service_with(SchedulerKind::Rr, &[1]);
        service.key.port = 0;
        service.dests[0].fwdmode = FwdMode::Nat;
        service.dests[0].port = 0;
        let mut index = ServiceIndex::default();
        index.add(&service);
        assert!(index.has_any_port());
        let addr = service.dests[0].addr;
        assert!(index.is_nat_dest(Protocol::Tcp, addr, 4711));
        let (vips, are_all) = index.vips_of_nat_dest(Protocol::Tcp, addr, 4711);
        let vip = SocketAddr::new(service.key.addr, 4711);
        assert_eq!((vips.collect::<Vec<_>>(), are_all), (vec![vip], true));
        index.remove(&service);
        assert!(!index.has_any_port());
    }

    #[test]
    fn hashed_services_are_counted_until_the_last_is_removed() {
        let by_hash = service_with(SchedulerKind::Dh, &[1]);
        let mut index = ServiceIndex::default();
        index.add(&service_with(SchedulerKind::Wlc, &[1]));
        assert!(!index.has_hashed());
        index.add(&by_hash);
        assert!(index.has_hashed());
        index.remove(&by_hash);
        assert!(!index.has_hashed());
    }
}
