//! How much memory a worker takes. It can be asked before anything is allocated.

use crate::conn::{ConnExts, ConnTable};
use crate::sched::Scheduling;
use crate::state::{DestCache, SharedState, WorkerStats};

/// Bytes that a worker takes whatever its sizes are, rounded up: fragments, neighbour queues, and
/// the packets of a batch.
const FIXED: usize = 2 << 20;

/// The memory of one worker: its engine, its counters, and its shared tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes that are touched before the first packet: conn tables, and what is remembered of
    /// dests.
    pub at_start: usize,
    /// Bytes that are allocated. The rest of them is touched as it is used.
    pub allocated: usize,
}

impl Footprint {
    /// The memory of a worker with tables of these sizes. The conn tables count as touched, since
    /// the daemon makes them resident.
    pub fn of_worker(max_conns: u32, max_conns_v6: u32, max_dests: u32) -> Self {
        let dests = max_dests as usize;
        let conns = ConnTable::<[u8; 4]>::bytes_for(max_conns)
            + ConnTable::<[u8; 16]>::bytes_for(max_conns_v6)
            + ConnExts::laddr_use_bytes_for(max_conns)
            + ConnExts::laddr_use_bytes_for(max_conns_v6);
        let at_start = FIXED + conns + DestCache::bytes_for(dests) + Scheduling::bytes_for(dests);
        let lazy = ConnExts::bytes_for(max_conns)
            + ConnExts::bytes_for(max_conns_v6)
            + SharedState::bytes_for(max_conns as usize)
            + WorkerStats::bytes_for(dests);
        Self {
            at_start,
            allocated: at_start + lazy,
        }
    }
}
