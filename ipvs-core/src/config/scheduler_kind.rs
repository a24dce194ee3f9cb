//! The schedulers, by name.

/// Scheduler of a service: it chooses the dest of a new conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connection, without weights.
    Lc,
    /// Weighted least connection.
    Wlc,
    /// Shortest expected delay.
    Sed,
    /// Never queue: an idle dest if there is one, otherwise like sed.
    Nq,
    /// Source hashing: by the client's address.
    Sh(HashOptions),
    /// Destination hashing: by the destination address.
    Dh,
    /// Maglev hashing: by the client's address.
    Mh(HashOptions),
    /// Consistent hashing: by the client's address or by QUIC's connection ID.
    Conhash(HashTarget),
    /// Locality-based least connection: each destination address keeps one dest.
    Lblc,
    /// Locality-based least connection with replication: each destination address keeps a few
    /// dests.
    Lblcr,
    /// Failover: the dest with the highest weight.
    Fo,
    /// Overflow: the dest with the highest weight, until it has as many active conns as its weight.
    Ovf,
}

impl SchedulerKind {
    /// Whether it looks up a hash in a table of slots.
    pub const fn is_by_hash(self) -> bool {
        matches!(
            self,
            Self::Sh(_) | Self::Dh | Self::Mh(_) | Self::Conhash(_)
        )
    }
}

/// Options of sh and mh: `--sched-flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HashOptions {
    /// Whether the clients of an overloaded dest go to another one. Otherwise they are refused, as
    /// in IPVS.
    pub fallback: bool,
    /// Whether the client's port is hashed too.
    pub port: bool,
}

/// What conhash hashes: `--hash-target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashTarget {
    /// The client's address.
    #[default]
    Sip,
    /// The QUIC connection ID, if it names a dest or lasts as long as the connection, so that a
    /// client keeps its dest when its address changes. Otherwise the client's address.
    Qid,
}
