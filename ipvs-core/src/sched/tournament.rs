//! Who of many bids least, kept in as many games as the number of players has bits, and mostly in four.

use super::cost::Cost;

/// Players who play among themselves first: with these few the next winner is mostly one of them, too, for of those who bid
/// the same they take turns.
const BLOCK: usize = 16;
/// Rounds until a block has its winner.
const ROUNDS: u32 = BLOCK.ilog2();

/// What a conn costs, and below that with whom: one number, so that a game is one comparison, and of equals the first
/// player wins, as IPVS has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bid(u64);

#[derive(Debug)]
pub(super) struct Tournament {
    blocks: Vec<Block>,
    /// The blocks' winners among themselves, placed as a block's players are
    finals: Vec<Bid>,
    /// The block with the winner
    leading: usize,
    /// Nobody in any other block bids less, so as long as the leading block's winner does, it plays no finals, and their places on its
    /// way are not kept up. [`Bid::LEAST`] until that is worth to be found out.
    rival: Bid,
}

/// The winner at 1, and those that met at n from 2n and 2n + 1. In the second half are the players.
#[derive(Debug, Clone)]
struct Block([Bid; 2 * BLOCK]);

impl Bid {
    /// Of nobody.
    const NONE: Self = Self(u64::MAX);
    /// Of the first player, when it costs nothing.
    const LEAST: Self = Self(0);

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

impl Tournament {
    /// Without players.
    pub(super) const fn new() -> Self {
        Self {
            blocks: Vec::new(),
            finals: Vec::new(),
            leading: 0,
            rival: Bid::NONE,
        }
    }

    /// Begins anew with players whose conns cost this.
    pub(super) fn restart(&mut self, costs: impl ExactSizeIterator<Item = Cost>) {
        let games = costs.len().div_ceil(BLOCK).next_power_of_two();
        self.blocks.clear();
        self.blocks.resize(games, Block([Bid::NONE; 2 * BLOCK]));
        for (player, cost) in (0..=u16::MAX).zip(costs) {
            let block = usize::from(player) / BLOCK;
            self.blocks[block].bid(player, Bid::new(cost, player));
        }
        self.finals.clear();
        self.finals.resize(games, Bid::NONE);
        self.finals.extend(self.blocks.iter().map(Block::best));
        for game in (1..games).rev() {
            self.finals[game] = self.finals[2 * game].min(self.finals[2 * game + 1]);
        }
        self.lead(self.finals[1]);
    }

    /// Who bids least.
    pub(super) fn winner(&self) -> Option<u16> {
        self.blocks.get(self.leading)?.best().player()
    }

    /// A conn costs this with a player now.
    pub(super) fn bid(&mut self, player: u16, cost: Cost) {
        let block = usize::from(player) / BLOCK;
        if block >= self.blocks.len() {
            return;
        }
        let leader = self.blocks[self.leading].best();
        let best = self.blocks[block].bid(player, Bid::new(cost, player));
        if block == self.leading {
            self.defend(best);
        } else {
            self.attack(block, best, leader);
        }
    }

    /// The leading block's winner is another, or bids otherwise.
    fn defend(&mut self, best: Bid) {
        if best <= self.rival {
            return;
        }
        let winner = self.play_finals(self.leading, best);
        if winner == best {
            // The second time in turn, so there may be a third.
            self.rival = self.find_rival();
        } else {
            self.lead(winner);
        }
    }

    /// Another block's winner is another, or bids otherwise.
    fn attack(&mut self, block: usize, best: Bid, leader: Bid) {
        self.play_finals(block, best);
        if best >= leader {
            self.rival = self.rival.min(best);
            return;
        }
        if self.rival != Bid::LEAST {
            self.play_finals(self.leading, leader);
        }
        self.lead(best);
    }

    /// The winner's block leads now; nobody knows for how long.
    fn lead(&mut self, winner: Bid) {
        self.leading = winner
            .player()
            .map_or(0, |player| usize::from(player) / BLOCK);
        self.rival = Bid::LEAST;
    }

    /// Plays a block's games against the others, to the end: to ask after each whether that was all costs more. Whom a winner would
    /// meet is known beforehand, so that no game waits for what the one before wrote.
    fn play_finals(&mut self, block: usize, best: Bid) -> Bid {
        let places = &mut self.finals[..];
        // The number of places is a power of two: so no place is looked for beyond them, and none need be checked.
        let mask = places.len() - 1;
        let mut place = places.len() / 2 + block;
        let mut winner = best;
        places[place & mask] = best;
        while place > 1 {
            winner = winner.min(places[(place ^ 1) & mask]);
            place /= 2;
            places[place & mask] = winner;
        }
        winner
    }

    /// Who bids least outside the leading block: one of those whom its winner meets.
    fn find_rival(&self) -> Bid {
        let mut rival = Bid::NONE;
        let mut place = self.finals.len() / 2 + self.leading;
        while place > 1 {
            rival = rival.min(self.finals[place ^ 1]);
            place /= 2;
        }
        rival
    }
}

impl Block {
    fn best(&self) -> Bid {
        self.0[1]
    }

    /// The one of this number, of which the last bits count, bids otherwise.
    fn bid(&mut self, player: u16, bid: Bid) -> Bid {
        let Self(places) = self;
        let mut place = BLOCK + usize::from(player) % BLOCK;
        let mut winner = bid;
        places[place] = bid;
        for _ in 0..ROUNDS {
            winner = winner.min(places[place ^ 1]);
            place /= 2;
            places[place] = winner;
        }
        winner
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::SchedulerKind;
    use crate::sched::Load;

    proptest! {
        /// The winner takes a conn, or a player gets another number of them. They are few, so that many are equal, and some take
        /// none.
        #[test]
        fn the_winner_is_the_first_of_the_cheapest(
            mut conns in prop::collection::vec(0..4u64, 1..100),
            changes in prop::collection::vec(prop_oneof![
                4 => Just(None),
                1 => (0..100usize, 0..8u64).prop_map(Some),
            ], 1..300),
        ) {
            let cost = |conns: &u64| match conns {
                0 => Cost::NEVER,
                active => Cost::of(SchedulerKind::Lc, 1, Load { active: *active - 1, inactive: 0 }),
            };
            let mut tournament = Tournament::new();
            tournament.restart(conns.iter().map(cost));
            for change in changes {
                let winner = tournament.winner().map(usize::from);
                let who_takes_conns = conns.iter().enumerate().filter(|(_, conns)| **conns > 0);
                let first = who_takes_conns.min_by_key(|(_, conns)| **conns);
                prop_assert_eq!(winner, first.map(|(player, _)| player));
                let change = change.or_else(|| Some((winner?, conns[winner?] + 1)));
                let Some((player, now)) = change.filter(|(player, _)| *player < conns.len()) else {
                    continue;
                };
                conns[player] = now;
                tournament.bid(player as u16, cost(&now));
            }
        }
    }
}
