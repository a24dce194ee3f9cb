//! Which dest a new conn goes to.
//!
//! Three kinds: walking a rotation (rr, wrr), looking a hash up in a table of slots (sh, dh, mh,
//! conhash), and asking a tournament of all dests for its winner (lc, wlc, sed, nq, fo, ovf, and with
//! a memory of addresses lblc and lblcr). Rotations and tables are made by control ([`Plan`]); what
//! changes with each conn is the worker's own (`Memory`).

mod contest;
mod cost;
mod loads;
mod locality;
mod overload;
mod rotation;
mod slots;
#[cfg(test)]
mod tests;
mod tournament;

use std::net::IpAddr;

use loads::Loads;
use locality::Locality;
use overload::Overload;

use crate::config::{Dest, DestId, HashTarget, SchedulerKind, Service, hashing};
use crate::engine_config::BATCH;
use crate::simd::prefetch;
use crate::time::Tick;

/// Conns of a dest as far as a scheduler weighs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Established
    pub active: u64,
    /// Any other state
    pub inactive: u64,
}

/// The packet that asks for a dest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// Its source
    pub(crate) client: (IpAddr, u16),
    /// Its destination
    pub(crate) daddr: IpAddr,
    /// What UDP carries; empty for TCP
    pub(crate) payload: &'a [u8],
    pub(crate) now: Tick,
}

/// What a worker remembers of all dests, for its schedulers.
#[derive(Debug)]
pub(crate) struct Scheduling {
    overload: Overload,
    loads: Loads,
    locality: Locality,
}

impl Scheduling {
    /// `workers` are those that make conns of the dests, this one among them.
    pub(crate) fn new(max_dests: usize, workers: usize) -> Self {
        Self {
            overload: Overload::new(max_dests),
            loads: Loads::new(max_dests, workers),
            locality: Locality::default(),
        }
    }

    /// This worker made a conn of the dest, inactive as yet.
    pub(crate) fn conn_opened(&mut self, dest: DestId) {
        self.loads.change(dest, |load| load.inactive += 1);
    }

    /// A conn of this worker became active, or ceased to be.
    pub(crate) fn conn_changed(&mut self, dest: DestId, active: bool) {
        self.loads.change(dest, |load| {
            let (from, to) = if active {
                (&mut load.inactive, &mut load.active)
            } else {
                (&mut load.active, &mut load.inactive)
            };
            *from = from.saturating_sub(1);
            *to += 1;
        });
    }

    /// A conn of this worker ended.
    pub(crate) fn conn_closed(&mut self, dest: DestId, was_active: bool) {
        self.loads.change(dest, |load| {
            let from = if was_active {
                &mut load.active
            } else {
                &mut load.inactive
            };
            *from = from.saturating_sub(1);
        });
    }
}

/// The dest for a new conn among those that take any, or `None`. `load_of` sums over all workers.
pub(crate) fn schedule<'a>(
    service: &'a Service,
    arrival: &Arrival<'_>,
    next_dest: &mut u32,
    memory: &mut Scheduling,
    load_of: impl Fn(DestId) -> Load,
) -> Option<&'a Dest> {
    let overload = &memory.overload;
    let takes_conns = |dest: &Dest| !overload.keeps_away(dest, arrival.now, &load_of);
    match service.scheduler {
        SchedulerKind::Rr | SchedulerKind::Wrr => rotation::next(service, next_dest, takes_conns),
        SchedulerKind::Conhash(HashTarget::Qid) => slots::by_quic(service, arrival, takes_conns),
        SchedulerKind::Sh(_)
        | SchedulerKind::Mh(_)
        | SchedulerKind::Dh
        | SchedulerKind::Conhash(HashTarget::Sip) => {
            let (hash, fallback) = by_addrs(service.scheduler, arrival.client, arrival.daddr)?;
            slots::look_up(service, hash, fallback, takes_conns)
        }
        SchedulerKind::Lc
        | SchedulerKind::Wlc
        | SchedulerKind::Sed
        | SchedulerKind::Nq
        | SchedulerKind::Fo
        | SchedulerKind::Ovf => {
            let at = memory
                .loads
                .least(service, overload, arrival.now, &load_of)?;
            service.dests.get(usize::from(at))
        }
        SchedulerKind::Lblc | SchedulerKind::Lblcr => {
            locality::choose(service, arrival, memory, &load_of)
        }
    }
}

/// The hash of a packet's addresses that a scheduler goes by, and whether another dest may take the place of the one that it
/// leads to. `None` for the others.
fn by_addrs(
    scheduler: SchedulerKind,
    (client, port): (IpAddr, u16),
    daddr: IpAddr,
) -> Option<(u64, bool)> {
    Some(match scheduler {
        SchedulerKind::Sh(options) | SchedulerKind::Mh(options) => {
            let port = if options.port { port } else { 0 };
            (hashing::of_endpoint(client, port), options.fallback)
        }
        SchedulerKind::Dh => (hashing::of_endpoint(daddr, 0), true),
        SchedulerKind::Conhash(HashTarget::Sip) => (hashing::of_endpoint(client, 0), true),
        _ => return None,
    })
}

/// Hints that the slot and the dest of each of these packets are read soon, if their services go by the hash of their
/// addresses: a table for many dests is large. `packets` have a service, the client, and the destination address.
pub(crate) fn fetch_slots<'a>(packets: impl Iterator<Item = (&'a Service, (IpAddr, u16), IpAddr)>) {
    let mut slots = [None; BATCH];
    for (found, (service, client, daddr)) in slots.iter_mut().zip(packets) {
        let by_addrs = by_addrs(service.scheduler, client, daddr);
        *found = by_addrs.and_then(|(hash, _)| Some((service, slots::slot(service, hash)?)));
        if let Some((_, slot)) = found {
            prefetch(*slot);
        }
    }
    for (service, slot) in slots.iter().flatten() {
        if let Some(dest) = service.dests.get(usize::from(**slot)) {
            prefetch(dest);
        }
    }
}
