//! How the ports of a local address lie in memory, for a director with several workers.

use rss::{Owners, WorkerId};

use crate::CLASSES;
use crate::port_map::PortMap;

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
    pub(crate) fn new(owners: &Owners, worker: WorkerId, is_v6: bool) -> Self {
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
