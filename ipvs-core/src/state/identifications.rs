//! The numbers by which a receiver tells the fragments of one packet from those of another.

use std::cell::Cell;
use std::fmt;

use rss::WorkerId;

/// log2 of [`COUNTERS`].
const COUNTERS_SHIFT: u32 = 11;
/// Counters of whole packets. As many as Linux has at least (`ip_idents`).
const COUNTERS: usize = 1 << COUNTERS_SHIFT;
/// With more workers than this, some of them have the same numbers.
const MOST_WORKERS: u16 = 1 << 14;

/// Identifications for packets whose addresses are those of the director, so that the sender's own
/// numbers may collide with those of others (RFC 6864, 4.3; RFC 8200, 4.5; RFC 2003, 3.1).
///
/// Whole packets are counted by destination, with one of many counters each, so a number comes
/// again late. Nobody but the receiver can tell its next one (RFC 7739, 5.3). Fragments have
/// numbers of their own, in an order that nobody can tell.
///
/// Workers share local addresses, so each has a part of the numbers for itself. Which part, and
/// whether it is of whole packets or of fragments, is in the lowest bits.
pub(crate) struct Identifications {
    /// The latest number of each counter
    counters: [Cell<u16>; COUNTERS],
    /// Which destination has which counter
    key: u32,
    /// From a number to the next one of this worker
    step: u16,
    /// The lowest number of a fragment
    first_of_fragments: u16,
    /// How many packets had to be fragmented
    fragmented: Cell<u32>,
    /// The order of the numbers of fragments
    order: Order,
}

impl Identifications {
    /// The numbers of one of `workers` workers. Nobody else knows `random`, which is another one
    /// each time the director starts.
    pub(crate) fn new(worker: WorkerId, workers: u16, random: u64) -> Self {
        let parts = workers.clamp(1, MOST_WORKERS).next_power_of_two();
        let part = worker.index() as u16 % parts;
        let step = 2 * parts;
        let numbers = (1 << u16::BITS) / u32::from(step);
        let some = |n: usize| mix(random.wrapping_add(n as u64));
        let first = |n: usize| (some(n) as u16).wrapping_mul(step) | (2 * part);
        Self {
            counters: std::array::from_fn(|n| Cell::new(first(n))),
            key: some(COUNTERS) as u32 | 1,
            step,
            first_of_fragments: 2 * part + 1,
            fragmented: Cell::new(some(COUNTERS + 1) as u32),
            order: Order {
                numbers,
                keys: [2, 3].map(|n| some(COUNTERS + n) as u32),
            },
        }
    }

    /// The next number for a whole packet to this destination.
    #[inline(always)]
    pub(crate) fn next_to(&self, dst: [u8; 4]) -> u16 {
        let hash = u32::from_ne_bytes(dst).wrapping_mul(self.key);
        let counter = &self.counters[(hash >> (u32::BITS - COUNTERS_SHIFT)) as usize];
        let number = counter.get().wrapping_add(self.step);
        counter.set(number);
        number
    }

    /// The next number for fragments. Its lower half is one for IPv4.
    pub(crate) fn next_of_fragments(&self) -> u32 {
        let turn = self.fragmented.get();
        self.fragmented.set(turn.wrapping_add(1));
        let (at, round) = self.order.at(turn);
        let low = (at * u32::from(self.step)) | u32::from(self.first_of_fragments);
        round << u16::BITS | low
    }
}

impl fmt::Debug for Identifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identifications").finish_non_exhaustive()
    }
}

/// An order of numbers that only its keys tell.
#[derive(Debug, Clone, Copy)]
struct Order {
    /// How many there are for IPv4, a power of two.
    numbers: u32,
    keys: [u32; 2],
}

impl Order {
    /// The number whose turn it is, below `numbers`, and 16 bits for the upper half of IPv6's. Each
    /// pair comes once in the turns that they can count.
    const fn at(self, turn: u32) -> (u32, u32) {
        let Self { numbers, keys } = self;
        let half = numbers.trailing_zeros().div_ceil(2);
        let mut at = turn % numbers;
        let (mut n, mut key) = (0, keys[0]);
        // Each step can be undone: adding, multiplying by an odd number, and folding.
        while n < 4 {
            at = at.wrapping_add(key).wrapping_mul(key | 1) % numbers;
            at ^= at >> half;
            key = key.rotate_left(7) ^ keys[1];
            n += 1;
        }
        let round = turn / numbers;
        let high = round ^ mix((keys[1] as u64) << 32 | at as u64) as u32;
        (at, high % (1 << u16::BITS))
    }
}

/// Spreads bits: the last steps of SplitMix64.
const fn mix(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const DST: [u8; 4] = [10, 0, 0, 48];
    const RANDOM: u64 = 0x1234_5678_9abc_def0;

    #[test]
    fn neither_workers_nor_fragments_and_whole_packets_have_the_same_number() {
        for workers in [1, 2, 3, 48] {
            let mut seen = HashSet::new();
            for worker in 0..workers {
                let numbers = Identifications::new(WorkerId(worker), workers, RANDOM);
                for _ in 0..numbers.order.numbers {
                    assert!(seen.insert(numbers.next_to(DST)), "{workers} workers");
                    let of_fragments = numbers.next_of_fragments() as u16;
                    assert!(seen.insert(of_fragments), "{workers} workers");
                }
            }
        }
    }

    #[test]
    fn ipv6_has_65536_times_as_many() {
        let numbers = Identifications::new(WorkerId(1), 2, RANDOM);
        let mut seen = HashSet::new();
        assert!((0..2_000_000).all(|_| seen.insert(numbers.next_of_fragments())));
    }

    /// RFC 7739, 4: who can tell the next number forges fragments. What goes to one destination
    /// says nothing about another, and the fragments of one packet nothing about those of the next.
    #[test]
    fn numbers_of_others_are_hard_to_guess() {
        let numbers = Identifications::new(WorkerId(0), 1, RANDOM);
        let of_others: HashSet<u16> = (1..=200)
            .map(|host| {
                let own = numbers.next_to(DST);
                numbers.next_to([10, 0, 1, host]).wrapping_sub(own)
            })
            .collect();
        assert!(of_others.len() > 180, "{}", of_others.len());
        let of_fragments: Vec<_> = (0..200).map(|_| numbers.next_of_fragments()).collect();
        let steps: HashSet<u16> = of_fragments
            .windows(2)
            .map(|pair| (pair[1] as u16).wrapping_sub(pair[0] as u16))
            .collect();
        assert!(steps.len() > 100, "{}", steps.len());
    }

    /// RFC 6864, 4.3: a number must not come again while a fragment with it may be under way.
    #[test]
    fn a_destination_s_numbers_do_not_run_out_by_packets_to_others() {
        let numbers = Identifications::new(WorkerId(0), 1, RANDOM);
        let mut seen = HashSet::new();
        for _ in 0..10 {
            assert!(seen.insert(numbers.next_to(DST)));
            for n in 1..16_384_u32 {
                numbers.next_to(n.to_be_bytes());
            }
        }
    }
}
