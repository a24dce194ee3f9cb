//! A packet whose look-up found no conn.

use crate::conn::{ConnId, Lookup};
use crate::wire::Flow;

/// A packet whose look-up found no conn. It is changed in place: to write it in parts and then move
/// it as a whole would be a store-forwarding stall.
#[derive(Debug)]
pub(crate) struct Miss<A, B> {
    /// `None` once the packet has come to its end
    pub(crate) packet: Option<B>,
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
    /// The conn that this packet made, and where its outbound entry goes. `None` if it made none,
    /// or an earlier packet of the batch did.
    pub(crate) made: Option<(ConnId, Lookup)>,
    pub(crate) adoption: Adoption,
}

/// What makes a conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// A packet of the conn: its first one, or any one that the service adopts
    OfPacket,
    /// An ICMP error about a packet of the conn, which the service adopts
    ByError,
}

impl<A, B> Miss<A, B> {
    pub(crate) const fn new(packet: B, flow: Flow<A>, lookup: Lookup) -> Self {
        Self {
            packet: Some(packet),
            flow,
            lookup,
            made: None,
            adoption: Adoption::OfPacket,
        }
    }
}
