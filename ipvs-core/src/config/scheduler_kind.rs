//! The schedulers, by name.

/// Which dest a new conn goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// Round robin
    Rr,
    /// Weighted round robin
    Wrr,
    /// Least connection, whatever the weights
    Lc,
    /// Weighted least connection
    Wlc,
    /// Shortest expected delay
    Sed,
    /// Never queue: an idle dest, else as sed
    Nq,
    /// By the hash of the client's address
    Sh(HashOptions),
    /// By the hash of the destination address
    Dh,
    /// Maglev: as sh
    Mh(HashOptions),
    /// Consistent hashing
    Conhash(HashTarget),
    /// Locality-based least connection: each destination address keeps to a dest
    Lblc,
    /// The same with replication: each destination address keeps to a few dests
    Lblcr,
    /// Failover: the dest with the highest weight
    Fo,
    /// Overflow: the dest with the highest weight until it has as many active conns
    Ovf,
}

impl SchedulerKind {
    /// Whether it looks a hash up in a table.
    pub const fn is_by_hash(self) -> bool {
        matches!(
            self,
            Self::Sh(_) | Self::Dh | Self::Mh(_) | Self::Conhash(_)
        )
    }
}

/// `--sched-flags` of sh and mh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HashOptions {
    /// An overloaded dest's clients go to another one; without it they are refused, as IPVS does.
    pub fallback: bool,
    /// The client's port counts too, not only its address.
    pub port: bool,
}

/// `--hash-target` of conhash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashTarget {
    /// The client's address
    #[default]
    Sip,
    /// The QUIC connection ID: a client keeps its dest when its address changes
    Qid,
}
