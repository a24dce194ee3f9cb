//! The dests of one service, with the cheapest one at hand.

use super::Load;
use super::cost::Cost;
use super::tournament::Tournament;
use crate::config::{DestId, SchedulerKind, Service};
use crate::time::Tick;

#[derive(Debug)]
pub(super) struct Contest {
    kind: SchedulerKind,
    /// [`Plan::fingerprint`](crate::config::Plan) of the plan that the players were read from.
    fingerprint: u64,
    players: Vec<Player>,
    /// Whether any dest has an upper threshold.
    has_limited: bool,
    tournament: Tournament,
    /// The player whose counters are read next, to see what other workers did.
    cursor: u16,
    /// The tick of the last search through all dests that found none.
    searched: Option<Tick>,
}

/// A dest of the service.
#[derive(Debug, Clone, Copy)]
struct Player {
    id: DestId,
    weight: u16,
    /// Whether it has an upper threshold.
    is_limited: bool,
    /// Whether it takes no conns because it is overloaded.
    is_away: bool,
    /// The sum over all workers when the counters were last read, plus what this worker did since.
    load: Load,
}

impl Contest {
    /// A contest without players.
    pub(super) const fn new() -> Self {
        Self {
            kind: SchedulerKind::Wlc,
            fingerprint: 0,
            players: Vec::new(),
            has_limited: false,
            tournament: Tournament::new(),
            cursor: 0,
            searched: None,
        }
    }

    pub(super) fn is_for(&self, service: &Service) -> bool {
        self.fingerprint == service.plan.fingerprint() && self.players.len() == service.dests.len()
    }

    /// Whether any dest has an upper threshold.
    pub(super) const fn has_limited(&self) -> bool {
        self.has_limited
    }

    /// The ids of the dests.
    pub(super) fn ids(&self) -> impl Iterator<Item = DestId> {
        self.players.iter().map(|player| player.id)
    }

    /// The id of the dest at this index, and whether it has an upper threshold.
    pub(super) fn player(&self, at: u16) -> Option<(DestId, bool)> {
        let player = self.players.get(usize::from(at))?;
        Some((player.id, player.is_limited))
    }

    /// The load of the dest at this index, as far as known.
    pub(super) fn load(&self, at: u16) -> Option<Load> {
        Some(self.players.get(usize::from(at))?.load)
    }

    /// Starts over with the dests of the service, and their loads in the same order.
    pub(super) fn restart(&mut self, service: &Service, loads: impl Iterator<Item = Load>) {
        self.kind = service.scheduler;
        self.fingerprint = service.plan.fingerprint();
        self.searched = None;
        self.players.clear();
        self.players
            .extend(service.dests.iter().zip(loads).map(|(dest, load)| Player {
                id: dest.id,
                weight: dest.weight,
                is_limited: dest.upper_threshold != 0,
                is_away: false,
                load,
            }));
        self.has_limited = self.players.iter().any(|player| player.is_limited);
        let kind = self.kind;
        let costs = self.players.iter().map(|player| player.cost(kind));
        self.tournament.restart(costs);
    }

    /// The index of the dest that takes the next conn, as far as the loads are known.
    pub(super) fn winner(&self) -> Option<u16> {
        self.tournament.winner()
    }

    /// Updates the load of the dest at this index, and whether it is overloaded.
    pub(super) fn set(&mut self, at: u16, is_away: bool, change: impl FnOnce(&mut Load)) {
        let Some(player) = self.players.get_mut(usize::from(at)) else {
            return;
        };
        let known = (player.load, player.is_away);
        change(&mut player.load);
        player.is_away = is_away;
        if known != (player.load, is_away) {
            self.tournament.bid(at, player.cost(self.kind));
        }
    }

    /// Changes the load of the dest at this index for something that this worker did.
    pub(super) fn change(&mut self, at: u16, change: impl FnOnce(&mut Load)) {
        if let Some(player) = self.players.get(usize::from(at)) {
            self.set(at, player.is_away, change);
        }
    }

    /// Whether all dests were searched in this tick already. Remembers that this tick's search is
    /// being done.
    pub(super) fn was_searched(&mut self, now: Tick) -> bool {
        self.searched.replace(now) == Some(now)
    }

    /// The index of the next dest whose counters are to be read: all dests, one after the other.
    pub(super) fn next_to_look_at(&mut self) -> Option<u16> {
        let is_there = usize::from(self.cursor) < self.players.len();
        let at = if is_there { self.cursor } else { 0 };
        self.cursor = at.wrapping_add(1);
        (!self.players.is_empty()).then_some(at)
    }
}

impl Player {
    fn cost(&self, kind: SchedulerKind) -> Cost {
        if self.is_away {
            Cost::NEVER
        } else {
            Cost::of(kind, self.weight, self.load)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::service_tests::service_with;

    proptest! {
        /// After any changes, the winner is the dest that a search through all dests in order
        /// finds.
        #[test]
        fn the_winner_is_the_first_of_the_cheapest(
            weights in prop::collection::vec(0..4u16, 1..20),
            changes in prop::collection::vec((0..20u16, 0..4u64, 0..4u64, any::<bool>()), 1..60),
        ) {
            let service = service_with(SchedulerKind::Wlc, &weights);
            let mut contest = Contest::new();
            contest.restart(&service, weights.iter().map(|_| Load::default()));
            for (at, active, inactive, is_away) in changes {
                contest.set(at, is_away, |load| *load = Load { active, inactive });
                let players = (0..).zip(&contest.players);
                let cheapest = players
                    .map(|(at, player)| (player.cost(SchedulerKind::Wlc), at))
                    .filter(|(cost, _)| *cost != Cost::NEVER)
                    .min();
                prop_assert_eq!(contest.winner(), cheapest.map(|(_, at)| at));
            }
        }
    }
}
