//! lblc and lblcr: each destination address keeps one dest, or a few, as long as they are not
//! overloaded.

use std::net::IpAddr;

use super::cost::Cost;
use super::{Arrival, Load, Scheduling};
use crate::config::{Dest, DestId, SchedulerKind, Service, ServiceId, hashing};
use crate::time::{Span, Tick};

/// A worker remembers SETS x WAYS addresses. In a full set, the least recently used one is
/// replaced.
const SETS: usize = 256;
const WAYS: usize = 4;
/// Most dests of an address with lblcr. If there are more, the most loaded one is removed.
const MEMBERS: usize = 8;
/// A day, as `lblc_expiration` and `lblcr_expiration` of IPVS. An address that was not
/// used for a day is forgotten. A set of dests that has not changed for a day loses its most loaded
/// dest.
const EXPIRATION: Span = Span::from_secs(24 * 60 * 60);

/// The destination addresses that a worker remembers, with their dests.
#[derive(Debug)]
pub(super) struct Locality {
    entries: Box<[Entry]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Option<(ServiceId, IpAddr)>,
    used: Tick,
    changed: Tick,
    members: [Option<DestId>; MEMBERS],
}

const EMPTY: Entry = Entry {
    key: None,
    used: Tick(0),
    changed: Tick(0),
    members: [None; MEMBERS],
};

impl Default for Locality {
    fn default() -> Self {
        Self {
            entries: vec![EMPTY; SETS * WAYS].into(),
        }
    }
}

impl Locality {
    /// The entry of an address. A new one if there is none or it has expired.
    fn entry(&mut self, service: ServiceId, daddr: IpAddr, now: Tick) -> Option<&mut Entry> {
        let hash = hashing::of_endpoint(daddr, 0) ^ hashing::mix(u64::from(service.0));
        let first = hashing::place(hash, SETS) * WAYS;
        let ways = self.entries.get_mut(first..first + WAYS)?;
        let key = Some((service, daddr));
        let age = |entry: &Entry| match entry.key {
            None => Span::FOREVER,
            Some(_) => now.since(entry.used),
        };
        let found = ways
            .iter()
            .position(|entry| entry.key == key && age(entry) < EXPIRATION)
            .or_else(|| (0..WAYS).max_by_key(|way| age(&ways[*way])))?;
        let entry = ways.get_mut(found)?;
        if entry.key != key || now.since(entry.used) >= EXPIRATION {
            *entry = Entry {
                key,
                changed: now,
                ..EMPTY
            };
        }
        entry.used = now;
        Some(entry)
    }
}

impl Entry {
    fn has(&self, dest: DestId) -> bool {
        self.members.contains(&Some(dest))
    }

    /// Adds a dest. If there is no room, it replaces `most_loaded`.
    fn add(&mut self, dest: DestId, most_loaded: Option<DestId>, now: Tick) {
        if self.has(dest) {
            return;
        }
        if !self.members.contains(&None) {
            self.remove(most_loaded, now);
        }
        let room = self.members.iter_mut().find(|member| member.is_none());
        if let Some(member) = room {
            *member = Some(dest);
            self.changed = now;
        }
    }

    fn remove(&mut self, dest: Option<DestId>, now: Tick) {
        for member in &mut self.members {
            if *member == dest {
                *member = None;
                self.changed = now;
            }
        }
    }
}

/// The members of an entry that are still dests of the service.
#[derive(Debug, Clone, Copy, Default)]
struct Members<'a> {
    count: usize,
    /// The least loaded one of those that take conns, with its load.
    least_loaded: Option<(&'a Dest, Load)>,
    most_loaded: Option<DestId>,
}

/// The dest for a new conn to an address.
pub(super) fn choose<'a>(
    service: &'a Service,
    arrival: &Arrival<'_>,
    memory: &mut Scheduling,
    load_of: &impl Fn(DestId) -> Load,
) -> Option<&'a Dest> {
    let Scheduling {
        overload,
        loads,
        locality,
    } = memory;
    loads.prepare(service, load_of);
    let now = arrival.now;
    let entry = locality.entry(service.id, arrival.daddr, now)?;
    let find = |id| {
        let at = loads.index_of(service, id)?;
        service.dests.get(usize::from(at))
    };
    let takes_conns = |dest: &Dest| dest.weight > 0 && !overload.keeps_away(dest, now, load_of);
    let members = look_at(entry, service.scheduler, find, takes_conns, load_of);
    if members.count > 1 && now.since(entry.changed) >= EXPIRATION {
        entry.remove(members.most_loaded, now);
    }
    let settled = members.least_loaded.filter(|(dest, _)| entry.has(dest.id));
    if let Some((dest, load)) = settled
        && load.active <= u64::from(dest.weight)
    {
        return Some(dest);
    }
    let least = loads.least(service, overload, now, load_of);
    let least = least.and_then(|at| service.dests.get(usize::from(at)))?;
    // IPVS: a dest with more active conns than its weight is left if another dest has fewer active
    // conns than half of its own weight.
    if let Some((dest, _)) = settled
        && load_of(least.id).active * 2 >= u64::from(least.weight)
    {
        return Some(dest);
    }
    if service.scheduler == SchedulerKind::Lblc {
        entry.members = EMPTY.members;
    }
    entry.add(least.id, members.most_loaded, now);
    Some(least)
}

/// Removes members that are no longer dests of the service, and compares the others.
fn look_at<'a>(
    entry: &mut Entry,
    kind: SchedulerKind,
    find: impl Fn(DestId) -> Option<&'a Dest>,
    takes_conns: impl Fn(&Dest) -> bool,
    load_of: impl Fn(DestId) -> Load,
) -> Members<'a> {
    let mut members = Members::default();
    let (mut least, mut most) = (None::<Cost>, None::<Cost>);
    for member in &mut entry.members {
        let Some(dest) = member.and_then(&find) else {
            *member = None;
            continue;
        };
        members.count += 1;
        let load = load_of(dest.id);
        // A dest of weight 0 has the highest cost.
        let cost = Cost::of(kind, dest.weight, load);
        if most.is_none_or(|most| most < cost) {
            (most, members.most_loaded) = (Some(cost), Some(dest.id));
        }
        if cost != Cost::NEVER && takes_conns(dest) && least.is_none_or(|least| cost < least) {
            (least, members.least_loaded) = (Some(cost), Some((dest, load)));
        }
    }
    members
}
