//! Counters of dests and services: read where the workers write them, less what -Z took.

use std::ops::{Add, Sub};
use std::sync::Arc;

use ipvs_core::{DestId, WorkerStats};

/// What a dest or a service has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Conns made
    pub conns: u64,
    /// Packets from clients
    pub in_packets: u64,
    /// Packets from dests
    pub out_packets: u64,
    /// Bytes from clients
    pub in_bytes: u64,
    /// Bytes from dests
    pub out_bytes: u64,
}

impl Counts {
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            conns: f(self.conns, other.conns),
            in_packets: f(self.in_packets, other.in_packets),
            out_packets: f(self.out_packets, other.out_packets),
            in_bytes: f(self.in_bytes, other.in_bytes),
            out_bytes: f(self.out_bytes, other.out_bytes),
        }
    }

    /// Per second, when this was counted within `ms` milliseconds.
    pub(crate) fn per_second(self, ms: u64) -> Self {
        self.zip(Self::default(), |count, _| {
            (count * 1000).checked_div(ms).unwrap_or(0)
        })
    }
}

impl Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }
}

impl Sub for Counts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }
}

/// Where the counters of a dest begin, and how fast they went lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Baseline {
    /// What does not count: from before -Z, or of a dest that had the number before
    pub(crate) zero: Counts,
    /// As read by the last sample
    pub(crate) sampled: Counts,
    /// Per second between the last two samples
    pub(crate) rates: Counts,
}

impl Baseline {
    /// Counting begins at these counts.
    pub(crate) fn at(counts: Counts) -> Self {
        Self {
            zero: counts,
            sampled: counts,
            rates: Counts::default(),
        }
    }
}

/// The counters of a dest over all workers, since the daemon started.
pub(crate) fn counts_of(workers: &[Arc<WorkerStats>], id: DestId) -> Counts {
    workers
        .iter()
        .map(|stats| stats.dest(id))
        .fold(Counts::default(), |sum, stats| {
            sum + Counts {
                conns: stats.conns.get(),
                in_packets: stats.in_packets.get(),
                out_packets: stats.out_packets.get(),
                in_bytes: stats.in_bytes.get(),
                out_bytes: stats.out_bytes.get(),
            }
        })
}

/// Active and inactive conns of a dest over all workers.
pub(crate) fn conns_of(workers: &[Arc<WorkerStats>], id: DestId) -> (u64, u64) {
    workers
        .iter()
        .map(|stats| stats.dest(id))
        .fold((0, 0), |(active, inactive), stats| {
            (
                active + stats.active_conns.get(),
                inactive + stats.inactive_conns.get(),
            )
        })
}
