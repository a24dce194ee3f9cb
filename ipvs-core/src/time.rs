//! Time as the engine sees it: an argument, never read from a clock.

/// Nanoseconds since a fixed moment before the daemon started. The shell reads the clock once per
/// burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Nanoseconds
    pub ns: u64,
}

/// log2 of the nanoseconds of a [`Tick`].
const TICK_SHIFT: u32 = 21;

/// A coarse moment in units of 2^21 ns (about 2.1 ms). It wraps after 104 days, so only differences
/// below half of that have a meaning. The longest timeout is 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick(pub u32);

/// The time between two [`Tick`]s, in the same unit. It is at most [`Self::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Span(pub u32);

impl Span {
    /// The longest span between two ticks: half of the range of a tick, 52 days.
    pub const MAX: Self = Self(u32::MAX / 2);

    /// Longer than the time between any two ticks: the age of an entry that is not in use.
    pub(crate) const FOREVER: Self = Self(u32::MAX);

    /// A span of this many seconds. A longer one than [`Self::MAX`] is clamped.
    pub const fn from_secs(secs: u32) -> Self {
        let ticks = ((secs as u64) * 1_000_000_000) >> TICK_SHIFT;
        if ticks > Self::MAX.0 as u64 {
            Self::MAX
        } else {
            Self(ticks as u32)
        }
    }

    /// A span of this many milliseconds, rounded down to ticks.
    pub const fn from_millis(millis: u32) -> Self {
        Self(((millis as u64 * 1_000_000) >> TICK_SHIFT) as u32)
    }

    /// Whole seconds.
    pub const fn as_secs(self) -> u32 {
        (((self.0 as u64) << TICK_SHIFT) / 1_000_000_000) as u32
    }
}

impl Now {
    /// This moment as a tick.
    #[inline]
    pub const fn tick(self) -> Tick {
        Tick((self.ns >> TICK_SHIFT) as u32)
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
    /// The time from `earlier` to this moment. 0 if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> Span {
        let ticks = self.0.wrapping_sub(earlier.0);
        Span(if ticks > Span::MAX.0 { 0 } else { ticks })
    }

    /// The moment that is `span` after this one.
    #[inline]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.wrapping_add(span.0))
    }

    /// Whether `deadline` has passed.
    #[inline]
    pub const fn reached(self, deadline: Self) -> bool {
        self.0.wrapping_sub(deadline.0) <= Span::MAX.0
    }
}
