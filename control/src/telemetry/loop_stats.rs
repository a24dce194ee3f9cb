//! What a worker's run loop counts about itself.

use std::array;

use ipvs_core::Counter;

/// Powers of two of nanoseconds: the last bucket holds everything from half a second on.
const BUCKETS: usize = 30;

/// Counters of a run loop: written by its worker, read by anyone.
#[derive(Debug)]
pub struct LoopStats {
    /// Turns of the loop
    pub loops: Counter,
    /// Receive bursts asked for
    pub rx_bursts: Counter,
    /// Of those, without a packet
    pub rx_bursts_empty: Counter,
    /// Of those, with as many packets as fit
    pub rx_bursts_full: Counter,
    /// Of those, with at least one packet and at most half as many as fit
    pub rx_bursts_to_half: Counter,
    /// Bytes received
    pub rx_bytes: Counter,
    /// Bytes sent
    pub tx_bytes: Counter,
    worst_ns: Counter,
    /// Loops that had packets, by the logarithm of their time
    histogram: [Counter; BUCKETS],
}

impl Default for LoopStats {
    fn default() -> Self {
        Self {
            loops: Counter::default(),
            rx_bursts: Counter::default(),
            rx_bursts_empty: Counter::default(),
            rx_bursts_full: Counter::default(),
            rx_bursts_to_half: Counter::default(),
            rx_bytes: Counter::default(),
            tx_bytes: Counter::default(),
            worst_ns: Counter::default(),
            histogram: array::from_fn(|_| Counter::default()),
        }
    }
}

impl LoopStats {
    /// Counts a turn of the loop. Called by the worker.
    #[inline]
    pub fn record(&self, ns: u64, was_busy: bool) {
        self.loops.add(1);
        if ns > self.worst_ns.get() {
            self.worst_ns.set(ns);
        }
        if was_busy {
            let bucket = (u64::BITS - ns.leading_zeros()) as usize;
            self.histogram[bucket.min(BUCKETS - 1)].add(1);
        }
    }

    /// Counts a receive burst. Called by the worker.
    #[inline]
    pub fn record_burst(&self, packets: usize, most: usize) {
        self.rx_bursts.add(1);
        self.rx_bursts_empty.add(u64::from(packets == 0));
        self.rx_bursts_full.add(u64::from(packets == most));
        let is_to_half = packets != 0 && packets <= most / 2;
        self.rx_bursts_to_half.add(u64::from(is_to_half));
    }

    /// The longest turn in nanoseconds.
    pub fn worst_ns(&self) -> u64 {
        self.worst_ns.get()
    }

    /// The time that 99 of 100 turns with packets stay below, in nanoseconds: a power of two, or the
    /// longest turn if that was shorter.
    pub fn p99_ns(&self) -> u64 {
        let counts: Vec<u64> = self.histogram.iter().map(Counter::get).collect();
        let total: u64 = counts.iter().sum();
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if seen * 100 >= total * 99 && total > 0 {
                return (1 << bucket).min(self.worst_ns());
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_of_100_loops_decides() {
        let stats = LoopStats::default();
        for _ in 0..99 {
            stats.record(900, true);
        }
        stats.record(1_000_000, true);
        stats.record(5, false);
        assert_eq!(stats.p99_ns(), 1024);
        assert_eq!(stats.worst_ns(), 1_000_000);
    }

    #[test]
    fn the_99th_of_100_loops_is_never_above_the_worst() {
        let stats = LoopStats::default();
        for ns in [600, 650, 700] {
            stats.record(ns, true);
        }
        assert_eq!((stats.p99_ns(), stats.worst_ns()), (700, 700));
    }
}
