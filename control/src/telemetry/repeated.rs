//! Something that happens again and again is logged now and then.

/// Time between two lines about the same thing, in milliseconds.
const LINE_EVERY_MS: u64 = 60_000;

/// Says when something that is counted is worth a line: at once, then once a minute at most.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    /// How many there were at the latest line.
    logged: u64,
    quiet_until_ms: u64,
}

impl Repeated {
    /// How many there were since the latest line, if it is time for a line. `total` is how many
    /// there were ever.
    pub(super) const fn due(&mut self, now_ms: u64, total: u64) -> Option<u64> {
        let count = total.saturating_sub(self.logged);
        if count == 0 || now_ms < self.quiet_until_ms {
            return None;
        }
        self.logged = total;
        self.quiet_until_ms = now_ms.saturating_add(LINE_EVERY_MS);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_at_once_and_the_others_once_a_minute_with_their_count() {
        let mut drops = Repeated::default();
        assert_eq!(drops.due(5, 0), None);
        assert_eq!(drops.due(10, 3), Some(3));
        assert_eq!(drops.due(11, 4), None);
        assert_eq!(drops.due(60_009, 9), None);
        assert_eq!(drops.due(60_010, 9), Some(6));
        assert_eq!(drops.due(200_000, 9), None, "nothing has happened since");
        assert_eq!(drops.due(200_001, 10), Some(1));
    }
}
