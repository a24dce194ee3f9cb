//! Which ports of a local address a worker may take.

use std::sync::Arc;

use rss::{Owners, WorkerId};

use crate::bitmap::Bitmaps;
use crate::classed::ClassedPorts;
use crate::layout::Layout;
use crate::{CLASSES, FIRST_PORT, PORTS};

/// Which ports of a local address a worker may take: those whose replies come to it. Cheap to
/// clone; control makes it once for each worker and family.
#[derive(Debug, Clone)]
pub struct PoolShare(pub(crate) Option<Arc<Layout>>);

impl PoolShare {
    /// The share of `worker` in the ports of addresses of a family.
    pub fn new(owners: &Owners, worker: WorkerId, is_v6: bool) -> Self {
        let has_others = owners.workers() > 1;
        Self(has_others.then(|| Arc::new(Layout::new(owners, worker, is_v6))))
    }

    /// How many conns a pool of this share can serve at once, if the dests are many.
    pub fn capacity(&self) -> u64 {
        let sets = self.0.as_ref().map_or(CLASSES, |layout| layout.sets());
        u64::from(PORTS) * sets as u64
    }

    /// Bytes of memory of a pool of this share.
    pub fn pool_bytes(&self) -> usize {
        match &self.0 {
            None => Bitmaps::<CLASSES>::bytes_for(u32::from(FIRST_PORT) + PORTS),
            Some(layout) => ClassedPorts::bytes_for(layout),
        }
    }
}
