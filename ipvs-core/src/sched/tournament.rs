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
    /// The blocks' winners among themselves, placed as a block's players are. What has come out of games with the leading block
    /// is not kept up.
    finals: Vec<Bid>,
    /// The block with the winner
    leading: usize,
    /// Nobody in any other block bids less.
    rival: Bid,
}

/// The winner at 1, and those that met at n from 2n and 2n + 1. In the second half are the players.
#[derive(Debug, Clone)]
struct Block([Bid; 2 * BLOCK]);

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
        self.leading = 0;
        self.elect();
    }

    /// Who bids least.
    pub(super) fn winner(&self) -> Option<u16> {
        self.blocks.get(self.leading)?.best().player()
    }

    /// A conn costs this with a player now.
    pub(super) fn bid(&mut self, player: u16, cost: Cost) {
        let block = usize::from(player) / BLOCK;
        let Some(players) = self.blocks.get_mut(block) else {
            return;
        };
        let best = players.bid(player, Bid::new(cost, player));
        if block == self.leading {
            if best > self.rival {
                self.elect();
            }
        } else {
            self.replay_finals(block, best);
            self.rival = self.rival.min(best);
            if best < self.blocks[self.leading].best() {
                self.elect();
            }
        }
    }

    /// Another winner of a block that does not lead may decide its games otherwise, up to one that another wins as before.
    fn replay_finals(&mut self, block: usize, best: Bid) {
        let mut winner = best;
        let mut place = self.finals.len() / 2 + block;
        self.finals[place] = winner;
        while place > 1 {
            winner = winner.min(self.finals[place ^ 1]);
            place /= 2;
            if std::mem::replace(&mut self.finals[place], winner) == winner {
                return;
            }
        }
    }

    /// Plays the leading block's games, and sees who leads now.
    fn elect(&mut self) {
        let half = self.finals.len() / 2;
        let mut winner = self.blocks[self.leading].best();
        let mut place = half + self.leading;
        self.finals[place] = winner;
        while place > 1 {
            winner = winner.min(self.finals[place ^ 1]);
            place /= 2;
            self.finals[place] = winner;
        }
        self.leading = winner
            .player()
            .map_or(0, |player| usize::from(player) / BLOCK);
        self.rival = Bid::NONE;
        let mut place = half + self.leading;
        while place > 1 {
            self.rival = self.rival.min(self.finals[place ^ 1]);
            place /= 2;
        }
    }
}

impl Block {
    fn best(&self) -> Bid {
        self.0[1]
    }

    /// The one of this number, of which the last bits count, bids otherwise. Whom a winner would meet is known beforehand, so that no
    /// game waits for what the one before wrote.
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
    use crate::sched::Load;
    use crate::service::SchedulerKind;

    proptest! {
        /// Of few costs, so that many are equal, and some who take no conn.
        #[test]
        fn the_winner_is_the_first_of_the_cheapest(
            mut conns in prop::collection::vec(0..5u64, 1..100),
            changes in prop::collection::vec((0..100u16, 0..5u64), 1..200),
        ) {
            let cost = |conns: &u64| match conns {
                0 => Cost::NEVER,
                active => Cost::of(SchedulerKind::Lc, 1, Load { active: *active, inactive: 0 }),
            };
            let mut tournament = Tournament::new();
            tournament.restart(conns.iter().map(cost));
            for (player, change) in changes {
                if let Some(known) = conns.get_mut(usize::from(player)) {
                    *known = change;
                    tournament.bid(player, cost(&change));
                }
                let who_takes_conns = (0..).zip(&conns).filter(|(_, conns)| **conns > 0);
                let first = who_takes_conns.min_by_key(|(_, conns)| **conns);
                prop_assert_eq!(tournament.winner(), first.map(|(player, _)| player));
            }
        }
    }
}
