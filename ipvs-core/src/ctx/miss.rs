//! A packet whose look-up found no conn.

use crate::conn::{ConnId, Lookup};
use crate::wire::Flow;

/// A packet whose look-up found no conn. What becomes of it is written where it lies: what is written in parts and then moved as
/// a whole waits until all that was written before is in the cache, a new conn among it.
#[derive(Debug)]
pub(crate) struct Miss<A, B> {
    /// `None` once it has come to its end
    pub(crate) packet: Option<B>,
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
    /// The conn that this packet made, in the table by its inbound tuple, and where its outbound one goes; `None` if
    /// an earlier packet of the batch made it.
    pub(crate) made: Option<(ConnId, Lookup)>,
}

impl<A, B> Miss<A, B> {
    pub(crate) const fn new(packet: B, flow: Flow<A>, lookup: Lookup) -> Self {
        Self {
            packet: Some(packet),
            flow,
            lookup,
            made: None,
        }
    }
}
