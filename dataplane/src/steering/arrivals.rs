//! Where packets came in: the proof of a port's method, by the packets themselves.

use ipvs_core::Counter;

/// Packets after which the method is judged for the first time.
const ENOUGH: u64 = 100;
/// Of how many packets one may be at the wrong worker: packets of flows that have moved, for
/// instance.
const ONE_OF: u64 = 100;

/// What a worker has received from a port. The worker writes it, control reads it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Packets from the NIC.
    pub(crate) received: Counter,
    /// Of those, TCP and UDP packets that the NIC was to bring to another worker.
    pub(crate) misplaced: Counter,
}

/// The sum over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Judged {
    pub(crate) received: u64,
    pub(crate) misplaced: u64,
}

impl Judged {
    /// What the workers have received.
    pub(crate) fn of<'a>(workers: impl Iterator<Item = &'a Arrivals>) -> Self {
        workers.fold(Self::default(), |sum, arrivals| Self {
            received: sum.received + arrivals.received.get(),
            misplaced: sum.misplaced + arrivals.misplaced.get(),
        })
    }

    /// What has come since then.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            misplaced: self.misplaced.saturating_sub(before.misplaced),
        }
    }

    /// Whether these are enough packets to judge by, and then whether they came in right. `None` if
    /// there are too few.
    pub(crate) const fn verdict(self) -> Option<bool> {
        if self.received < ENOUGH {
            return None;
        }
        Some(self.misplaced * ONE_OF <= self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_judged_by_a_hundred_packets_and_one_may_be_wrong() {
        let judged = |received, misplaced| {
            let judged = Judged {
                received,
                misplaced,
            };
            judged.verdict()
        };
        assert_eq!(judged(99, 50), None);
        assert_eq!(judged(100, 1), Some(true));
        assert_eq!(judged(100, 2), Some(false));
        assert_eq!(judged(1_000, 10), Some(true));
    }
}
