//! Which dest a new conn goes to.

mod overload;
mod rotation;
mod wlc;

pub(crate) use overload::Overload;
pub use rotation::rotation;

use crate::service::{Dest, SchedulerKind, Service};

/// What a worker remembers of a service between two new conns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    /// Where rr and wrr go on in the rotation.
    next_dest: u32,
    /// Where the round robin of local addresses goes on.
    pub next_laddr: u32,
}

impl Turn {
    /// The turn of a worker that has seen nothing of the service yet. Workers begin at different
    /// dests, so that the first conns of all workers do not meet at one.
    pub const fn of_worker(worker: u16) -> Self {
        Self {
            next_dest: worker as u32,
            next_laddr: worker as u32,
        }
    }
}

/// Conns of a dest as far as a scheduler weighs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Established
    pub active: u64,
    /// Any other state
    pub inactive: u64,
}

/// The dest for a new conn among those that take any, or `None`.
pub(crate) fn schedule<'a>(
    service: &'a Service,
    turn: &mut Turn,
    overload: &Overload,
    load_of: impl Fn(&Dest) -> Load,
) -> Option<&'a Dest> {
    match service.scheduler {
        SchedulerKind::Rr | SchedulerKind::Wrr => {
            // Only a dest with a threshold is worth a look at its counters.
            let takes_conns = |dest: &Dest| {
                dest.upper_threshold == 0 || !overload.keeps_away(dest, load_of(dest))
            };
            rotation::next(service, &mut turn.next_dest, takes_conns)
        }
        SchedulerKind::Wlc => wlc::least_loaded(service, overload, load_of),
    }
}
