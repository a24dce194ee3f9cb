//! How long a conn may be without a packet.

use zerocopy::FromZeros;

/// Set if the other bits count units of [`UNIT_SHIFT`] instead of seconds.
const IN_UNITS: u16 = 1 << 15;
/// log2 of the seconds of a unit.
const UNIT_SHIFT: u32 = 7;

/// The time without a packet after which a conn expires, in 16 bits: seconds up to 9 hours, and
/// units of 128 seconds, rounded up, to 48 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromZeros)]
#[repr(transparent)]
pub(crate) struct IdleTimeout(u16);

impl IdleTimeout {
    /// The timeout of a conn that has none yet.
    pub(crate) const ZERO: Self = Self(0);

    /// A timeout of this many seconds, or the longest there is.
    pub(crate) const fn from_secs(secs: u32) -> Self {
        if secs < IN_UNITS as u32 {
            return Self(secs as u16);
        }
        let units = secs.div_ceil(1 << UNIT_SHIFT);
        let most = (IN_UNITS - 1) as u32;
        Self(
            IN_UNITS
                | if units < most {
                    units as u16
                } else {
                    IN_UNITS - 1
                },
        )
    }

    /// Its seconds.
    #[inline]
    pub(crate) const fn as_secs(self) -> u32 {
        if self.0 & IN_UNITS == 0 {
            self.0 as u32
        } else {
            ((self.0 & !IN_UNITS) as u32) << UNIT_SHIFT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 31 days are the longest timeout of ipvsadm(8).
    #[test]
    fn timeouts_are_exact_up_to_9_hours_and_reach_beyond_31_days() {
        for secs in [0, 1, 900, 32_767] {
            assert_eq!(IdleTimeout::from_secs(secs).as_secs(), secs);
        }
        for secs in [32_768, 65_535, 65_536, 86_400, 31 * 86_400] {
            let kept = IdleTimeout::from_secs(secs).as_secs();
            assert!((secs..secs + 128).contains(&kept), "{secs}: {kept}");
        }
        assert!(IdleTimeout::from_secs(u32::MAX).as_secs() >= 31 * 86_400);
    }

    #[test]
    fn a_longer_timeout_is_never_less() {
        let mut secs: Vec<u32> = (32_000..34_000).chain([0, 65_535, 90_000]).collect();
        secs.sort_unstable();
        assert!(secs.is_sorted_by_key(|secs| IdleTimeout::from_secs(*secs)));
    }
}
