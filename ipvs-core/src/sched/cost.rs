//! What a new conn at a dest would cost, for the schedulers that take the cheapest.

use std::cmp::Ordering;

use super::Load;
use crate::service::SchedulerKind;

/// How many inactive conns weigh as much as an active one; as IPVS counts them.
const ACTIVE_WEIGHT: u64 = 256;

/// A fraction, and what counts before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    class: u16,
    conns: u64,
    per: u64,
}

impl Cost {
    /// `None` if the scheduler gives the dest no conn.
    pub(super) fn of(kind: SchedulerKind, weight: u16, load: Load) -> Option<Self> {
        if weight == 0 {
            return None;
        }
        let conns = |more: u64| (load.active + more) * ACTIVE_WEIGHT + load.inactive;
        let by_weight = |class, conns| Self {
            class,
            conns,
            per: u64::from(weight),
        };
        let by_rank = Self {
            class: u16::MAX - weight,
            conns: 0,
            per: 1,
        };
        match kind {
            SchedulerKind::Lc => Some(Self {
                class: 0,
                conns: conns(0),
                per: 1,
            }),
            // IPVS counts active conns only. Half-open ones break ties here, lest a burst of them, or UDP,
            // which has no others, goes to one dest.
            SchedulerKind::Sed => Some(by_weight(0, conns(1))),
            SchedulerKind::Nq => Some(by_weight(u16::from(load.active > 0), conns(1))),
            SchedulerKind::Fo => Some(by_rank),
            SchedulerKind::Ovf => (load.active < u64::from(weight)).then_some(by_rank),
            _ => Some(by_weight(0, conns(0))),
        }
    }

    pub(super) fn is_less_than(&self, other: &Self) -> bool {
        match self.class.cmp(&other.class) {
            Ordering::Less => true,
            Ordering::Greater => false,
            // a / b < c / d, without dividing
            Ordering::Equal => {
                u128::from(self.conns) * u128::from(other.per)
                    < u128::from(other.conns) * u128::from(self.per)
            }
        }
    }
}
