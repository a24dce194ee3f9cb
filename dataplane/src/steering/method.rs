//! How packets of a port reach the worker that owns their conn.

use std::fmt;

/// The method of a port. `dpip link show` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steering {
    /// There is one queue, so its worker owns everything.
    OneWorker,
    /// The worker that receives a packet hands it to the owner.
    RedirectRing,
}

impl Steering {
    /// The method of a port with this many queues.
    pub(crate) const fn of(queues: u16) -> Self {
        if queues > 1 {
            Self::RedirectRing
        } else {
            Self::OneWorker
        }
    }
}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneWorker => "one worker",
            Self::RedirectRing => "redirect ring",
        })
    }
}
