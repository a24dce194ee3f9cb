//! What an engine is made with, and the size of its batches.

use std::sync::Arc;

use rss::{Owners, WorkerId};

use crate::tuple::HashKey;

/// Packets that go through the stages together. Enough to hide a memory access behind the work for
/// the others, and few enough that their headers stay in the first-level cache.
pub const BATCH: usize = 64;

/// What an engine is made with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The number of this worker
    pub worker: WorkerId,
    /// Which worker owns which packet
    pub owners: Arc<Owners>,
    /// Which worker makes the conn of a client
    pub arrival: Arrival,
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

/// How the first packet of a client comes to a worker, and so which worker makes the conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// NICs have the key and the table of [`EngineConfig::owners`]. The owner by the hash makes the
    /// conn. So a fragment or an ICMP error, which the NIC hashes in another way, finds it.
    ByHash,
    /// NICs have a way of their own, but all packets of a flow come to one worker. That worker
    /// makes the conn. Only where the owner must be known by name does the hash decide: conns of
    /// NAT services, and fragments.
    AsItComes,
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
