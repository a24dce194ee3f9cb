//! What a worker remembers besides its conns, and what it counts.
//!
//! Local ports ([`Laddrs`]), packets that wait for a neighbour ([`NeighQueue`]), fragments
//! ([`Fragments`]) and their numbers ([`Identifications`]), and the state per service and per dest.
//! Persistence templates and the expectations of FTP lie in tables that other workers read in place
//! (`shared_table`). [`WorkerStats`] has the counters.

mod atomics;
mod dest_cache;
mod dest_removals;
mod expectations;
mod fragments;
mod identifications;
mod laddrs;
pub(crate) mod limits;
mod neigh_queue;
mod service_state;
mod shared_state;
mod shared_table;
#[cfg(test)]
mod shared_table_tests;
mod stats;
pub(crate) mod templates;

pub(crate) use dest_cache::DestCache;
pub(crate) use dest_removals::DestRemovals;
pub(crate) use expectations::Expectation;
pub(crate) use fragments::{
    FirstFragment, Fragments, Half, Meeting, NOTE_LIFE_S, Part, WaitingFirst, Whole,
};
pub(crate) use identifications::Identifications;
pub(crate) use laddrs::Laddrs;
pub(crate) use neigh_queue::{Enqueued, NeighQueue, NeighbourKey};
pub(crate) use service_state::{ServiceState, service_state_of};
pub use shared_state::SharedState;
pub(crate) use stats::load_of;
pub use stats::{Counter, CounterInfo, DestStats, LaddrUseStats, ServiceStats, WorkerStats};
