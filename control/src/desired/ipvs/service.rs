//! Services and their dests: `ipvsadm-rs -A -E -D -a -e -d`.

use std::net::IpAddr;
use std::sync::Arc;

use ipvs_core::{
    Access, AddrSet, Dest, DestId, FwdMode, Laddr, Match, Plan, SchedulerKind, Service, ServiceId,
    ServiceKey, ServiceOptions,
};

use super::AccessList;
use super::ServiceError;
use crate::desired::net::is_host;
use crate::desired::{Desired, Effect, Ordered};
use crate::telemetry::Counts;

/// A service as the operator asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRequest {
    /// VIP, vport, protocol
    pub key: ServiceKey,
    /// Its scheduler
    pub scheduler: SchedulerKind,
    /// What it asks of its conns
    pub options: ServiceOptions,
}

/// A dest as the operator asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestRequest {
    /// RIP
    pub addr: IpAddr,
    /// rport
    pub port: u16,
    /// How packets reach it
    pub fwdmode: FwdMode,
    /// Share of new conns
    pub weight: u16,
    /// No new conn once it has this many; 0 for no limit
    pub upper_threshold: u32,
    /// Below it, an overloaded dest takes conns again; 0 for 3/4 of the upper threshold
    pub lower_threshold: u32,
    /// With weight 0: conns that are left after so many seconds end
    pub drain_s: Option<u32>,
}

/// A service with its dests and local addresses.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// Its number at the workers
    pub id: ServiceId,
    /// What was asked for
    pub request: ServiceRequest,
    /// By address and port, in the order they were added
    pub dests: Ordered<(IpAddr, u16), DestEntry>,
    /// In the order they were added
    pub laddrs: Vec<Laddr>,
    /// Deny and allow lists
    pub(crate) access: Access,
    /// What removed dests had counted, less what -Z has cleared
    pub(crate) removed: Counts,
    /// What workers get of it, if it was compiled since the last change
    compiled: Option<Arc<Service>>,
}

/// A dest of a service.
#[derive(Debug, Clone)]
pub struct DestEntry {
    /// Its number at the workers
    pub id: DestId,
    /// What was asked for
    pub request: DestRequest,
    /// Counts that are not shown: from before -Z, or of an earlier dest with the same id
    pub(crate) zero: Counts,
}

impl Desired {
    /// A service.
    ///
    /// # Errors
    /// If there is none with this key.
    pub fn service(&self, key: &ServiceKey) -> Result<&ServiceEntry, ServiceError> {
        self.services
            .get(key)
            .map(Arc::as_ref)
            .ok_or(ServiceError::Missing(*key))
    }

    /// A service, to be changed. It is published with the next snapshot.
    pub(in crate::desired) fn service_mut(
        &mut self,
        key: &ServiceKey,
    ) -> Result<&mut ServiceEntry, ServiceError> {
        let service = self
            .services
            .get_mut(key)
            .ok_or(ServiceError::Missing(*key))?;
        self.dirty.services.insert(*key);
        let service = Arc::make_mut(service);
        service.compiled = None;
        Ok(service)
    }

    /// Adds a service.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_service(&mut self, request: ServiceRequest) -> Result<(), ServiceError> {
        let key = request.key;
        match &key.matcher {
            Some(matcher) => self.check_matcher(key, matcher)?,
            None if !is_host(key.addr) => return Err(ServiceError::NotUnicast(key.addr)),
            None => {}
        }
        if self.services.contains(&key) {
            return Err(ServiceError::Exists(key));
        }
        request.validate()?;
        let id = self
            .service_ids
            .take()
            .map(ServiceId)
            .ok_or(ServiceError::TooManyServices)?;
        let entry = ServiceEntry {
            id,
            request,
            dests: Ordered::default(),
            laddrs: Vec::new(),
            access: Access::default(),
            removed: Counts::default(),
            compiled: None,
        };
        self.services.insert(key, Arc::new(entry));
        self.dirty.services.insert(key);
        Ok(())
    }

    fn check_matcher(&self, service: ServiceKey, matcher: &Match) -> Result<(), ServiceError> {
        if matcher.src.is_none() && matcher.dst.is_none() {
            return Err(ServiceError::MatchesAll(service));
        }
        for name in [matcher.iif, matcher.oif].into_iter().flatten() {
            if self.device(name.as_str()).is_err() {
                let device = name.as_str().to_owned();
                return Err(ServiceError::NoDevice { service, device });
            }
        }
        Ok(())
    }

    /// Takes the WAN address of a SNAT dest into use by one more service.
    fn take_wan_address(&mut self, addr: IpAddr) -> Result<Laddr, ServiceError> {
        let ifindex = self
            .address(addr)
            .filter(|address| address.sapool)
            .map(|address| address.ifindex);
        match (ifindex, self.laddrs.get_mut(&addr)) {
            (Some(ifindex), Some(entry)) => {
                entry.services += 1;
                let id = entry.id;
                Ok(Laddr { id, addr, ifindex })
            }
            _ => Err(ServiceError::NoWanAddress(addr)),
        }
    }

    /// Changes a service's scheduler and options.
    ///
    /// # Errors
    /// If there is none with this key, or it or its dests cannot do it.
    pub fn edit_service(&mut self, request: ServiceRequest) -> Result<(), ServiceError> {
        request.validate()?;
        let before = self.service(&request.key)?;
        for dest in before.dests.values() {
            dest.request.validate(&request)?;
        }
        let options = (&before.request.options, &request.options);
        let begins_to_expire = !options.0.expires_quiescent && options.1.expires_quiescent;
        let is_quiescent = |dest: &&DestEntry| begins_to_expire && dest.request.weight == 0;
        let quiescent = before.dests.values().filter(is_quiescent);
        let ends: Vec<_> = quiescent.map(|dest| Effect::EndConns(dest.id)).collect();
        self.effects.extend(ends);
        self.service_mut(&request.key)?.request = request;
        Ok(())
    }

    /// Removes a service with its dests, whose conns end.
    ///
    /// # Errors
    ///
    /// If there is none with this key.
    pub fn del_service(&mut self, key: &ServiceKey) -> Result<(), ServiceError> {
        let service = self
            .services
            .remove(key)
            .ok_or(ServiceError::Missing(*key))?;
        self.dirty.services.insert(*key);
        let dests = service.dests.values();
        self.effects
            .extend(dests.map(|dest| Effect::CloseDest(dest.id)));
        for laddr in &service.laddrs {
            self.release_laddr(laddr.addr);
        }
        self.service_ids.give_back(service.id.0);
        Ok(())
    }

    /// Removes all services.
    pub fn flush_services(&mut self) {
        let keys: Vec<ServiceKey> = self.services.keys().copied().collect();
        for key in keys {
            // The key was there a moment ago.
            let _ = self.del_service(&key);
        }
    }

    /// Adds a dest. `zero` is what the counters of its id show now, from an earlier dest.
    ///
    /// # Errors
    ///
    /// If it is refused; nothing has changed then.
    pub fn add_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
        zero: impl FnOnce(DestId) -> Counts,
    ) -> Result<(), ServiceError> {
        let service = self.service(key)?;
        let (addr, port) = (request.addr, request.port);
        request.validate(&service.request)?;
        if service.dests.contains(&(addr, port)) {
            return Err(ServiceError::DestExists {
                service: *key,
                addr,
                port,
            });
        }
        let leads_out = |mode: FwdMode| mode == FwdMode::Snat;
        let is_other =
            |dest: &DestEntry| leads_out(dest.request.fwdmode) != leads_out(request.fwdmode);
        if service.dests.values().any(is_other) {
            return Err(ServiceError::ModeOfMatch {
                service: *key,
                addr,
                fwdmode: request.fwdmode.name(),
            });
        }
        if service.dests.len() >= usize::from(u16::MAX) {
            return Err(ServiceError::ServiceFull(*key));
        }
        let id = self
            .dest_ids
            .take()
            .map(DestId)
            .ok_or(ServiceError::TooManyDests(addr))?;
        let wan = match request.fwdmode {
            FwdMode::Snat => match self.take_wan_address(addr) {
                Ok(laddr) => Some(laddr),
                Err(error) => {
                    self.dest_ids.give_back(id.0);
                    return Err(error);
                }
            },
            _ => None,
        };
        let entry = DestEntry {
            id,
            request,
            zero: zero(id),
        };
        let service = self.service_mut(key)?;
        service.dests.insert((addr, port), entry);
        service.laddrs.extend(wan);
        self.drain(*key, (addr, port), request.drain_s);
        Ok(())
    }

    /// Changes a dest's weight, thresholds and fwdmode.
    ///
    /// # Errors
    /// If it is not there, or refused; nothing has changed then.
    pub fn edit_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
    ) -> Result<(), ServiceError> {
        let before = self.dest(key, request.addr, request.port)?;
        let service = &self.service(key)?.request;
        request.validate(service)?;
        // A WAN address has local ports, and a real server has none, so one cannot become the
        // other.
        let is_wan = |mode: FwdMode| mode == FwdMode::Snat;
        if is_wan(before.request.fwdmode) != is_wan(request.fwdmode) {
            return Err(ServiceError::ModeOfMatch {
                service: *key,
                addr: request.addr,
                fwdmode: request.fwdmode.name(),
            });
        }
        let becomes_quiescent = before.request.weight != 0 && request.weight == 0;
        if becomes_quiescent && service.options.expires_quiescent {
            let id = before.id;
            self.effects.push(Effect::EndConns(id));
        }
        let dests = &mut self.service_mut(key)?.dests;
        if let Some(dest) = dests.get_mut(&(request.addr, request.port)) {
            dest.request = request;
        }
        self.drain(*key, (request.addr, request.port), request.drain_s);
        Ok(())
    }

    /// Removes a dest; its conns end. `counts` is what it has counted.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn del_dest(
        &mut self,
        key: &ServiceKey,
        addr: IpAddr,
        port: u16,
        counts: impl FnOnce(&DestEntry) -> Counts,
    ) -> Result<(), ServiceError> {
        self.dest(key, addr, port)?;
        let service = self.service_mut(key)?;
        let Some(dest) = service.dests.remove(&(addr, port)) else {
            return Ok(());
        };
        service.removed = service.removed + counts(&dest);
        let is_wan = dest.request.fwdmode == FwdMode::Snat;
        if is_wan {
            service.laddrs.retain(|laddr| laddr.addr != addr);
        }
        self.effects.push(Effect::CloseDest(dest.id));
        if is_wan {
            self.release_laddr(addr);
        }
        Ok(())
    }

    /// Clears the counters of one service, or of all.
    ///
    /// # Errors
    ///
    /// If there is no such service.
    pub fn zero_counters(
        &mut self,
        key: Option<&ServiceKey>,
        now: impl Fn(DestId) -> Counts,
    ) -> Result<(), ServiceError> {
        if let Some(key) = key {
            self.service(key)?;
        }
        let services = self.services.values_mut().map(Arc::make_mut);
        for service in services.filter(|service| key.is_none_or(|key| service.request.key == *key))
        {
            service.removed = Counts::default();
            for dest in service.dests.values_mut() {
                dest.zero = now(dest.id);
            }
        }
        Ok(())
    }

    /// Compiles all changed services for the workers, so that publishing them is a matter of
    /// pointers.
    pub(crate) fn compile(&mut self) {
        for key in &self.dirty.services {
            if let Some(service) = self.services.get_mut(key) {
                Arc::make_mut(service).compile();
            }
        }
    }

    fn dest(&self, key: &ServiceKey, addr: IpAddr, port: u16) -> Result<&DestEntry, ServiceError> {
        self.service(key)?
            .dests
            .get(&(addr, port))
            .ok_or(ServiceError::DestMissing {
                service: *key,
                addr,
                port,
            })
    }
}

impl ServiceEntry {
    /// What workers get of the service. Compiled at the first call after a change.
    pub(crate) fn compile(&mut self) -> Arc<Service> {
        let (request, dests, laddrs) = (&self.request, &self.dests, &self.laddrs);
        let make = || {
            let dests: Vec<Dest> = dests.values().map(DestEntry::compile).collect();
            Arc::new(Service {
                id: self.id,
                key: request.key,
                scheduler: request.scheduler,
                plan: Plan::new(request.scheduler, &dests),
                dests,
                laddrs: laddrs.clone(),
                options: request.options,
                access: self.access.clone(),
            })
        };
        Arc::clone(self.compiled.get_or_insert_with(make))
    }

    pub(in crate::desired) const fn access_list(
        &mut self,
        list: AccessList,
    ) -> &mut Option<AddrSet> {
        match list {
            AccessList::Deny => &mut self.access.deny,
            AccessList::Allow => &mut self.access.allow,
        }
    }

    /// The sum of its counters, with those of removed dests. `now` reads the counters of a dest.
    pub(crate) fn counts(&self, now: impl Fn(DestId) -> Counts) -> Counts {
        let dests = self.dests.values().map(|dest| now(dest.id) - dest.zero);
        dests.fold(self.removed, |sum, counts| sum + counts)
    }
}

impl DestEntry {
    const fn compile(&self) -> Dest {
        let request = &self.request;
        Dest {
            id: self.id,
            addr: request.addr,
            port: request.port,
            weight: request.weight,
            fwdmode: request.fwdmode,
            upper_threshold: request.upper_threshold,
            lower_threshold: request.lower_threshold,
        }
    }
}
