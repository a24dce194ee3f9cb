//! Services and their dests: `ipvsadm-rs -A -E -D -a -e -d`.

use std::net::IpAddr;
use std::sync::Arc;

use ipvs_core::{
    Dest, DestId, FwdMode, Laddr, SchedulerKind, Service, ServiceId, ServiceKey, sched,
};

use super::{Desired, Effect};
use crate::counters::{Baseline, Counts};

/// A service as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRequest {
    /// VIP, vport, protocol
    pub key: ServiceKey,
    /// Its scheduler
    pub scheduler: SchedulerKind,
    /// Instead of the protocol's timeout
    pub conn_timeout_s: Option<u32>,
}

/// A dest as it was asked for.
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
    /// Kept for show and save
    pub lower_threshold: u32,
}

/// A service with its dests and local addresses.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// Its number at the workers
    pub id: ServiceId,
    /// When it was made, relative to others
    pub seq: u64,
    /// What was asked for
    pub request: ServiceRequest,
    /// In the order they were added
    pub dests: Vec<DestEntry>,
    /// In the order they were added
    pub laddrs: Vec<Laddr>,
    /// What dests that are gone had counted, less what -Z took
    pub(crate) removed: Counts,
}

/// A dest of a service.
#[derive(Debug, Clone)]
pub struct DestEntry {
    /// Its number at the workers
    pub id: DestId,
    /// What was asked for
    pub request: DestRequest,
    /// Where its counters began
    pub(crate) baseline: Baseline,
}

/// Why a service or dest was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// It is there
    #[error("service {0} exists: change it with -E, or delete it first with -D")]
    Exists(ServiceKey),
    /// It is not there
    #[error("no service {0}: add it first with -A (`ipvsadm-rs -ln` lists them)")]
    Missing(ServiceKey),
    /// Any port needs persistence
    #[error(
        "service {0}: port 0 (any port) needs persistence, which is not supported yet: name a port"
    )]
    PortZero(ServiceKey),
    /// Later
    #[error("{0}: IPv6 is not supported yet")]
    Ipv6(IpAddr),
    /// The dest is there
    #[error("{addr}:{port} is already a dest of service {service}: change it with -e")]
    DestExists {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// The dest is not there
    #[error("{addr}:{port} is no dest of service {service}: add it with -a")]
    DestMissing {
        /// The service
        service: ServiceKey,
        /// RIP
        addr: IpAddr,
        /// rport
        port: u16,
    },
    /// Nobody listens at port 0
    #[error("dest {0}: port 0 is no port a real server can listen on: give one, as in -r {0}:80")]
    DestPortZero(IpAddr),
    /// The addresses are used up
    #[error(
        "the dest {0} would be one too many: raise [conns] max_dests in the configuration file"
    )]
    TooManyDests(IpAddr),
    /// The numbers are used up
    #[error("too many services: at most 1048576")]
    TooManyServices,
    /// rr and wrr count dests in 16 bits
    #[error("service {0} has 65535 dests already")]
    ServiceFull(ServiceKey),
}

impl Desired {
    /// A service.
    ///
    /// # Errors
    /// If there is none with this key.
    pub fn service(&self, key: &ServiceKey) -> Result<&ServiceEntry, ServiceError> {
        self.services.get(key).ok_or(ServiceError::Missing(*key))
    }

    /// A service, to be changed: it counts as changed from here on.
    pub(super) fn service_mut(
        &mut self,
        key: &ServiceKey,
    ) -> Result<&mut ServiceEntry, ServiceError> {
        let service = self
            .services
            .get_mut(key)
            .ok_or(ServiceError::Missing(*key))?;
        self.dirty.services.insert(*key);
        Ok(service)
    }

    /// Adds a service.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_service(&mut self, request: ServiceRequest) -> Result<(), ServiceError> {
        let key = request.key;
        if key.addr.is_ipv6() {
            return Err(ServiceError::Ipv6(key.addr));
        }
        if key.port == 0 {
            return Err(ServiceError::PortZero(key));
        }
        if self.services.contains_key(&key) {
            return Err(ServiceError::Exists(key));
        }
        let id = self
            .service_ids
            .take()
            .map(ServiceId)
            .ok_or(ServiceError::TooManyServices)?;
        let seq = self.next_seq;
        self.next_seq += 1;
        let entry = ServiceEntry {
            id,
            seq,
            request,
            dests: Vec::new(),
            laddrs: Vec::new(),
            removed: Counts::default(),
        };
        self.services.insert(key, entry);
        self.dirty.services.insert(key);
        Ok(())
    }

    /// Changes a service's scheduler and timeout.
    ///
    /// # Errors
    /// If there is none with this key.
    pub fn edit_service(&mut self, request: ServiceRequest) -> Result<(), ServiceError> {
        self.service_mut(&request.key)?.request = request;
        Ok(())
    }

    /// Takes a service away, with its dests, whose conns end.
    ///
    /// # Errors
    /// If there is none with this key.
    pub fn del_service(&mut self, key: &ServiceKey) -> Result<(), ServiceError> {
        let service = self
            .services
            .remove(key)
            .ok_or(ServiceError::Missing(*key))?;
        self.dirty.services.insert(*key);
        self.effects
            .extend(service.dests.iter().map(|dest| Effect::CloseDest(dest.id)));
        for laddr in service.laddrs {
            self.release_laddr(laddr.addr);
        }
        self.service_ids.give_back(service.id.0);
        Ok(())
    }

    /// Takes all services away.
    pub fn flush_services(&mut self) {
        let keys: Vec<ServiceKey> = self.services.keys().copied().collect();
        for key in keys {
            // Each was there a moment ago.
            let _ = self.del_service(&key);
        }
    }

    /// Adds a dest. Its counters begin at what `baseline` says of a number used before.
    ///
    /// # Errors
    /// If it is refused; nothing has changed then.
    pub fn add_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
        baseline: impl FnOnce(DestId) -> Baseline,
    ) -> Result<(), ServiceError> {
        let service = self.service(key)?;
        let (addr, port) = (request.addr, request.port);
        if addr.is_ipv6() {
            return Err(ServiceError::Ipv6(addr));
        }
        if port == 0 {
            return Err(ServiceError::DestPortZero(addr));
        }
        if service.find(addr, port).is_some() {
            return Err(ServiceError::DestExists {
                service: *key,
                addr,
                port,
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
        let entry = DestEntry {
            id,
            request,
            baseline: baseline(id),
        };
        self.service_mut(key)?.dests.push(entry);
        Ok(())
    }

    /// Changes a dest's weight, thresholds and fwdmode.
    ///
    /// # Errors
    /// If it is not there.
    pub fn edit_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
    ) -> Result<(), ServiceError> {
        let at = self.position(key, request.addr, request.port)?;
        self.service_mut(key)?.dests[at].request = request;
        Ok(())
    }

    /// Takes a dest away; its conns end. `counts` is what it had counted.
    ///
    /// # Errors
    /// If it is not there.
    pub fn del_dest(
        &mut self,
        key: &ServiceKey,
        addr: IpAddr,
        port: u16,
        counts: impl FnOnce(&DestEntry) -> Counts,
    ) -> Result<(), ServiceError> {
        let at = self.position(key, addr, port)?;
        let service = self.service_mut(key)?;
        let dest = service.dests.remove(at);
        service.removed = service.removed + counts(&dest);
        self.effects.push(Effect::CloseDest(dest.id));
        Ok(())
    }

    fn position(&self, key: &ServiceKey, addr: IpAddr, port: u16) -> Result<usize, ServiceError> {
        self.service(key)?
            .find(addr, port)
            .ok_or(ServiceError::DestMissing {
                service: *key,
                addr,
                port,
            })
    }
}

impl ServiceEntry {
    fn find(&self, addr: IpAddr, port: u16) -> Option<usize> {
        self.dests
            .iter()
            .position(|dest| dest.request.port == port && dest.request.addr == addr)
    }

    /// What workers read of it.
    pub(crate) fn compile(&self) -> Arc<Service> {
        let dests: Vec<Dest> = self.dests.iter().map(DestEntry::compile).collect();
        Arc::new(Service {
            id: self.id,
            key: self.request.key,
            scheduler: self.request.scheduler,
            rotation: sched::rotation(self.request.scheduler, &dests),
            dests,
            laddrs: self.laddrs.clone(),
            conn_timeout_s: self.request.conn_timeout_s,
        })
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
