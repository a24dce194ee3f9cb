//! Releases of DPDK: the one that this program was compiled against, and the one that it runs with.
//!
//! With shared libraries they can differ. If the ABI differs, structs are laid out differently, and
//! ports then start with numbers that mean something else.

use std::fmt;

use dpdk_sys as sys;

/// A release of DPDK, e.g. 22.11.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Year of this century.
    pub year: u32,
    /// Month, 1 to 12.
    pub month: u32,
    /// Number of the stable release, 0 for the first.
    pub minor: u32,
}

impl Release {
    /// The one whose headers this program was compiled against.
    pub const COMPILED: Self = Self {
        year: sys::RTE_VER_YEAR,
        month: sys::RTE_VER_MONTH,
        minor: sys::RTE_VER_MINOR,
    };

    /// The one whose libraries the process has loaded. EAL need not be started.
    pub fn running() -> Self {
        // SAFETY: the functions return constants of the library.
        let (year, month, minor) = unsafe {
            (
                sys::rte_version_year(),
                sys::rte_version_month(),
                sys::rte_version_minor(),
            )
        };
        Self { year, month, minor }
    }

    /// The year of the ABI. A new one comes with each November's release and is kept until the
    /// next (DPDK's "ABI Policy").
    const fn abi(self) -> u32 {
        if self.month >= 11 {
            self.year
        } else {
            self.year.saturating_sub(1)
        }
    }

    /// Whether a program that was compiled against `self` may run with `running`. Stable releases
    /// of one month only mend faults.
    ///
    /// # Errors
    /// If it is another release, with or without another ABI.
    pub const fn fits(self, running: Self) -> Result<(), OtherRelease> {
        let compiled = self;
        if compiled.abi() != running.abi() {
            Err(OtherRelease::OtherAbi { compiled, running })
        } else if compiled.month != running.month || compiled.year != running.year {
            Err(OtherRelease::SameAbi { compiled, running })
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}.{}", self.year, self.month, self.minor)
    }
}

/// The process runs with another release of DPDK than it was compiled against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtherRelease {
    /// Their structs differ. EAL is not started.
    #[error(
        "this program was compiled against DPDK {compiled} and runs with the libraries of DPDK \
         {running}, which has another ABI: compile it again, or set LD_LIBRARY_PATH to the folder \
         that has librte_eal.so of DPDK {compiled}"
    )]
    OtherAbi {
        /// Compiled against.
        compiled: Release,
        /// Running with.
        running: Release,
    },
    /// Their structs are the same, but some functions and drivers are not.
    #[error(
        "this program was compiled against DPDK {compiled} and runs with the libraries of DPDK \
         {running}: their ABI is the same, but drivers may behave differently; compile it again \
         to be sure"
    )]
    SameAbi {
        /// Compiled against.
        compiled: Release,
        /// Running with.
        running: Release,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn release(year: u32, month: u32, minor: u32) -> Release {
        Release { year, month, minor }
    }

    #[test]
    fn stable_releases_of_one_month_fit_each_other() {
        assert_eq!(release(22, 11, 7).fits(release(22, 11, 11)), Ok(()));
    }

    // 23.03 and 23.07 keep the ABI of 22.11, and 23.11 begins a new one (DPDK's ABI policy).
    #[test]
    fn releases_until_the_next_november_have_the_same_abi() {
        let compiled = release(22, 11, 11);
        for month in [3, 7] {
            let running = release(23, month, 0);
            let expected = Err(OtherRelease::SameAbi { compiled, running });
            assert_eq!(compiled.fits(running), expected);
        }
        for running in [release(23, 11, 0), release(24, 3, 0), release(22, 7, 0)] {
            let expected = Err(OtherRelease::OtherAbi { compiled, running });
            assert_eq!(compiled.fits(running), expected);
        }
    }

    #[test]
    fn the_sentence_names_both_releases_and_the_way_out() {
        let failed = release(24, 11, 8).fits(release(22, 11, 11));
        let text = failed.err().map(|why| why.to_string()).unwrap_or_default();
        assert!(text.contains("compiled against DPDK 24.11.8"), "{text}");
        assert!(text.contains("libraries of DPDK 22.11.11"), "{text}");
        assert!(text.contains("LD_LIBRARY_PATH"), "{text}");
        assert_eq!(release(23, 3, 0).to_string(), "23.03.0");
    }

    #[test]
    fn this_test_runs_with_the_release_that_it_was_compiled_against() {
        assert_eq!(Release::COMPILED.fits(Release::running()), Ok(()));
    }
}
