//! A token bucket for events of one's own: how often something may happen. The limits of a service
//! (`ipvs-core/src/state/limits.rs`) count the conns of all workers, which this one cannot.

/// Allows `per_second` events a second on average, and `burst` at once. RFC 1812, 4.3.2.8 asks for
/// such a limit of ICMP errors.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    per_second: u32,
    /// A full bucket in thousandths of a token, so that one millisecond at one token per second
    /// counts.
    full_milli: u64,
    left_milli: u64,
    last_ms: u64,
}

/// Thousandths in one token.
const MILLI: u64 = 1_000;

impl RateLimit {
    /// A full bucket.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        let full_milli = burst as u64 * MILLI;
        Self {
            per_second,
            full_milli,
            left_milli: full_milli,
            last_ms: 0,
        }
    }

    /// Whether the event may happen now. If so, takes a token. A clock that stands still or goes
    /// back adds none.
    pub fn allow(&mut self, now_ms: u64) -> bool {
        let elapsed_ms = now_ms.saturating_sub(self.last_ms);
        self.last_ms = self.last_ms.max(now_ms);
        let refill = elapsed_ms.saturating_mul(u64::from(self.per_second));
        self.left_milli = self.left_milli.saturating_add(refill).min(self.full_milli);
        match self.left_milli.checked_sub(MILLI) {
            Some(left) => {
                self.left_milli = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut limit = RateLimit::new(10, 3);
        let allowed = (0..1_000u64)
            .filter(|now_ms| limit.allow(5_000 + now_ms))
            .count();
        assert_eq!(allowed, 3 + 9, "3 at once, then one each 100 ms");
        assert!(!limit.allow(5_999));
        assert!(!limit.allow(0), "a clock that goes back");
        assert!(limit.allow(u64::MAX));
    }
}
