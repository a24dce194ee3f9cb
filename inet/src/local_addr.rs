//! An address of the director.

use std::net::IpAddr;

use crate::device::IfIndex;

/// An address of the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddr {
    /// The address
    pub addr: IpAddr,
    /// The device it was added on
    pub ifindex: IfIndex,
    /// A local address of FullNAT or SNAT: its ports belong to the workers' pools
    pub sapool: bool,
}
