//! Services: `ipvsadm-rs -A -E -D`.

use std::net::IpAddr;
use std::sync::Arc;

use ipvs_core::{
    Access, AddrSet, Dest, DestId, Match, Plan, SchedulerKind, Service, ServiceId, ServiceKey,
    ServiceOptions,
};

use super::leaving::Leaving;
use super::{AccessList, DestEntry, LaddrUse, LeavingUse, ServiceError};
use crate::desired::net::is_host;
use crate::desired::{Desired, Ordered};
use crate::telemetry::{Counts, Rates};

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

/// A service with its dests and local addresses.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// Its number at the workers
    pub id: ServiceId,
    /// What was asked for
    pub request: ServiceRequest,
    /// By address and port, in the order they were added
    pub dests: Ordered<(IpAddr, u16), DestEntry>,
    /// Removed dests that may still have conns
    pub(crate) leaving: Vec<Leaving>,
    /// In the order they were added
    pub laddrs: Vec<LaddrUse>,
    /// The WAN addresses of its SNAT dests, in the order they were added
    pub(crate) wans: Vec<LaddrUse>,
    /// Removed local and WAN addresses that conns may still use
    pub(crate) leaving_uses: Vec<LeavingUse>,
    /// Deny and allow lists
    pub(crate) access: Access,
    /// What removed dests had counted, less what -Z has cleared
    pub(crate) removed: Counts,
    /// What workers get of it, if it was compiled since the last change
    compiled: Option<Arc<Service>>,
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

    /// A service, to be changed in what workers get nothing of.
    pub(super) fn service_mut_unpublished(
        &mut self,
        key: &ServiceKey,
    ) -> Result<&mut ServiceEntry, ServiceError> {
        let service = self.services.get_mut(key);
        service
            .map(Arc::make_mut)
            .ok_or(ServiceError::Missing(*key))
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
        let (id, leaving, leaving_uses) = self
            .take_service_id(&key)
            .ok_or(ServiceError::TooManyServices)?;
        let entry = ServiceEntry {
            id,
            request,
            dests: Ordered::default(),
            leaving,
            laddrs: Vec::new(),
            wans: Vec::new(),
            leaving_uses,
            access: Access::default(),
            removed: Counts::default(),
            compiled: None,
        };
        self.services.insert(key, Arc::new(entry));
        self.dirty.services.insert(key);
        Ok(())
    }

    fn check_matcher(&self, service: ServiceKey, matcher: &Match) -> Result<(), ServiceError> {
        for name in [matcher.iif, matcher.oif].into_iter().flatten() {
            if self.device(name.as_str()).is_err() {
                let device = name.as_str().to_owned();
                return Err(ServiceError::NoDevice { service, device });
            }
        }
        Ok(())
    }

    /// Changes a service's scheduler and options.
    ///
    /// # Errors
    /// If there is none with this key, or it or its dests cannot do it.
    pub(crate) fn edit_service(
        &mut self,
        request: ServiceRequest,
        rates: &Rates,
    ) -> Result<(), ServiceError> {
        request.validate()?;
        let before = self.service(&request.key)?;
        for dest in before.dests.values() {
            dest.request.validate(&request)?;
        }
        let options = (&before.request.options, &request.options);
        let begins_to_expire = !options.0.expires_quiescent && options.1.expires_quiescent;
        let has_new_timeout = options.0.conn_timeout_s != options.1.conn_timeout_s;
        let is_quiescent = |dest: &&DestEntry| begins_to_expire && dest.request.weight == 0;
        let quiescent = before.dests.values().filter(is_quiescent);
        let quiescent: Vec<_> = quiescent.map(DestEntry::end).collect();
        self.service_mut(&request.key)?.request = request;
        self.dirty.conns |= has_new_timeout;
        for dest in quiescent {
            self.end_conns(&request.key, dest, rates);
        }
        Ok(())
    }

    /// Removes a service with its dests. Their conns go on until they end, except with
    /// `expire-quiescent`.
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
        for laddr in &service.laddrs {
            self.release_laddr(laddr.addr(), *key);
        }
        for wan in &service.wans {
            self.release_wan(wan.addr(), *key);
        }
        let service = Arc::unwrap_or_clone(service);
        let mut uses = service.leaving_uses;
        for laddr_use in service.laddrs.into_iter().chain(service.wans) {
            uses.push(self.end_use(*key, laddr_use));
        }
        let ends_conns = service.request.options.expires_quiescent;
        let mut leaving = service.leaving;
        for dest in service.dests.values() {
            self.dest_addrs.remove(dest);
            leaving.push(self.leave(*key, dest.clone(), ends_conns));
        }
        self.keep_service_id(*key, service.id, leaving, uses);
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
                dest.clear(now(dest.id));
            }
            for leaving in &mut service.leaving {
                leaving.dest.clear(now(leaving.dest.id));
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
}

impl ServiceEntry {
    /// What workers get of the service. Compiled at the first call after a change.
    pub(crate) fn compile(&mut self) -> Arc<Service> {
        let (request, dests, laddrs) = (&self.request, &self.dests, &self.laddrs);
        let make = || {
            let dests: Vec<Dest> = dests.values().map(DestEntry::compile).collect();
            let goes_on = |leaving: &&Leaving| request.key.is_ftp() && !leaving.is_ending;
            let leaving = self.leaving.iter().filter(goes_on);
            Arc::new(Service {
                id: self.id,
                key: request.key,
                scheduler: request.scheduler,
                plan: Plan::new(request.scheduler, &dests),
                dests,
                leaving: leaving.map(|leaving| leaving.dest.compile()).collect(),
                laddrs: laddrs.iter().chain(&self.wans).map(|of| of.laddr).collect(),
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
        let leaving = self.leaving.iter().map(|leaving| &leaving.dest);
        let dests = self.dests.values().chain(leaving);
        let counts = dests.map(|dest| dest.counts(now(dest.id)));
        counts.fold(self.removed, |sum, counts| sum + counts)
    }
}
