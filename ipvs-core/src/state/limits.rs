//! How many conns, and how many new ones per second, a service takes: over all workers, by the counters of all.

use std::sync::Arc;

use crate::config::{Service, ServiceId};
use crate::drop_reason::DropReason;
use crate::state::stats::{ServiceStats, WorkerStats};
use crate::time::Now;

const NS_PER_S: i64 = 1_000_000_000;

/// What a worker knows of a service's rate of new conns: a bucket of a second's worth, from which the conns of all
/// workers are taken. All workers come to the same level, since they read the same counters.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateBucket {
    /// When it was looked at last; 0 if it never was
    seen_ns: u64,
    /// What all workers had made by then
    seen_conns: u64,
    /// Conns times a second in ns
    level: i64,
}

impl RateBucket {
    pub(super) const NEW: Self = Self {
        seen_ns: 0,
        seen_conns: 0,
        level: 0,
    };

    /// Whether one more may be made, which counts once it is among `conns_made`.
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
            // What was too many a moment ago is forgotten: the next second has its own.
            self.level = level.saturating_sub(made as i64 * NS_PER_S).max(-NS_PER_S);
        }
        self.seen_ns = now.ns;
        self.seen_conns = conns_made;
        self.level >= NS_PER_S
    }
}

/// Whether the service takes one more conn.
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

/// The same for a service with limits.
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

/// What all workers have counted of a service.
pub(crate) fn of_all(
    all_stats: &[Arc<WorkerStats>],
    service: ServiceId,
    count: fn(&ServiceStats) -> u64,
) -> u64 {
    let of_workers = all_stats.iter().map(|stats| stats.service(service));
    of_workers.map(count).sum()
}
