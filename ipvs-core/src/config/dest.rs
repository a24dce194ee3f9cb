//! Real servers and local addresses.

use std::net::IpAddr;

use inet::IfIndex;

use crate::config::fwdmode::FwdMode;

/// Index of a dest in the per-worker arrays. Stable while the dest or a conn of it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestId(pub u32);

/// Index of a local address's port pool in the per-worker arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaddrId(pub u32);

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dest {
    /// Where its counters and conns are found.
    pub id: DestId,
    /// RIP
    pub addr: IpAddr,
    /// rport, host byte order
    pub port: u16,
    /// Share of new conns; 0 takes none and keeps those it has.
    pub weight: u16,
    /// How packets reach it.
    pub fwdmode: FwdMode,
    /// No new conn once it has this many; 0 for no limit.
    pub upper_threshold: u32,
    /// After the upper threshold was hit, new conns again only below this; 0 for 3/4 of the upper.
    pub lower_threshold: u32,
}

/// A local address of a FullNAT service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laddr {
    /// Which port pool of the worker belongs to it.
    pub id: LaddrId,
    /// LIP
    pub addr: IpAddr,
    /// The device it was added on.
    pub ifindex: IfIndex,
}
