//! Dests that were removed while they had conns.
//!
//! Their numbers stay in use until no worker has anything left of them. A dest that is added again
//! meanwhile gets its number back, and its conns with it, as in DPVS and LVS.

use std::net::IpAddr;

use ipvs_core::{DestId, ServiceId, ServiceKey};

use super::{DestEntry, LeavingUse};
use crate::desired::{Desired, Effect};
use crate::telemetry::Counts;

/// A dest that gets no new conns, and may still have some.
#[derive(Debug, Clone)]
pub(crate) struct Leaving {
    pub(crate) dest: DestEntry,
    /// The number of its removal. A dest may be removed, come back, and be removed again.
    removal: u64,
    /// Its conns were told to end, so it cannot come back under this number.
    pub(crate) is_ending: bool,
}

/// A removed service whose dests may still have conns.
#[derive(Debug, Clone)]
pub(crate) struct RemovedService {
    id: ServiceId,
    pub(crate) leaving: Vec<Leaving>,
    /// Its local addresses, which the conns of its dests may still use
    pub(crate) uses: Vec<LeavingUse>,
}

/// The removal of a dest. It is over when no worker has anything left of the dest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    service: ServiceKey,
    /// Its number at the workers
    pub(crate) dest: DestId,
    number: u64,
}

impl Desired {
    /// Lets a dest leave that is no longer among those of its service. The caller keeps the result
    /// with the service.
    pub(super) fn leave(
        &mut self,
        service: ServiceKey,
        dest: DestEntry,
        is_ending: bool,
    ) -> Leaving {
        self.removals += 1;
        let removal = Removal {
            service,
            dest: dest.id,
            number: self.removals,
        };
        if is_ending {
            self.effects.push(Effect::EndConns(dest.id));
        }
        self.effects.push(Effect::Leave(removal));
        Leaving {
            dest,
            removal: removal.number,
            is_ending,
        }
    }

    /// The dest of this address and port that is leaving, to be added again with its conns.
    pub(super) fn come_back(&mut self, key: &ServiceKey, end: (IpAddr, u16)) -> Option<DestEntry> {
        let leaving = &mut self.service_mut(key).ok()?.leaving;
        let at = leaving.iter().position(|leaving| leaving.is(end))?;
        Some(leaving.swap_remove(at).dest)
    }

    /// Ends the conns that a removed dest still has.
    pub(super) fn end_conns_of_removed(&mut self, key: &ServiceKey, end: (IpAddr, u16)) {
        let Some(leaving) = self.leaving_mut(key) else {
            return;
        };
        if let Some(leaving) = leaving.iter_mut().find(|leaving| leaving.is(end)) {
            leaving.is_ending = true;
            let id = leaving.dest.id;
            self.effects.push(Effect::EndConns(id));
        }
    }

    /// Keeps the numbers of a removed service, and of its local addresses, until the conns of its
    /// dests have ended.
    pub(super) fn keep_service_id(
        &mut self,
        key: ServiceKey,
        id: ServiceId,
        leaving: Vec<Leaving>,
        uses: Vec<LeavingUse>,
    ) {
        let removed = RemovedService { id, leaving, uses };
        if removed.leaving.is_empty() {
            self.give_back_ids(&removed);
        } else {
            self.removed_services.insert(key, removed);
        }
    }

    /// Gives back the numbers of a removed service without conns.
    fn give_back_ids(&mut self, removed: &RemovedService) {
        self.service_ids.give_back(removed.id.0);
        for leaving in &removed.uses {
            let id = leaving.laddr_use.laddr.use_id;
            self.laddr_use_ids.give_back(id.0);
        }
    }

    /// The number of a new service, and the dests and the local addresses of an earlier one of this
    /// key that still have conns. `None` if no number is left.
    pub(super) fn take_service_id(
        &mut self,
        key: &ServiceKey,
    ) -> Option<(ServiceId, Vec<Leaving>, Vec<LeavingUse>)> {
        if let Some(removed) = self.removed_services.remove(key) {
            return Some((removed.id, removed.leaving, removed.uses));
        }
        let id = self.service_ids.take().map(ServiceId)?;
        Some((id, Vec::new(), Vec::new()))
    }

    /// Forgets a removed dest that no worker has anything left of. `now` is what it has counted.
    pub(crate) fn forget_dest(&mut self, removal: &Removal, now: Counts) {
        let key = &removal.service;
        let is_it = |leaving: &Leaving| leaving.removal == removal.number;
        let Some(leaving) = self.leaving_mut(key) else {
            return;
        };
        let Some(at) = leaving.iter().position(is_it) else {
            return;
        };
        let gone = leaving.swap_remove(at);
        let is_last = leaving.is_empty();
        self.dest_ids.give_back(removal.dest.0);
        // A worker knows the leaving dests of FTP services.
        let service = if key.is_ftp() {
            self.service_mut(key)
        } else {
            self.service_mut_unpublished(key)
        };
        if let Ok(service) = service {
            service.removed = service.removed + gone.dest.counts(now);
        } else if is_last && let Some(removed) = self.removed_services.remove(key) {
            self.give_back_ids(&removed);
        }
    }

    /// The dests that leave a service, which may be removed itself.
    fn leaving_mut(&mut self, key: &ServiceKey) -> Option<&mut Vec<Leaving>> {
        if self.services.contains(key) {
            return Some(&mut self.service_mut_unpublished(key).ok()?.leaving);
        }
        let removed = self.removed_services.get_mut(key)?;
        Some(&mut removed.leaving)
    }

    /// The local addresses that leave a service, which may be removed itself.
    pub(super) fn leaving_uses_mut(&mut self, key: &ServiceKey) -> Option<&mut Vec<LeavingUse>> {
        if self.services.contains(key) {
            return Some(&mut self.service_mut_unpublished(key).ok()?.leaving_uses);
        }
        let removed = self.removed_services.get_mut(key)?;
        Some(&mut removed.uses)
    }
}

impl Leaving {
    /// Whether it has this address and port, and its conns go on.
    fn is(&self, end: (IpAddr, u16)) -> bool {
        !self.is_ending && self.dest.end() == end
    }
}
