//! The local addresses of a service, each with what its conns count there.
//!
//! The counters of an address that was taken from its service stay in use until no worker has a
//! conn that is counted there. An address that is added again meanwhile gets them back.

use std::net::IpAddr;

use ipvs_core::{Laddr, LaddrUseId, ServiceKey};

use crate::desired::{Desired, Effect, LaddrEntry};
use crate::telemetry::Rates;

/// A local address of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaddrUse {
    /// What workers get of it
    pub laddr: Laddr,
    /// Conflicts that its counters had before
    zero: u64,
}

impl LaddrUse {
    /// The address.
    pub(crate) const fn addr(&self) -> IpAddr {
        self.laddr.addr
    }

    /// How often no port was free. `now` is what its counters say.
    pub(crate) const fn conflicts(&self, now: u64) -> u64 {
        now.wrapping_sub(self.zero)
    }
}

/// A local address that was taken from its service, and that conns of the service may still use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeavingUse {
    pub(crate) laddr_use: LaddrUse,
    /// The number of its removal
    removal: u64,
}

/// The removal of a local address from a service. It is over when no conn is counted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaddrRemoval {
    service: ServiceKey,
    /// Where its conns are counted
    pub(crate) use_id: LaddrUseId,
    number: u64,
}

impl Desired {
    /// A service uses an address from now on. `None` if there are no more counters.
    pub(super) fn begin_use(
        &mut self,
        service: &ServiceKey,
        addr: IpAddr,
        entry: &LaddrEntry,
        rates: &Rates,
    ) -> Option<LaddrUse> {
        let (use_id, zero) = match self.use_before(service, addr) {
            Some(before) => (before.laddr.use_id, before.zero),
            None => {
                let id = self.laddr_use_ids.take().map(LaddrUseId)?;
                (id, rates.laddr_conflicts(id))
            }
        };
        let laddr = Laddr {
            id: entry.id,
            use_id,
            addr,
            ifindex: entry.ifindex,
        };
        Some(LaddrUse { laddr, zero })
    }

    /// The address was one of the service, and has conns from that time.
    fn use_before(&mut self, service: &ServiceKey, addr: IpAddr) -> Option<LaddrUse> {
        let leaving = &mut self.service_mut(service).ok()?.leaving_uses;
        let is_it = |leaving: &LeavingUse| leaving.laddr_use.addr() == addr;
        let at = leaving.iter().position(is_it)?;
        Some(leaving.swap_remove(at).laddr_use)
    }

    /// A service does not use an address any more. The caller keeps the result with the service.
    pub(super) fn end_use(&mut self, service: ServiceKey, laddr_use: LaddrUse) -> LeavingUse {
        self.removals += 1;
        let number = self.removals;
        self.effects.push(Effect::LeaveUse(LaddrRemoval {
            service,
            use_id: laddr_use.laddr.use_id,
            number,
        }));
        LeavingUse {
            laddr_use,
            removal: number,
        }
    }

    /// Forgets a removed local address of a service that no conn is counted at.
    pub(crate) fn forget_use(&mut self, removal: &LaddrRemoval) {
        let Some(leaving) = self.leaving_uses_mut(&removal.service) else {
            return;
        };
        let is_it = |leaving: &LeavingUse| leaving.removal == removal.number;
        if let Some(at) = leaving.iter().position(is_it) {
            leaving.swap_remove(at);
            self.laddr_use_ids.give_back(removal.use_id.0);
        }
    }
}
