//! Dests that drain: their conns end at a deadline.

use std::net::IpAddr;

use ipvs_core::ServiceKey;

use crate::desired::Desired;
use crate::telemetry::Rates;

/// A dest that drains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drain {
    service: ServiceKey,
    dest: (IpAddr, u16),
    within_s: u32,
    /// The deadline; `None` until the first tick has set it
    deadline_ms: Option<u64>,
}

impl Drain {
    fn is_of(&self, service: &ServiceKey, dest: (IpAddr, u16)) -> bool {
        self.service == *service && self.dest == dest
    }
}

impl Desired {
    /// Begins a drain, or ends one.
    pub(in crate::desired) fn drain(
        &mut self,
        service: ServiceKey,
        dest: (IpAddr, u16),
        within_s: Option<u32>,
    ) {
        self.drains.retain(|drain| !drain.is_of(&service, dest));
        self.drains.extend(within_s.map(|within_s| Drain {
            service,
            dest,
            within_s,
            deadline_ms: None,
        }));
    }

    /// Whether the conns of a dest end at a deadline.
    pub(super) fn is_draining(&self, service: &ServiceKey, dest: (IpAddr, u16)) -> bool {
        self.drains.iter().any(|drain| drain.is_of(service, dest))
    }

    /// Seconds until the conns of a draining dest end.
    pub(crate) fn drain_left_s(
        &self,
        service: &ServiceKey,
        dest: (IpAddr, u16),
        now_ms: u64,
    ) -> Option<u32> {
        let drain = self
            .drains
            .iter()
            .find(|drain| drain.is_of(service, dest))?;
        let left = drain.deadline_ms.map_or(drain.within_s, |deadline| {
            (deadline.saturating_sub(now_ms).div_ceil(1000)) as u32
        });
        Some(left)
    }

    /// Ends the conns of dests whose deadline has passed.
    pub(crate) fn end_drains(&mut self, now_ms: u64, rates: &Rates) {
        for drain in &mut self.drains {
            let allowed_ms = u64::from(drain.within_s) * 1000;
            drain.deadline_ms.get_or_insert(now_ms + allowed_ms);
        }
        let is_over = |drain: &Drain| drain.deadline_ms.is_some_and(|deadline| now_ms >= deadline);
        while let Some(at) = self.drains.iter().position(is_over) {
            let drain = self.drains.swap_remove(at);
            let (service, dest) = (&drain.service, drain.dest);
            if self
                .service(service)
                .is_ok_and(|service| service.dests.contains(&dest))
            {
                self.end_conns(service, dest, rates);
            } else {
                self.end_conns_of_removed(service, dest);
            }
        }
    }
}
