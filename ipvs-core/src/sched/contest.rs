//! A tournament of the dests of one service: who is the cheapest, found at once, kept in as many steps
//! as the number of dests has bits.

use super::Load;
use super::cost::Cost;
use crate::service::{DestId, SchedulerKind, Service};
use crate::time::Tick;

#[derive(Debug)]
pub(super) struct Contest {
    kind: SchedulerKind,
    /// Of the plan it was made for
    fingerprint: u64,
    players: Vec<Player>,
    /// A player has a threshold
    has_limited: bool,
    /// Round by round: 1 is who has won the final, and those that met at n came from 2n and 2n + 1. In the second half are
    /// the players; beside them, up to a power of two, some that take no conn.
    places: Vec<Bid>,
    /// Who is looked at next, for what other workers did.
    cursor: u16,
    /// When all were looked at in vain.
    searched: Option<Tick>,
}

/// A dest.
#[derive(Debug, Clone, Copy)]
struct Player {
    id: DestId,
    weight: u16,
    /// Has a threshold
    is_limited: bool,
    /// Takes no conns, whatever they cost
    is_away: bool,
    /// Over all workers as last looked at, and what this worker did since
    load: Load,
}

/// What a conn costs, and below that with whom: one number, so that a game is one comparison, and of equals the first
/// player wins, as IPVS has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bid(u64);

impl Contest {
    /// Without players.
    pub(super) const fn new() -> Self {
        Self {
            kind: SchedulerKind::Wlc,
            fingerprint: 0,
            players: Vec::new(),
            has_limited: false,
            places: Vec::new(),
            cursor: 0,
            searched: None,
        }
    }

    pub(super) fn is_for(&self, service: &Service) -> bool {
        self.fingerprint == service.plan.fingerprint() && self.players.len() == service.dests.len()
    }

    /// Whether a dest has a threshold.
    pub(super) const fn has_limited(&self) -> bool {
        self.has_limited
    }

    /// The dests it has.
    pub(super) fn ids(&self) -> impl Iterator<Item = DestId> {
        self.players.iter().map(|player| player.id)
    }

    /// A dest, and whether it has a threshold.
    pub(super) fn player(&self, at: u16) -> Option<(DestId, bool)> {
        let player = self.players.get(usize::from(at))?;
        Some((player.id, player.is_limited))
    }

    /// What is known of a dest's load.
    pub(super) fn load(&self, at: u16) -> Option<Load> {
        Some(self.players.get(usize::from(at))?.load)
    }

    /// Begins anew with the dests of the service.
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
        let games = self.players.len().next_power_of_two();
        self.places.clear();
        self.places.resize(2 * games, Bid::NONE);
        for (at, player) in (0..=u16::MAX).zip(&self.players) {
            self.places[games + usize::from(at)] = Bid::new(player.cost(self.kind), at);
        }
        for game in (1..games).rev() {
            self.places[game] = self.places[2 * game].min(self.places[2 * game + 1]);
        }
    }

    /// Who takes the next conn, as far as known.
    pub(super) fn winner(&self) -> Option<u16> {
        self.places.get(1)?.player()
    }

    /// Sets what is known of a dest's load, or changes it.
    pub(super) fn set(&mut self, at: u16, is_away: bool, change: impl FnOnce(&mut Load)) {
        let Some(player) = self.players.get_mut(usize::from(at)) else {
            return;
        };
        let known = (player.load, player.is_away);
        change(&mut player.load);
        player.is_away = is_away;
        if known != (player.load, is_away) {
            let bid = Bid::new(player.cost(self.kind), at);
            self.replay(at, bid);
        }
    }

    /// Another bid of a player may decide its games otherwise: all of them if it had won the final, else up to one that another
    /// wins as before. Whom a winner would meet is known beforehand, so that no game waits for what the one before wrote.
    fn replay(&mut self, player: u16, bid: Bid) {
        let had_won = self.winner() == Some(player);
        let places = &mut self.places[..];
        // The number of places is a power of two: so no place is looked for beyond them, and none need be checked.
        let Some(mask) = places.len().checked_sub(1) else {
            return;
        };
        let mut place = places.len() / 2 + usize::from(player);
        let mut winner = bid;
        places[place & mask] = bid;
        while place > 1 {
            winner = winner.min(places[(place ^ 1) & mask]);
            place /= 2;
            let before = std::mem::replace(&mut places[place & mask], winner);
            if !had_won && before == winner {
                return;
            }
        }
    }

    /// This worker did something to a dest.
    pub(super) fn change(&mut self, at: u16, change: impl FnOnce(&mut Load)) {
        if let Some(player) = self.players.get(usize::from(at)) {
            self.set(at, player.is_away, change);
        }
    }

    /// Whether nobody was found in this tick already; remembers that it is being tried now.
    pub(super) fn was_searched(&mut self, now: Tick) -> bool {
        self.searched.replace(now) == Some(now)
    }

    /// All in turn.
    pub(super) fn next_to_look_at(&mut self) -> Option<u16> {
        let is_there = usize::from(self.cursor) < self.players.len();
        let at = if is_there { self.cursor } else { 0 };
        self.cursor = at.wrapping_add(1);
        (!self.players.is_empty()).then_some(at)
    }
}

impl Bid {
    /// Of nobody.
    const NONE: Self = Self(u64::MAX);

    fn new(cost: Cost, player: u16) -> Self {
        const { assert!(Cost::SPARE_BITS == u16::BITS) };
        match cost {
            Cost::NEVER => Self::NONE,
            _ => Self(cost.bits() | u64::from(player)),
        }
    }

    const fn player(self) -> Option<u16> {
        match self {
            Self::NONE => None,
            Self(bits) => Some(bits as u16),
        }
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
    use crate::service::tests::service_with;

    proptest! {
        /// Whatever happens to whom, the winner is who would be found by asking all in their order.
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
