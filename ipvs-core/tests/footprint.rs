//! What [`Footprint`] says is what an engine allocates. A program of its own: the crate that counts
//! replaces the allocator of the whole program.

use std::sync::Arc;

use allocation_counter::measure;
use ipvs_core::tuple::HashKey;
use ipvs_core::{
    Arrival, Engine, EngineConfig, Footprint, Keys, Now, Owners, SharedState, WorkerId, WorkerStats,
};
use testkit::VecBuf;

/// Bytes by which the footprint may be too large: what does not depend on any size is rounded up.
const MOST_TOO_LARGE: u64 = 3 << 20;

/// Bytes that a worker with these sizes allocates.
fn allocated(max_conns: u32, max_conns_v6: u32, max_dests: u32) -> u64 {
    let key = HashKey([1, 2, 3, 4]);
    let config = EngineConfig {
        worker: WorkerId(0),
        owners: Arc::new(Owners::single()),
        arrival: Arrival::AsItComes,
        max_conns,
        max_conns_v6,
        keys: Keys {
            conns: key,
            sequence: key,
        },
        max_held: 4096,
        max_held_per_neighbour: 128,
    };
    let counted = measure(|| {
        let stats = vec![Arc::new(WorkerStats::new(max_dests as usize))];
        let state = vec![Arc::new(SharedState::new(max_conns as usize))];
        drop(Engine::<VecBuf>::new(
            config,
            stats,
            state,
            Now::from_secs(1),
        ));
    });
    counted.bytes_max
}

#[test]
fn a_worker_allocates_what_its_footprint_says() {
    for (max_conns, max_conns_v6, max_dests) in [
        (1, 1, 1),
        (65_536, 1, 1),
        (1, 65_536, 1),
        (100_000, 25_000, 4096),
        (1, 1, 1 << 20),
    ] {
        let footprint = Footprint::of_worker(max_conns, max_conns_v6, max_dests);
        let (said, is) = (
            footprint.allocated as u64,
            allocated(max_conns, max_conns_v6, max_dests),
        );
        assert!(
            is <= said && said - is <= MOST_TOO_LARGE,
            "{max_conns} {max_conns_v6} {max_dests}: {said} B are said, {is} B are allocated"
        );
        assert!(footprint.at_start <= footprint.allocated);
    }
}
