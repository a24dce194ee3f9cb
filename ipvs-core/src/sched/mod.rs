//! Schedulers: which dest a new conn goes to.
//!
//! There are three kinds. rr and wrr walk through a rotation. sh, dh, mh and conhash look up a hash
//! in a table of slots. lc, wlc, sed, nq, fo and ovf take the winner of a tournament of all dests;
//! so do lblc and lblcr, which also remember the dests of each address. Rotations and tables are
//! made by control ([`Plan`](crate::config::Plan)). What changes with each conn belongs to the
//! worker ([`Scheduling`]).

mod contest;
mod cost;
mod loads;
mod locality;
mod overload;
mod overload_marks;
mod rotation;
mod slots;
#[cfg(test)]
mod tests;
mod tournament;

use std::net::IpAddr;
use std::sync::Arc;

use loads::Loads;
use locality::Locality;
use overload::Overload;
pub use overload_marks::{OverloadMarks, Thresholds};

use crate::config::{Dest, DestId, HashTarget, SchedulerKind, Service, hashing};
use crate::engine_config::BATCH;
use crate::simd::prefetch;
use crate::time::Tick;

/// The conns of a dest, as schedulers count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Established conns.
    pub active: u64,
    /// Conns in any other state.
    pub inactive: u64,
}

/// The first packet of a new conn, for which a dest is to be chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// Source address and port.
    pub(crate) client: (IpAddr, u16),
    /// Destination address.
    pub(crate) daddr: IpAddr,
    /// The UDP payload; empty for other protocols.
    pub(crate) payload: &'a [u8],
    pub(crate) now: Tick,
}

/// What a worker remembers of all dests for its schedulers.
#[derive(Debug)]
pub(crate) struct Scheduling {
    overload: Overload,
    loads: Loads,
    locality: Locality,
}

impl Scheduling {
    /// `own` are the marks of this worker, `all` those of all workers that make conns.
    pub(crate) fn new(
        max_dests: usize,
        own: Arc<OverloadMarks>,
        all: Box<[Arc<OverloadMarks>]>,
    ) -> Self {
        Self {
            loads: Loads::new(max_dests, all.len()),
            overload: Overload::new(max_dests, own, all),
            locality: Locality::default(),
        }
    }

    /// Bytes of memory of what is remembered of so many dests.
    pub(crate) const fn bytes_for(max_dests: usize) -> usize {
        Overload::bytes_for(max_dests) + Loads::bytes_for(max_dests)
    }

    /// This worker is about to make a conn to a dest with thresholds. `load` is the sum over all
    /// workers, without that conn.
    pub(crate) fn limited_conn_opens(&self, dest: &Dest, now: Tick, load: Load) {
        self.overload.conn_opens(dest, now, load);
    }

    /// Whether a dest had thresholds when this worker made a conn to it last.
    pub(crate) fn is_limited(&self, dest: DestId) -> bool {
        self.overload.is_limited(dest)
    }

    /// A conn of this worker to a dest with thresholds has ended.
    pub(crate) fn limited_conn_closed(&self, dest: DestId, now: Tick, load: Load) {
        self.overload.conn_closed(dest, now, load);
    }

    /// This worker made a conn of the dest. It is inactive at first.
    pub(crate) fn conn_opened(&mut self, dest: DestId) {
        self.loads.change(dest, |load| load.inactive += 1);
    }

    /// A conn of this worker became active or inactive.
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

/// Chooses the dest for a new conn. `None` if no dest takes conns. `load_of` returns the sum over
/// all workers.
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

/// The hash of a packet's addresses that the scheduler uses, and whether another dest may replace
/// the one that the hash leads to. `None` for schedulers that do not hash addresses.
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

/// Prefetches the slot and the dest of each packet whose service hashes addresses. A table for many
/// dests does not fit into the cache. `packets` are the service, client and destination address of
/// each.
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
