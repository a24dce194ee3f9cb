//! The dests of a service: `ipvsadm-rs -a -e -d`.

use std::net::IpAddr;

use inet::Prefix;
use ipvs_core::{Dest, DestId, FwdMode, ServiceKey};

use super::service_error::mode_name;
use super::{LaddrUse, ServiceError};
use crate::desired::net::Address;
use crate::desired::{Desired, Effect};
use crate::telemetry::{Counts, Rates};

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
    /// In tunnel mode: the prefix of the outer source addresses
    pub tunnel_spread: Option<Prefix>,
    /// With weight 0: conns that are left after so many seconds end
    pub drain_s: Option<u32>,
}

/// A dest of a service.
#[derive(Debug, Clone)]
pub struct DestEntry {
    /// Its number at the workers
    pub id: DestId,
    /// What was asked for
    pub request: DestRequest,
    /// Counts of its number that are not shown: from before -Z, or of an earlier dest
    zero: Counts,
    /// What it had counted under an earlier number
    before: Counts,
}

impl DestEntry {
    /// A dest under a number that is not in use.
    fn new(id: DestId, request: DestRequest, rates: &Rates) -> Self {
        Self {
            id,
            request,
            zero: rates.begin(id),
            before: Counts::default(),
        }
    }

    /// Address and port.
    pub(crate) const fn end(&self) -> (IpAddr, u16) {
        (self.request.addr, self.request.port)
    }

    /// What it has counted. `now` is what its number counts.
    pub(crate) fn counts(&self, now: Counts) -> Counts {
        self.before + (now - self.zero)
    }

    /// Counts from zero again. `now` is what its number counts.
    pub(super) fn clear(&mut self, now: Counts) {
        (self.zero, self.before) = (now, Counts::default());
    }

    pub(super) const fn compile(&self) -> Dest {
        let request = &self.request;
        Dest {
            id: self.id,
            addr: request.addr,
            port: request.port,
            weight: request.weight,
            fwdmode: request.fwdmode,
            upper_threshold: request.upper_threshold,
            lower_threshold: request.lower_threshold,
            tunnel_spread: request.tunnel_spread,
        }
    }
}

impl Desired {
    /// Adds a dest. One that was removed and still has conns takes them up again.
    ///
    /// # Errors
    ///
    /// If it is refused; nothing has changed then.
    pub(crate) fn add_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
        rates: &Rates,
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
                fwdmode: mode_name(request.fwdmode),
            });
        }
        if service.dests.len() >= usize::from(u16::MAX) {
            return Err(ServiceError::ServiceFull(*key));
        }
        let wan = match request.fwdmode {
            FwdMode::Snat => Some(self.take_wan_address(key, addr, rates)?),
            _ => {
                self.refuse_own_address(key, addr)?;
                None
            }
        };
        let Some(entry) = self.entry_for(key, request, rates) else {
            if let Some(wan) = wan {
                self.leave_wan(key, wan)?;
            }
            return Err(ServiceError::TooManyDests(addr));
        };
        self.dest_addrs.add(&entry);
        let service = self.service_mut(key)?;
        service.dests.insert((addr, port), entry);
        service.wans.extend(wan);
        self.drain(*key, (addr, port), request.drain_s);
        Ok(())
    }

    /// Packets for a dest that is the director itself would come back to it.
    fn refuse_own_address(&self, key: &ServiceKey, addr: IpAddr) -> Result<(), ServiceError> {
        let own = self.address(addr).cloned();
        match own.or_else(|| self.link_local(addr)) {
            Some(Address {
                ifindex,
                prefix_len,
                ..
            }) => Err(ServiceError::DestIsOurs {
                service: *key,
                addr,
                prefix_len,
                device: self.device_name(ifindex).to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The entry of a new dest: the one it had before it was removed, or one under a new number.
    /// `None` if no number is left.
    fn entry_for(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
        rates: &Rates,
    ) -> Option<DestEntry> {
        if let Some(before) = self.come_back(key, (request.addr, request.port)) {
            return Some(DestEntry { request, ..before });
        }
        let id = self.dest_ids.take().map(DestId)?;
        Some(DestEntry::new(id, request, rates))
    }

    /// Takes the WAN address of a SNAT dest into use by one more dest.
    fn take_wan_address(
        &mut self,
        service: &ServiceKey,
        addr: IpAddr,
        rates: &Rates,
    ) -> Result<LaddrUse, ServiceError> {
        let is_shared = self.address(addr).is_some_and(|address| address.sapool);
        let stays = self.stay(addr).is_ok();
        let entry = self.laddrs.get_mut(&addr);
        let Some(entry) = entry.filter(|_| is_shared && stays) else {
            return Err(ServiceError::NoWanAddress(addr));
        };
        entry.wans += 1;
        let entry = *entry;
        let laddr_use = self.begin_use(service, addr, &entry, rates);
        laddr_use.ok_or_else(|| {
            self.release_wan(addr, *service);
            ServiceError::TooManyDests(addr)
        })
    }

    /// A SNAT dest does not use its WAN address any more. The address stays: `dpip` made it.
    pub(super) fn release_wan(&mut self, addr: IpAddr, service: ServiceKey) {
        if let Some(entry) = self.laddrs.get_mut(&addr) {
            entry.wans = entry.wans.saturating_sub(1);
        }
        self.leave_if_unused(addr, service);
    }

    /// Changes a dest's weight, thresholds and fwdmode.
    ///
    /// # Errors
    /// If it is not there, or refused; nothing has changed then.
    pub(crate) fn edit_dest(
        &mut self,
        key: &ServiceKey,
        request: DestRequest,
        rates: &Rates,
    ) -> Result<(), ServiceError> {
        let end = (request.addr, request.port);
        let before = self.dest(key, end)?;
        let service = &self.service(key)?.request;
        request.validate(service)?;
        // A WAN address has local ports, and a real server has none, so one cannot become the
        // other.
        let is_wan = |mode: FwdMode| mode == FwdMode::Snat;
        if is_wan(before.request.fwdmode) != is_wan(request.fwdmode) {
            return Err(ServiceError::ModeOfMatch {
                service: *key,
                addr: request.addr,
                fwdmode: mode_name(request.fwdmode),
            });
        }
        // A drain goes on when something else is edited.
        let is_same_drain = before.request.weight == 0
            && request.drain_s == before.request.drain_s
            && request.drain_s.is_some() == self.is_draining(key, end);
        let becomes_quiescent = before.request.weight != 0 && request.weight == 0;
        let loses_conns = becomes_quiescent && service.options.expires_quiescent;
        if let Some(dest) = self.service_mut(key)?.dests.get_mut(&end) {
            dest.request = request;
        }
        if loses_conns {
            self.end_conns(key, end, rates);
        }
        if !is_same_drain {
            self.drain(*key, end, request.drain_s);
        }
        Ok(())
    }

    /// Removes a dest. It gets no new conns, and those it has go on until they end, or for
    /// `drain_s` seconds. With `expire-quiescent` they end at once.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn del_dest(
        &mut self,
        key: &ServiceKey,
        end: (IpAddr, u16),
        drain_s: Option<u32>,
    ) -> Result<(), ServiceError> {
        self.dest(key, end)?;
        let service = self.service_mut(key)?;
        let ends_conns = service.request.options.expires_quiescent;
        let Some(dest) = service.dests.remove(&end) else {
            return Ok(());
        };
        self.dest_addrs.remove(&dest);
        let leaving = self.leave(*key, dest, ends_conns);
        self.service_mut(key)?.leaving.push(leaving);
        if drain_s.is_some() {
            self.drain(*key, end, drain_s);
        }
        let wans = &mut self.service_mut(key)?.wans;
        if let Some(at) = wans.iter().position(|wan| wan.addr() == end.0) {
            let wan = wans.remove(at);
            self.leave_wan(key, wan)?;
        }
        Ok(())
    }

    /// The WAN address of a SNAT dest is no longer used by its service.
    fn leave_wan(&mut self, key: &ServiceKey, wan: LaddrUse) -> Result<(), ServiceError> {
        let leaving = self.end_use(*key, wan);
        self.service_mut(key)?.leaving_uses.push(leaving);
        self.release_wan(wan.addr(), *key);
        Ok(())
    }

    /// Ends the conns that a dest has, which itself stays. It goes on under another number, so that
    /// the conns it gets from now on are told from those that end.
    pub(super) fn end_conns(&mut self, key: &ServiceKey, end: (IpAddr, u16), rates: &Rates) {
        let Ok(dest) = self.dest(key, end).cloned() else {
            return;
        };
        let Some(id) = self.dest_ids.take().map(DestId) else {
            self.effects.push(Effect::EndConns(dest.id));
            return;
        };
        let now = rates.counts(dest.id);
        let successor = DestEntry {
            before: dest.counts(now),
            ..DestEntry::new(id, dest.request, rates)
        };
        let mut old = dest;
        old.clear(now);
        let leaving = self.leave(*key, old, true);
        if let Ok(service) = self.service_mut(key) {
            service.dests.insert(end, successor);
            service.leaving.push(leaving);
        }
    }

    /// A dest by address and port.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn dest(
        &self,
        key: &ServiceKey,
        end: (IpAddr, u16),
    ) -> Result<&DestEntry, ServiceError> {
        let found = self.service(key)?.dests.get(&end);
        found.ok_or(ServiceError::DestMissing {
            service: *key,
            addr: end.0,
            port: end.1,
        })
    }
}
