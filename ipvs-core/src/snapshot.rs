//! What the control plane publishes to every worker at once.

use inet::Net;

use crate::service::ServiceTable;
use crate::timeouts::Timeouts;

/// The whole configuration a worker forwards by: immutable, read with one pointer load per batch.
/// Cloning it copies pointers only.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Services with their dests and local addresses.
    pub services: ServiceTable,
    /// Devices, addresses, routes and neighbours.
    pub net: Net,
    /// Timeouts of conns.
    pub timeouts: Timeouts,
}
