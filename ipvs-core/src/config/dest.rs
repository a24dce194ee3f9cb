//! Dests, which are the real servers of a service, and local addresses.

use std::net::IpAddr;

use inet::{IfIndex, Prefix};

use crate::config::fwdmode::FwdMode;

/// Index of a dest in the per-worker arrays. It does not change while the dest or a conn of it
/// exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestId(pub u32);

/// Index of a local address's port pool in the per-worker arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaddrId(pub u32);

/// Most local addresses of all services together. An address that several services use counts once
/// for each of them.
pub const MAX_LADDR_USES: u32 = 1 << 20;

/// Index of the counters of one local address in one service, below [`MAX_LADDR_USES`]. It does not
/// change while the service has the address, or a conn of the service uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaddrUseId(pub u32);

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dest {
    /// Index of its counters and its state.
    pub id: DestId,
    /// Address of the real server (RIP).
    pub addr: IpAddr,
    /// Port of the real server (rport), in host byte order.
    pub port: u16,
    /// Share of new conns. A dest of weight 0 gets no new conns, but keeps those it has.
    pub weight: u16,
    /// How packets are forwarded to it.
    pub fwdmode: FwdMode,
    /// No new conns from this number of conns on; 0 for no limit.
    pub upper_threshold: u32,
    /// Once the upper threshold was reached, new conns only below this number; 0 for 3/4 of the
    /// upper threshold.
    pub lower_threshold: u32,
    /// In tunnel mode: the outer source of each flow is an address of this prefix, which the flow's
    /// hash chooses. Otherwise it is the director's address on the way to the dest.
    pub tunnel_spread: Option<Prefix>,
}

/// A local address of a FullNAT service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laddr {
    /// Index of the worker's port pool for it.
    pub id: LaddrId,
    /// Index of what workers count of it in this service.
    pub use_id: LaddrUseId,
    /// The local address (LIP).
    pub addr: IpAddr,
    /// The device that the address is configured on.
    pub ifindex: IfIndex,
}
