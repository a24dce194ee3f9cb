//! What an engine is made with, and the size of its batches.

use sapool::WorkerId;

use crate::tuple::HashKey;

/// Packets that go through the stages together. Enough to hide a memory access behind the others'
/// work, few enough that their headers stay in the first-level cache.
pub const BATCH: usize = 64;

/// What an engine is made with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// This worker, from 0.
    pub worker: WorkerId,
    /// All workers. Their order decides who owns which local port.
    pub workers: u16,
    /// Most conns at once of IPv4.
    pub max_conns: u32,
    /// Most conns at once of which an end has IPv6.
    pub max_conns_v6: u32,
    /// Random per process: the conn table's hash, the initial sequence numbers.
    pub keys: Keys,
    /// Most packets that wait for neighbours at once.
    pub max_held: u32,
    /// Of those, for the same neighbour: `unres_queue_length` of DPVS.
    pub max_held_per_neighbour: u16,
}

/// Secrets, so that nobody outside can choose tuples that collide or guess sequence numbers.
#[derive(Clone, Copy)]
pub struct Keys {
    /// Of the conn table's hash
    pub conns: HashKey,
    /// Of the initial sequence numbers (RFC 6528)
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
    /// A NIC
    Nic,
    /// Another worker, which thought that the conn is here. Their marks count the hand-overs.
    Worker,
}
