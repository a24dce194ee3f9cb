//! What an engine is made with, and the size of its batches.

use sapool::WorkerId;

use crate::tuple::HashKey;

/// Packets that go through the stages together. Enough to hide a memory access behind the work for
/// the others, and few enough that their headers stay in the first-level cache.
pub const BATCH: usize = 64;

/// What an engine is made with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The number of this worker
    pub worker: WorkerId,
    /// How many workers there are. It decides which worker owns which local port.
    pub workers: u16,
    /// Most IPv4 conns at once
    pub max_conns: u32,
    /// Most conns at once of which an end has IPv6
    pub max_conns_v6: u32,
    /// Secrets, random per process
    pub keys: Keys,
    /// Most packets that are queued for neighbours at once
    pub max_held: u32,
    /// Most packets that are queued for one neighbour: `unres_queue_length` of DPVS
    pub max_held_per_neighbour: u16,
}

/// Secrets, so that nobody can choose tuples that collide, or guess sequence numbers.
#[derive(Clone, Copy)]
pub struct Keys {
    /// For the hash of the conn table
    pub conns: HashKey,
    /// For initial sequence numbers (RFC 6528)
    pub sequence: HashKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Where a batch of packets comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From a NIC.
    Nic,
    /// From another worker, which took this one for the owner of their conns. Their marks count the
    /// handoffs.
    Worker,
}
