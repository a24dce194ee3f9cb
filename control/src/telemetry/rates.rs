//! Counters and rates of dests: read where the workers write them, without asking a worker.

use std::sync::Arc;
use std::time::Instant;

use ipvs_core::{DestId, LaddrUseId, OverloadMarks, Thresholds, WorkerStats};
use parking_lot::Mutex;

use crate::telemetry::counts::Counts;

/// Shortest time between two samples of a rate. A shorter one would say little.
const SHORTEST_MS: u64 = 500;

/// Reads the counters of all workers, and keeps the rates between the last two samples.
///
/// A rate is what was counted between two samples, divided by the time between them. IPVS smooths
/// exponentially instead, and shows traffic for a while after it has ended.
#[derive(Debug)]
pub(crate) struct Rates {
    workers: Vec<Arc<WorkerStats>>,
    /// Indexed by [`DestId`], up to the highest id that was used.
    samples: Mutex<Vec<Sample>>,
    started: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    at_ms: u64,
    counts: Counts,
    rates: Counts,
}

impl Rates {
    pub(crate) fn new(workers: Vec<Arc<WorkerStats>>) -> Self {
        Self {
            workers,
            samples: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// A dest gets this id: its counters may show what an earlier dest has counted.
    pub(crate) fn begin(&self, id: DestId) -> Counts {
        let counts = self.counts(id);
        let sample = Sample {
            at_ms: self.now_ms(),
            counts,
            rates: Counts::default(),
        };
        let at = id.0 as usize;
        let mut samples = self.samples.lock();
        if at >= samples.len() {
            samples.resize(at + 1, Sample::default());
        }
        samples[at] = sample;
        counts
    }

    /// The counters of a dest over all workers, since the daemon started.
    pub(crate) fn counts(&self, id: DestId) -> Counts {
        let of_workers = self.workers.iter().map(|stats| stats.dest(id));
        of_workers.fold(Counts::default(), |sum, stats| sum + Counts::of(stats))
    }

    /// Clients that keep to a dest, over all workers.
    pub(crate) fn persistent_conns(&self, id: DestId) -> u64 {
        let of_workers = self.workers.iter().map(|stats| stats.dest(id));
        of_workers.map(|stats| stats.persistent_conns.get()).sum()
    }

    /// Whether no worker has a conn or a persistent client of a dest.
    pub(crate) fn is_idle(&self, id: DestId) -> bool {
        self.conns(id) == (0, 0) && self.persistent_conns(id) == 0
    }

    /// Active and inactive conns of a dest over all workers.
    pub(crate) fn conns(&self, id: DestId) -> (u64, u64) {
        let of_workers = self.workers.iter().map(|stats| stats.dest(id));
        of_workers.fold((0, 0), |(active, inactive), stats| {
            (
                active + stats.active_conns.get(),
                inactive + stats.inactive_conns.get(),
            )
        })
    }

    /// The conns of a service that use a local address, over all workers.
    pub(crate) fn laddr_conns(&self, id: LaddrUseId) -> u64 {
        let of_workers = self.workers.iter().map(|stats| stats.laddr_use(id));
        of_workers.map(|stats| stats.conns.get()).sum()
    }

    /// How often a conn of a service found no free port of a local address, over all workers, since
    /// the daemon started.
    pub(crate) fn laddr_conflicts(&self, id: LaddrUseId) -> u64 {
        let of_workers = self.workers.iter().map(|stats| stats.laddr_use(id));
        of_workers.map(|stats| stats.conflicts.get()).sum()
    }

    /// Whether a dest with these thresholds takes no new conns, as the workers see it.
    pub(crate) fn is_overloaded(&self, id: DestId, thresholds: Thresholds) -> bool {
        let (active, inactive) = self.conns(id);
        let all = self.workers.iter().map(|stats| &stats.overloads);
        OverloadMarks::is_overloaded(all, id, thresholds, active + inactive)
    }

    /// Per second, between the last two samples.
    pub(crate) fn rates(&self, id: DestId) -> Counts {
        self.samples
            .lock()
            .get(id.0 as usize)
            .map_or(Counts::default(), |sample| sample.rates)
    }

    /// Takes a sample of these dests.
    pub(crate) fn sample(&self, ids: impl IntoIterator<Item = DestId>) {
        self.sample_at(self.now_ms(), ids);
    }

    fn sample_at(&self, now_ms: u64, ids: impl IntoIterator<Item = DestId>) {
        let mut samples = self.samples.lock();
        for id in ids {
            let Some(sample) = samples.get_mut(id.0 as usize) else {
                continue;
            };
            let ms = now_ms.saturating_sub(sample.at_ms);
            if ms < SHORTEST_MS {
                continue;
            }
            let counts = self.counts(id);
            *sample = Sample {
                at_ms: now_ms,
                counts,
                rates: (counts - sample.counts).per_second(ms),
            };
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_counted_by_the_time_it_took() {
        let workers: Vec<_> = (0..2).map(|_| Arc::new(WorkerStats::new(4))).collect();
        let rates = Rates::new(workers.clone());
        let id = DestId(1);
        workers[0].dest(id).conns.add(1_000_000);
        assert_eq!(rates.begin(id).conns, 1_000_000);
        let start_ms = rates.now_ms();
        workers
            .iter()
            .for_each(|stats| stats.dest(id).conns.add(500));
        rates.sample_at(start_ms + 100, [id]);
        assert_eq!(rates.rates(id).conns, 0, "too early to tell");
        rates.sample_at(start_ms + 2000, [id]);
        assert_eq!(rates.rates(id).conns, 500);
        rates.sample_at(start_ms + 4000, [id]);
        assert_eq!(rates.rates(id).conns, 0);
    }
}
