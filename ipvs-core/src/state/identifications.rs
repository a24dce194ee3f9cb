//! The numbers by which a receiver tells the fragments of one packet from those of another.

use std::cell::Cell;

use rss::WorkerId;

/// How many identifications IPv4 has: RFC 791, 3.1.
const COUNT: u32 = 1 << 16;

/// Identifications for packets whose addresses are those of the director, so that the sender's own
/// numbers may collide with those of others (RFC 6864, 4.3; RFC 8200, 4.5; RFC 2003, 3.1).
///
/// Workers share local addresses, so each has a part of the numbers for itself. Within that part
/// they come one after the other: a number comes again as late as possible.
#[derive(Debug)]
pub(crate) struct Identifications {
    /// The numbers of this worker, for IPv4.
    first: u32,
    end: u32,
    /// The next one of them.
    next: Cell<u32>,
    /// The upper half of the number for IPv6: how often IPv4's numbers have been used up.
    round: Cell<u16>,
}

impl Identifications {
    /// The numbers of one of `workers` workers. `random` says where it begins, so that a restarted
    /// director does not repeat what it has just used.
    pub(crate) fn new(worker: WorkerId, workers: u16, random: u64) -> Self {
        let len = COUNT / u32::from(workers).max(1);
        let first = worker.index() as u32 * len;
        Self {
            first,
            end: first + len,
            next: Cell::new(first + random as u32 % len),
            round: Cell::new((random >> 32) as u16),
        }
    }

    /// The next number, for IPv6. Its lower half is one for IPv4.
    #[inline]
    pub(crate) fn next(&self) -> u32 {
        let number = self.next.get();
        let after = number + 1;
        if after < self.end {
            self.next.set(after);
        } else {
            self.next.set(self.first);
            self.round.set(self.round.get().wrapping_add(1));
        }
        u32::from(self.round.get()) << 16 | number
    }

    /// The next number, for IPv4.
    #[inline]
    pub(crate) fn next_v4(&self) -> u16 {
        self.next() as u16
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn workers_never_have_the_same_number() {
        for workers in [1, 2, 3, 48] {
            let mut seen = HashSet::new();
            for worker in 0..workers {
                let numbers = Identifications::new(WorkerId(worker), workers, 7);
                for _ in 0..COUNT / u32::from(workers) {
                    assert!(seen.insert(numbers.next_v4()), "{workers} workers");
                }
            }
        }
    }

    #[test]
    fn ipv6_has_65536_times_as_many() {
        let numbers = Identifications::new(WorkerId(1), 2, 0);
        let mut seen = HashSet::new();
        assert!((0..200_000).all(|_| seen.insert(numbers.next())));
    }
}
