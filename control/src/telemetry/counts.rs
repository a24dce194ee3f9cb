//! What a dest or a service has counted.

use std::ops::{Add, Sub};

use ipvs_core::DestStats;

/// Counters at one moment; or, of the last seconds, per second.
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
    /// What one worker counts of a dest.
    pub(crate) fn of(stats: &DestStats) -> Self {
        Self {
            conns: stats.conns.get(),
            in_packets: stats.in_packets.get(),
            out_packets: stats.out_packets.get(),
            in_bytes: stats.in_bytes.get(),
            out_bytes: stats.out_bytes.get(),
        }
    }

    /// Per second, when this was counted within `ms` milliseconds.
    pub(crate) fn per_second(self, ms: u64) -> Self {
        self.zip(Self::default(), |count, _| {
            count
                .saturating_mul(1000)
                .saturating_add(ms / 2)
                .checked_div(ms)
                .unwrap_or(0)
        })
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            conns: f(self.conns, other.conns),
            in_packets: f(self.in_packets, other.in_packets),
            out_packets: f(self.out_packets, other.out_packets),
            in_bytes: f(self.in_bytes, other.in_bytes),
            out_bytes: f(self.out_bytes, other.out_bytes),
        }
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
