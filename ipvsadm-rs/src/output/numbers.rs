//! Counters in columns.

use proto::v1::{Counters, Rates};

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Large numbers in units of K, M, G or T.
    Short,
    /// All numbers in full.
    Exact,
}

/// Conns, packets in and out, bytes in and out.
pub(super) fn stats(counters: Option<Counters>) -> [u64; 5] {
    let counters = counters.unwrap_or_default();
    [
        counters.conns,
        counters.in_packets,
        counters.out_packets,
        counters.in_bytes,
        counters.out_bytes,
    ]
}

/// Conns, packets in and out, bytes in and out, each per second.
pub(super) fn rates(rates: Option<Rates>) -> [u64; 5] {
    let rates = rates.unwrap_or_default();
    [
        rates.conns,
        rates.in_packets,
        rates.out_packets,
        rates.in_bytes,
        rates.out_bytes,
    ]
}

/// Five numbers in columns of eight characters.
pub(super) fn five(values: [u64; 5], numbers: Numbers) -> String {
    values
        .iter()
        .map(|value| format!(" {}", large(*value, numbers)))
        .collect()
}

/// A number in eight characters: up to eight digits in full, more in units of K, M, G or T.
pub(super) fn large(value: u64, numbers: Numbers) -> String {
    const STEPS: [(u64, u64, char); 4] = [
        (1_000_000_000, 1_000, 'K'),
        (100_000_000_000, 1_000_000, 'M'),
        (100_000_000_000_000, 1_000_000_000, 'G'),
        (u64::MAX, 1_000_000_000_000, 'T'),
    ];
    if numbers == Numbers::Exact {
        return format!("{value:>8}");
    }
    if value < 100_000_000 {
        return format!("{value:>8}");
    }
    STEPS.iter().find(|(below, ..)| value < *below).map_or_else(
        || format!("{value:>8}"),
        |(_, unit, letter)| format!("{:>7}{letter}", value / unit),
    )
}
