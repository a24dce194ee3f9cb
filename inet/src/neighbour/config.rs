//! Times and bounds of the neighbour table.

/// Times and bounds of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// How long a neighbour is reachable after an answer. DPVS: `neigh_defs/timeout`, 60 s.
    pub reachable_ms: u64,
    /// Time between two requests. RFC 1122, 2.3.2.1 allows one a second.
    pub retransmit_ms: u64,
    /// Requests without an answer before the neighbour is failed. Linux: `mcast_solicit`.
    pub max_probes: u32,
    /// How long a failed neighbour is shown.
    pub forget_ms: u64,
    /// Most entries of the table.
    pub max_entries: usize,
}

impl Default for NeighbourConfig {
    fn default() -> Self {
        Self {
            reachable_ms: 60_000,
            retransmit_ms: 1_000,
            max_probes: 3,
            forget_ms: 10_000,
            max_entries: 65_536,
        }
    }
}
