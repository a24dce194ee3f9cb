//! Which ports of a local address a worker may take.

use std::sync::Arc;

use rss::{Owners, WorkerId};

use crate::CLASSES;
use crate::bitmap::Bitmaps;
use crate::classed::ClassedPorts;
use crate::port_map::PortMap;
use crate::{FIRST_PORT, PORTS};

/// The classes of a director with several workers, for one worker and one address family.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) map: PortMap,
    /// The entries of the redirection table that lead to the worker.
    pub(crate) entries: Box<[u16]>,
    /// The same as a bitmap.
    pub(crate) owned: Box<[u64]>,
    sets: usize,
}

impl Layout {
    fn new(owners: &Owners, worker: WorkerId, is_v6: bool) -> Self {
        let table = owners.table();
        let is_own = |entry: &usize| table[*entry] == worker;
        let mut owned = vec![0; table.len().div_ceil(64)].into_boxed_slice();
        let entries = (0..table.len()).filter(is_own);
        let entries: Box<[u16]> = entries
            .inspect(|entry| owned[entry / 64] |= 1 << (entry % 64))
            .map(|entry| entry as u16)
            .collect();
        let workers = usize::from(owners.workers());
        Self {
            map: PortMap::new(owners, is_v6),
            entries,
            owned,
            // Dests of one class already differ in the entries that lead to the worker. Together
            // there are as many classes as one worker would have.
            sets: CLASSES.div_ceil(workers).next_power_of_two(),
        }
    }

    /// Number of classes of dests.
    pub(crate) const fn sets(&self) -> usize {
        self.sets
    }

    /// Number of classes of ports: of entries of the redirection table.
    pub(crate) const fn classes(&self) -> usize {
        1 << self.map.class_bits()
    }

    /// Ports of a class.
    pub(crate) const fn class_len(&self) -> usize {
        1 << (16 - self.map.class_bits())
    }

    /// Words of a bitmap with a bit for each class of ports.
    pub(crate) const fn class_words(&self) -> usize {
        self.classes().div_ceil(64)
    }
}

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
