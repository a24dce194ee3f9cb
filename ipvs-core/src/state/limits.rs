//! Limits of a service: conns at a time and new conns per second. They apply to the sum over all
//! workers, computed from the counters of all workers.
//!
//! `inet::RateLimit` is a token bucket too, but another one: it takes a token for each of its own
//! events. The bucket here takes what all workers have counted since it was looked at last.

use std::sync::Arc;

use crate::config::{Service, ServiceId};
use crate::drop_reason::DropReason;
use crate::state::stats::{ServiceStats, WorkerStats};
use crate::time::Now;

const NS_PER_S: i64 = 1_000_000_000;

/// Token bucket for the new conns of a service, as one worker sees it. It holds one second's worth
/// of conns, and the conns of all workers are taken from it. All workers compute the same level,
/// since they read the same counters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateBucket {
    /// Time of the last update in nanoseconds; 0 before the first one.
    seen_ns: u64,
    /// Number of conns that all workers had made at that time.
    seen_conns: u64,
    /// Level of the bucket in billionths of a conn, so that a rate in conns per second times
    /// nanoseconds needs no division.
    level: i64,
}

impl RateBucket {
    pub(super) const NEW: Self = Self {
        seen_ns: 0,
        seen_conns: 0,
        level: 0,
    };

    /// Updates the bucket and returns whether it allows one more conn. That conn is subtracted when
    /// `conns_made` includes it. `per_s` is the limit in conns per second.
    pub(crate) fn allows(&mut self, now: Now, conns_made: u64, per_s: u32) -> bool {
        let depth = i64::from(per_s) * NS_PER_S;
        if self.seen_ns == 0 {
            self.level = depth;
        } else {
            let passed_ns = now.ns.saturating_sub(self.seen_ns).min(NS_PER_S as u64);
            let filled = passed_ns as i64 * i64::from(per_s);
            let made = conns_made
                .wrapping_sub(self.seen_conns)
                .min(u64::from(per_s));
            let level = self.level.saturating_add(filled).min(depth);
            // At most one conn is overdrawn, so that a moment with too many conns does not use up
            // the conns of the next second.
            self.level = level.saturating_sub(made as i64 * NS_PER_S).max(-NS_PER_S);
        }
        self.seen_ns = now.ns;
        self.seen_conns = conns_made;
        self.level >= NS_PER_S
    }
}

/// Checks the limits of a service before a new conn is made.
///
/// # Errors
///
/// The reason to drop the packet.
#[inline]
pub(crate) fn check(
    service: &Service,
    bucket: &mut RateBucket,
    all_stats: &[Arc<WorkerStats>],
    now: Now,
) -> Result<(), DropReason> {
    let options = &service.options;
    if options.conn_limit.is_none() && options.conn_rate_limit.is_none() {
        return Ok(());
    }
    check_limited(service, bucket, all_stats, now)
}

/// [`check`] for a service that has limits.
#[inline(never)]
fn check_limited(
    service: &Service,
    bucket: &mut RateBucket,
    all_stats: &[Arc<WorkerStats>],
    now: Now,
) -> Result<(), DropReason> {
    let of_all = |count| of_all(all_stats, service.id, count);
    if let Some(most) = service.options.conn_limit
        && of_all(|stats| stats.conns.get()) >= u64::from(most)
    {
        return Err(DropReason::ConnLimit);
    }
    if let Some(per_s) = service.options.conn_rate_limit
        && !bucket.allows(now, of_all(|stats| stats.conns_made.get()), per_s)
    {
        return Err(DropReason::ConnRateLimit);
    }
    Ok(())
}

/// The sum of a counter of a service over all workers.
pub(crate) fn of_all(
    all_stats: &[Arc<WorkerStats>],
    service: ServiceId,
    count: fn(&ServiceStats) -> u64,
) -> u64 {
    let of_workers = all_stats.iter().map(|stats| stats.service(service));
    of_workers.map(count).sum()
}
