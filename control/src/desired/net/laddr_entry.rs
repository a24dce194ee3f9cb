//! An address whose ports are shared out among the workers.

use std::net::IpAddr;

use inet::IfIndex;
use ipvs_core::{LaddrId, ServiceKey};

/// An address whose ports are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaddrEntry {
    /// Number of its pools at the workers
    pub id: LaddrId,
    /// Its device
    pub ifindex: IfIndex,
    /// How many services have it as a local address
    pub services: usize,
    /// How many SNAT dests have it as their WAN address
    pub wans: usize,
    /// Nothing refers to it any more, and it goes when no conn uses it
    pub is_leaving: bool,
}

/// A local address that no service has any more, and that may still have conns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeavingLaddr {
    /// The address
    pub addr: IpAddr,
    /// Number of its pools at the workers
    pub id: LaddrId,
    /// The last service that had it
    pub service: ServiceKey,
}
