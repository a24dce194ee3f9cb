//! A tournament of the dests of one service: who is the cheapest, found at once, kept in as many steps
//! as the number of dests has bits.

use super::Load;
use super::cost::Cost;
use crate::service::{DestId, SchedulerKind, Service};
use crate::time::Tick;

/// Nobody plays here.
const NOBODY: u16 = u16::MAX;

#[derive(Debug)]
pub(super) struct Contest {
    kind: SchedulerKind,
    /// Of the plan it was made for
    fingerprint: u64,
    players: Vec<Player>,
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
    cost: Option<Cost>,
}

impl Contest {
    /// Without players.
    pub(super) const fn new() -> Self {
        Self {
            kind: SchedulerKind::Wlc,
            fingerprint: 0,
            players: Vec::new(),
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
                cost: Cost::of(service.scheduler, dest.weight, load),
            }));
        self.winners.clear();
        self.winners.resize(self.games(), NOBODY);
        for game in (1..self.games()).rev() {
            self.play(game);
        }
    }

    /// Games in all, and the number of the first player's place.
    fn games(&self) -> usize {
        self.players.len().next_power_of_two()
    }

    /// Who takes the next conn, as far as known.
    pub(super) fn winner(&self) -> Option<u16> {
        let winner = if self.players.len() == 1 {
            0
        } else {
            *self.winners.get(1)?
        };
        self.cost(winner).map(|_| winner)
    }

    fn cost(&self, player: u16) -> Option<Cost> {
        let player = self.players.get(usize::from(player))?;
        player.cost.filter(|_| !player.is_away)
    }

    /// Sets what is known of a dest's load, or changes it.
    pub(super) fn set(&mut self, at: u16, is_away: bool, change: impl FnOnce(&mut Load)) {
        let Some(player) = self.players.get_mut(usize::from(at)) else {
            return;
        };
        change(&mut player.load);
        player.is_away = is_away;
        player.cost = Cost::of(self.kind, player.weight, player.load);
        let mut game = (self.games() + usize::from(at)) / 2;
        while game > 0 {
            self.play(game);
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

    fn play(&mut self, game: usize) {
        let (left, right) = (self.comer(2 * game), self.comer(2 * game + 1));
        let winner = match (self.cost(left), self.cost(right)) {
            (Some(left_cost), Some(right_cost)) if right_cost.is_less_than(&left_cost) => right,
            // of equals the first, as IPVS
            (Some(_), _) => left,
            (None, _) => right,
        };
        if let Some(place) = self.winners.get_mut(game) {
            *place = winner;
        }
    }

    /// Who comes to a game from a place of the round before: a winner, or a player.
    fn comer(&self, place: usize) -> u16 {
        match place.checked_sub(self.games()) {
            Some(player) => u16::try_from(player).unwrap_or(NOBODY),
            None => self.winners.get(place).copied().unwrap_or(NOBODY),
        }
    }
}
