//! What control computes in advance for a scheduler when a service changes. Workers only look it
//! up.

pub(crate) mod hashing;
mod maglev;
mod rotation;
mod server_names;

use crate::config::dest::Dest;
use crate::config::scheduler_kind::{HashTarget, SchedulerKind};
use server_names::ServerNames;

/// The part of a scheduler that does not change from conn to conn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    order: Vec<u16>,
    server_names: ServerNames,
    fingerprint: u64,
}

impl Plan {
    /// The plan of a service with this scheduler and these dests.
    pub fn new(kind: SchedulerKind, dests: &[Dest]) -> Self {
        let order = match kind {
            SchedulerKind::Rr | SchedulerKind::Wrr => rotation::rotation(kind, dests),
            SchedulerKind::Sh(_)
            | SchedulerKind::Dh
            | SchedulerKind::Mh(_)
            | SchedulerKind::Conhash(_) => maglev::table(dests),
            SchedulerKind::Lc
            | SchedulerKind::Wlc
            | SchedulerKind::Sed
            | SchedulerKind::Nq
            | SchedulerKind::Lblc
            | SchedulerKind::Lblcr
            | SchedulerKind::Fo
            | SchedulerKind::Ovf => Vec::new(),
        };
        let server_names = match kind {
            SchedulerKind::Conhash(HashTarget::Qid) => ServerNames::new(dests),
            _ => ServerNames::default(),
        };
        Self {
            order,
            server_names,
            fingerprint: fingerprint(kind, dests),
        }
    }

    /// Indices of dests: the rotation of rr and wrr, or the slots of the hash schedulers. Empty for
    /// the others.
    pub fn order(&self) -> &[u16] {
        &self.order
    }

    pub(crate) const fn server_names(&self) -> &ServerNames {
        &self.server_names
    }

    /// A hash of the scheduler's kind and the dests' ids and weights, and of which dests have a
    /// threshold. By it, a worker notices that the dests of a service have changed.
    pub(crate) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

fn fingerprint(kind: SchedulerKind, dests: &[Dest]) -> u64 {
    let kind = match kind {
        SchedulerKind::Rr => 1,
        SchedulerKind::Wrr => 2,
        SchedulerKind::Lc => 3,
        SchedulerKind::Wlc => 4,
        SchedulerKind::Sed => 5,
        SchedulerKind::Nq => 6,
        SchedulerKind::Sh(_) => 7,
        SchedulerKind::Dh => 8,
        SchedulerKind::Mh(_) => 9,
        SchedulerKind::Conhash(_) => 10,
        SchedulerKind::Lblc => 11,
        SchedulerKind::Lblcr => 12,
        SchedulerKind::Fo => 13,
        SchedulerKind::Ovf => 14,
    };
    dests.iter().fold(hashing::mix(kind), |hash, dest| {
        let is_limited = u64::from(dest.upper_threshold != 0);
        let word = u64::from(dest.id.0) << 32 | is_limited << 16 | u64::from(dest.weight);
        hashing::mix(hash ^ word)
    })
}
