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
    /// What a conn costs at each of them; beside them, up to a power of two, nobody takes any
    costs: Vec<Cost>,
    /// Round by round: 1 is the final, the games that decide who plays game n are 2n and 2n + 1.
    winners: Vec<u16>,
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

impl Contest {
    /// Without players.
    pub(super) const fn new() -> Self {
        Self {
            kind: SchedulerKind::Wlc,
            fingerprint: 0,
            players: Vec::new(),
            costs: Vec::new(),
            winners: Vec::new(),
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
        self.costs.clear();
        let costs = self.players.iter().map(|player| player.cost(self.kind));
        self.costs.extend(costs);
        self.costs.resize(games, Cost::NEVER);
        self.winners.clear();
        self.winners.resize(games, 0);
        for game in (1..games).rev() {
            self.winners[game] = self.winner_of(game);
        }
    }

    /// Who takes the next conn, as far as known.
    pub(super) fn winner(&self) -> Option<u16> {
        let winner = if self.players.len() == 1 {
            0
        } else {
            *self.winners.get(1)?
        };
        let cost = self.costs.get(usize::from(winner))?;
        (*cost != Cost::NEVER).then_some(winner)
    }

    /// Sets what is known of a dest's load, or changes it.
    pub(super) fn set(&mut self, at: u16, is_away: bool, change: impl FnOnce(&mut Load)) {
        let Some(player) = self.players.get_mut(usize::from(at)) else {
            return;
        };
        change(&mut player.load);
        player.is_away = is_away;
        let cost = player.cost(self.kind);
        if std::mem::replace(&mut self.costs[usize::from(at)], cost) != cost {
            self.replay(at);
        }
    }

    /// Another cost of a player may decide its games otherwise, up to one that another wins as before.
    fn replay(&mut self, at: u16) {
        let mut game = (self.costs.len() + usize::from(at)) / 2;
        while game > 0 {
            let winner = self.winner_of(game);
            if std::mem::replace(&mut self.winners[game], winner) == winner && winner != at {
                return;
            }
            game /= 2;
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

    /// Of equals the first, as IPVS.
    fn winner_of(&self, game: usize) -> u16 {
        let (left, right) = (self.comer(2 * game), self.comer(2 * game + 1));
        let cost = |player: u16| self.costs[usize::from(player)];
        if cost(right) < cost(left) {
            right
        } else {
            left
        }
    }

    /// Who comes to a game from a place of the round before: a winner, or a player.
    fn comer(&self, place: usize) -> u16 {
        match place.checked_sub(self.costs.len()) {
            Some(player) => player as u16,
            None => self.winners[place],
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
