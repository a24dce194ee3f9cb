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
    /// Round by round: 1 is who has won the final, and those that met at n came from 2n and 2n + 1. In the second half are
    /// the players; beside them, up to a power of two, some that take no conn.
    places: Vec<Comer>,
    /// Who is looked at next, for what other workers did.
    cursor: u32,
    /// When all were looked at in vain.
    searched: Option<Tick>,
}

/// A dest.
#[derive(Debug, Clone, Copy)]
struct Player {
    id: DestId,
    weight: u16,
    /// Takes no conns, whatever they cost
    is_away: bool,
    /// Over all workers as last looked at, and what this worker did since
    load: Load,
}

/// A player as one of a game sees it.
#[derive(Debug, Clone, Copy)]
struct Comer {
    /// What a conn costs there
    cost: Cost,
    player: u16,
}

impl Contest {
    /// Without players.
    pub(super) const fn new() -> Self {
        Self {
            kind: SchedulerKind::Wlc,
            fingerprint: 0,
            players: Vec::new(),
            places: Vec::new(),
            cursor: 0,
            searched: None,
        }
    }

    pub(super) fn is_for(&self, service: &Service) -> bool {
        self.fingerprint == service.plan.fingerprint() && self.players.len() == service.dests.len()
    }

    /// The dests it has.
    pub(super) fn ids(&self) -> impl Iterator<Item = DestId> {
        self.players.iter().map(|player| player.id)
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
                is_away: false,
                load,
            }));
        let games = self.players.len().next_power_of_two();
        self.places.clear();
        self.places.resize(2 * games, Comer::NOBODY);
        for (at, player) in (0..=u16::MAX).zip(&self.players) {
            let cost = player.cost(self.kind);
            self.places[games + usize::from(at)] = Comer { cost, player: at };
        }
        for game in (1..games).rev() {
            self.places[game] = self.places[2 * game].or_cheaper(self.places[2 * game + 1], false);
        }
    }

    /// Who takes the next conn, as far as known.
    pub(super) fn winner(&self) -> Option<u16> {
        let winner = self.places.get(1)?;
        (winner.cost != Cost::NEVER).then_some(winner.player)
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
            let cost = player.cost(self.kind);
            self.replay(Comer { cost, player: at });
        }
    }

    /// Another cost of a player may decide its games otherwise, up to one that another wins as before. Whom a winner
    /// would meet is known beforehand, so that no game waits for what the one before wrote.
    fn replay(&mut self, changed: Comer) {
        let mut place = self.places.len() / 2 + usize::from(changed.player);
        let mut winner = changed;
        self.places[place] = changed;
        while place > 1 {
            let rival = self.places[place ^ 1];
            winner = winner.or_cheaper(rival, place % 2 == 1);
            place /= 2;
            let last = std::mem::replace(&mut self.places[place], winner);
            if last.player == winner.player && winner.player != changed.player {
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
        let at = self.cursor as usize % self.players.len().max(1);
        self.cursor = at as u32 + 1;
        (at < self.players.len()).then_some(at as u16)
    }
}

impl Comer {
    const NOBODY: Self = Self {
        cost: Cost::NEVER,
        player: u16::MAX,
    };

    /// Of equals the first, as IPVS: the rival if that is on the left. Without a branch, for nobody can predict it.
    #[inline]
    fn or_cheaper(self, rival: Self, rival_is_left: bool) -> Self {
        let is_beaten = rival.cost.is_below(self.cost, rival_is_left);
        Self {
            cost: if is_beaten { rival.cost } else { self.cost },
            player: if is_beaten { rival.player } else { self.player },
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
