//! The loads of dests as one worker knows them, for the schedulers that take the least loaded dest.
//!
//! The conns of a dest are spread over all workers. A worker knows its own at once. It reads the
//! counters of the others when a dest is about to be chosen, and for one more dest with each new
//! conn. So the cost of a choice does not grow with the number of dests. A worker that is alone
//! need not read counters.

use super::contest::Contest;
use super::{Load, Overload};
use crate::config::{DestId, Service, ServiceId};
use crate::time::Tick;

/// After this many chosen dests whose load turned out to be higher than known, the next one is
/// taken anyway.
const TRIED: usize = 8;

#[derive(Debug)]
pub(super) struct Loads {
    /// Indexed by `ServiceId`.
    contests: Vec<Contest>,
    /// Indexed by `DestId`.
    places: Box<[Place]>,
    /// Buffer for the loads of a service's dests while its contest starts over.
    carried: Vec<Load>,
    /// Whether no other worker makes conns.
    is_alone: bool,
}

/// The service of a dest, and the index of the dest in it.
#[derive(Debug, Clone, Copy)]
struct Place {
    service: ServiceId,
    at: u16,
}

const NOWHERE: Place = Place {
    service: ServiceId(u32::MAX),
    at: 0,
};

impl Loads {
    pub(super) fn new(max_dests: usize, workers: usize) -> Self {
        Self {
            contests: Vec::new(),
            places: vec![NOWHERE; max_dests].into(),
            carried: Vec::new(),
            is_alone: workers == 1,
        }
    }

    /// Bytes of memory for so many dests.
    pub(super) const fn bytes_for(max_dests: usize) -> usize {
        max_dests * size_of::<Place>()
    }

    /// This worker did something to a dest. Called for all schedulers.
    pub(super) fn change(&mut self, dest: DestId, change: impl FnOnce(&mut Load)) {
        let Some(place) = self.places.get(dest.0 as usize) else {
            return;
        };
        if let Some(contest) = self.contests.get_mut(place.service.0 as usize) {
            contest.change(place.at, change);
        }
    }

    /// The index of a dest in its service. `None` unless [`Loads::prepare`] was called for the
    /// service.
    pub(super) fn index_of(&self, service: &Service, dest: DestId) -> Option<u16> {
        let place = self.places.get(dest.0 as usize)?;
        (place.service == service.id).then_some(place.at)
    }

    /// The index of the dest to take, or `None` if no dest takes conns.
    pub(super) fn least(
        &mut self,
        service: &Service,
        overload: &Overload,
        now: Tick,
        load_of: &impl Fn(DestId) -> Load,
    ) -> Option<u16> {
        self.prepare(service, load_of);
        let contest = self.contests.get_mut(service.id.0 as usize)?;
        // With thresholds, counters must be read even by a worker that is alone: overloaded dests
        // may take conns again.
        if self.is_alone && !contest.has_limited() {
            return contest.winner();
        }
        let look_at = |contest: &mut Contest, at: u16| {
            // The dest itself is read only if it has a threshold: with many dests, reading it is a
            // cache miss.
            let (id, is_limited) = contest.player(at)?;
            let is_away = is_limited && {
                let dest = service.dests.get(usize::from(at))?;
                overload.keeps_away(dest, now, load_of)
            };
            contest.set(at, is_away, |known| {
                if !is_away {
                    *known = load_of(id);
                }
            });
            Some(is_away)
        };
        let next = contest.next_to_look_at()?;
        look_at(contest, next);
        if contest.winner().is_none() && !contest.was_searched(now) {
            look_at_all(contest, service, look_at);
        }
        // After the first `TRIED` rounds, a round returns or marks a dest as overloaded, so the
        // loop ends.
        for tried in 0..TRIED + service.dests.len() {
            let at = contest.winner()?;
            let is_away = look_at(contest, at)?;
            if !is_away && (contest.winner() == Some(at) || tried >= TRIED) {
                return Some(at);
            }
        }
        None
    }

    /// Starts the service's contest over if its dests have changed. The loads that are known are
    /// kept.
    pub(super) fn prepare(&mut self, service: &Service, load_of: &impl Fn(DestId) -> Load) {
        let number = service.id.0 as usize;
        if number >= self.contests.len() {
            // The size is rounded up to a power of two, so that this is rare.
            self.contests
                .resize_with((number + 1).next_power_of_two(), Contest::new);
        }
        if self.contests[number].is_for(service) {
            return;
        }
        self.carried.clear();
        for dest in &service.dests {
            let known = self
                .index_of(service, dest.id)
                .and_then(|at| self.contests[number].load(at));
            self.carried.push(known.unwrap_or_else(|| load_of(dest.id)));
        }
        for gone in self.contests[number].ids() {
            if let Some(place) = self.places.get_mut(gone.0 as usize)
                && place.service == service.id
            {
                *place = NOWHERE;
            }
        }
        self.contests[number].restart(service, self.carried.drain(..));
        for (at, dest) in (0..=u16::MAX).zip(&service.dests) {
            if let Some(place) = self.places.get_mut(dest.id.0 as usize) {
                *place = Place {
                    service: service.id,
                    at,
                };
            }
        }
    }
}

/// Reads the counters of all dests until one takes conns. Since that is expensive, it is done once
/// per tick.
fn look_at_all(
    contest: &mut Contest,
    service: &Service,
    look_at: impl Fn(&mut Contest, u16) -> Option<bool>,
) {
    for (at, dest) in (0..=u16::MAX).zip(&service.dests) {
        if dest.weight > 0 {
            look_at(contest, at);
        }
        if contest.winner().is_some() {
            return;
        }
    }
}
