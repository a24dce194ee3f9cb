//! How packets of a port reach the worker that owns their conn.

use std::fmt;

/// The method of a port, for one address family. `dpip link show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Steering {
    /// There is one worker, so it owns everything.
    OneWorker,
    /// The NIC hashes as the director does: it brings each packet to its owner.
    Rss,
    /// The worker that receives a packet hands it to the owner.
    RedirectRing(WhyRing),
}

impl Steering {
    pub(crate) fn is_rss(&self) -> bool {
        *self == Self::Rss
    }
}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneWorker => "one worker",
            Self::Rss => "rss",
            Self::RedirectRing(_) => "redirect ring",
        })
    }
}

/// Why a port does not bring packets to their owner itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WhyRing {
    #[error("the configuration says so")]
    Asked,
    #[error("the driver does not say how it spreads packets: {0}")]
    Unreadable(String),
    #[error("the driver spreads packets by a hash key of its own")]
    OtherKey,
    #[error("its redirection table has {0} entries: expected a power of two, at least {1}")]
    Table(usize, usize),
    #[error("the driver refused the redirection table: {0}")]
    TableRefused(String),
    #[error("the driver took the redirection table but uses another one")]
    TableIgnored,
    #[error("it does not hash the ports of {0}")]
    Fields(&'static str),
    #[error("{misplaced} of {of} packets came to the wrong worker")]
    Disproved { misplaced: u64, of: u64 },
}
