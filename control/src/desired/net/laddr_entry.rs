//! An address whose ports are shared out among the workers.

use inet::IfIndex;
use ipvs_core::LaddrId;

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
}
