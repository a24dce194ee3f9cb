//! Finds the lowest of many bids. A changed bid takes as many games as the number of players has
//! bits, and mostly only four.

use super::cost::Cost;

/// Number of players in a block, who play among themselves first. With blocks of this size, the
/// next winner is mostly in the same block, since players with equal bids win one after the other.
const BLOCK: usize = 16;
/// Rounds until a block has its winner.
const ROUNDS: u32 = BLOCK.ilog2();

/// The cost of a conn, and in the low bits the player. As it is one number, a game is one
/// comparison, and among equal costs the first player wins, as in IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bid(u64);

#[derive(Debug)]
pub(super) struct Tournament {
    blocks: Vec<Block>,
    /// The games between the winners of the blocks, arranged as the players of a block are.
    finals: Vec<Bid>,
    /// The index of the block that has the winner.
    leading: usize,
    /// The lowest bid outside the leading block. As long as the leading block's winner bids less,
    /// it need not play the finals, and `finals` is not updated for it. [`Bid::LEAST`] until the
    /// rival is searched for.
    rival: Bid,
}

/// A tree: the winner is at 1, and the winner of the game between 2n and 2n + 1 is at n. The
/// players are in the second half.
#[derive(Debug, Clone)]
struct Block([Bid; 2 * BLOCK]);

impl Bid {
    /// The bid of a missing player, or of one that takes no conns.
    const NONE: Self = Self(u64::MAX);
    /// The bid of the first player at cost 0.
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
    /// A tournament without players.
    pub(super) const fn new() -> Self {
        Self {
            blocks: Vec::new(),
            finals: Vec::new(),
            leading: 0,
            rival: Bid::NONE,
        }
    }

    /// Starts over with one player for each cost.
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

    /// The player with the lowest bid.
    pub(super) fn winner(&self) -> Option<u16> {
        self.blocks.get(self.leading)?.best().player()
    }

    /// Changes the cost of a player.
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

    /// Updates the finals after a change in the leading block. `best` is the bid of its winner now.
    fn defend(&mut self, best: Bid) {
        if best <= self.rival {
            return;
        }
        let winner = self.play_finals(self.leading, best);
        if winner == best {
            // The block has won twice in a row, so it may win again: now the rival is worth
            // searching for.
            self.rival = self.find_rival();
        } else {
            self.lead(winner);
        }
    }

    /// Updates the finals after a change in another block. `best` is the bid of its winner now,
    /// `leader` the bid of the leading block's winner.
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

    /// Makes the winner's block the leading one. Its rival is not searched for yet.
    fn lead(&mut self, winner: Bid) {
        self.leading = winner
            .player()
            .map_or(0, |player| usize::from(player) / BLOCK);
        self.rival = Bid::LEAST;
    }

    /// Plays the games of a block in the finals, all the way up: a check after each game whether
    /// anything changes would cost more. The index of each opponent is known in advance, so no game
    /// waits for the store of the one before.
    fn play_finals(&mut self, block: usize, best: Bid) -> Bid {
        let places = &mut self.finals[..];
        // The number of places is a power of two. Masking an index keeps it in range, so the bounds
        // check is optimized away.
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

    /// The lowest bid outside the leading block. It is among the opponents of that block's winner.
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

    /// Changes the bid of a player of the block. The low bits of `player` are its index in the
    /// block. Returns the bid of the winner.
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
        /// Either the winner takes a conn, or some player's conns change. There are few conns, so
        /// that many costs are equal, and some players take no conns.
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
