//! Time as the engine sees it: an argument, never read from a clock.

/// Nanoseconds since a fixed moment before the daemon started. The shell reads the clock once per
/// burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Nanoseconds
    pub ns: u64,
}

/// A coarse moment in units of 2^20 ns (about 1.05 ms). It wraps after 52 days, so only differences
/// below half of that have a meaning. Longer timeouts are clamped by [`Tick::from_secs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick(pub u32);

impl Now {
    /// This moment as a tick.
    #[inline]
    pub const fn tick(self) -> Tick {
        Tick((self.ns >> 20) as u32)
    }

    /// The moment this many seconds after the fixed one.
    pub const fn from_secs(secs: u64) -> Self {
        Self {
            ns: secs * 1_000_000_000,
        }
    }

    /// The moment this many milliseconds after the fixed one.
    pub const fn from_millis(millis: u64) -> Self {
        Self {
            ns: millis * 1_000_000,
        }
    }
}

impl Tick {
    /// A span of this many seconds, at most about 24 days.
    pub const fn from_secs(secs: u32) -> u32 {
        const MOST: u64 = (u32::MAX / 2) as u64;
        let ticks = ((secs as u64) * 1_000_000_000) >> 20;
        if ticks > MOST {
            MOST as u32
        } else {
            ticks as u32
        }
    }

    /// Whole seconds of a span in ticks.
    pub const fn span_to_secs(ticks: u32) -> u32 {
        (((ticks as u64) << 20) / 1_000_000_000) as u32
    }

    /// Ticks from `earlier` to this moment. 0 if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> u32 {
        let span = self.0.wrapping_sub(earlier.0);
        if span > u32::MAX / 2 { 0 } else { span }
    }

    /// The moment a span after this one.
    #[inline]
    pub const fn after(self, span: u32) -> Self {
        Self(self.0.wrapping_add(span))
    }

    /// Whether `deadline` has passed.
    #[inline]
    pub const fn reached(self, deadline: Self) -> bool {
        self.0.wrapping_sub(deadline.0) <= u32::MAX / 2
    }
}
