//! Pools of local ports: which worker may use which port of a local address, and so which worker
//! the replies come to.
//!
//! Every worker has a [`PortPool`] for each local address, with the ports that [`owner_of`] gives
//! to it. Any worker that receives a reply can tell from the port alone whose conn it belongs to.
//! The crate is pure functions and plain memory. The engine calls it when a conn is made and when
//! it ends.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod bitmap;
mod usage;
mod worker_id;

use std::sync::Arc;

use bitmap::Bitmaps;
pub use usage::PoolUsage;
pub use worker_id::WorkerId;

/// First port that is handed out. DPVS leaves the privileged ones and 1024 alone.
pub const FIRST_PORT: u16 = 1025;
/// Last port that is handed out.
pub const LAST_PORT: u16 = u16::MAX;
/// How many ports one local address has towards one class of dests.
pub const PORTS: u32 = LAST_PORT as u32 - FIRST_PORT as u32 + 1;
/// Classes of dests: the same port can serve one conn towards each class. DPVS: `pool_hash_size`,
/// 16 by default. That makes the 1,032,176 free ports of a new local address that its tutorial
/// shows.
pub const CLASSES: usize = 16;

/// Ports that [`PortPool::take_movable`] tries at most.
const MOVABLE_TRIED: usize = 16;

/// The worker that owns a local port, and so the conns that use it.
#[inline]
pub const fn owner_of(port: u16, workers: u16) -> WorkerId {
    WorkerId(port % workers)
}

/// The class of a dest. Neighbouring addresses or ports, as real servers have them, fall into
/// different classes.
#[inline]
pub const fn class_of(daddr_low_bits: u32, dport: u16) -> usize {
    (daddr_low_bits.wrapping_add(dport as u32)) as usize % CLASSES
}

/// Which part of a local address's ports a worker owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShare {
    /// The lowest port of the share.
    first: u16,
    workers: u16,
}

impl PoolShare {
    /// The share of `worker` among `workers`. `None` if there is no such worker.
    pub const fn new(worker: WorkerId, workers: u16) -> Option<Self> {
        if worker.0 >= workers {
            return None;
        }
        let ahead = (worker.0 + workers - owner_of(FIRST_PORT, workers).0) % workers;
        Some(Self {
            first: FIRST_PORT + ahead,
            workers,
        })
    }

    /// How many conns a pool of this share can serve at once, over all classes.
    pub const fn capacity(self) -> u64 {
        self.len() as u64 * CLASSES as u64
    }

    /// Bytes of memory of a pool of this share.
    pub const fn pool_bytes(self) -> usize {
        Bitmaps::<CLASSES>::bytes_for(self.len())
    }

    /// How many ports of each class are in the share.
    const fn len(self) -> u32 {
        (LAST_PORT - self.first) as u32 / self.workers as u32 + 1
    }

    const fn port(self, index: u32) -> u16 {
        // index < len(), so this is at most LAST_PORT.
        self.first + (index * self.workers as u32) as u16
    }

    fn index(self, port: u16) -> Option<u32> {
        let above = port.checked_sub(self.first)?;
        above
            .is_multiple_of(self.workers)
            .then_some(u32::from(above / self.workers))
    }
}

/// One worker's ports of one local address.
///
/// Taking a port costs constant time, however many are in use. A port that was given back is handed
/// out again as late as possible, so that the dest's TIME_WAIT has passed. A port can be in use
/// once towards each class of dests.
// The order of the fields matters: the bitmaps begin a cache line.
#[derive(Debug)]
#[repr(C)]
pub struct PortPool {
    free: Bitmaps<CLASSES>,
    share: PoolShare,
    usage: Arc<PoolUsage>,
}

impl PortPool {
    /// A pool with all ports of the share free. Control makes it, so that no worker has to wait for
    /// the memory.
    pub fn new(share: PoolShare) -> Self {
        Self {
            share,
            free: Bitmaps::full(share.len()),
            usage: Arc::default(),
        }
    }

    /// How many conns the pool can serve at once, over all classes.
    pub const fn capacity(&self) -> u64 {
        self.share.capacity()
    }

    /// The counters of the pool, which control may read at any time.
    pub fn usage(&self) -> Arc<PoolUsage> {
        Arc::clone(&self.usage)
    }

    /// Ports in use.
    pub fn used(&self) -> u64 {
        self.usage.used()
    }

    /// A reference into each cache line that nearly every [`Self::take`] touches, so that the
    /// caller can prefetch them. This call itself reads the line with the pointer to the counters.
    #[inline]
    pub fn lines(&self) -> ([&u64; 2], &u16, &PoolUsage) {
        let (ahead, at) = self.free.lines();
        (ahead, at, &self.usage)
    }

    /// Takes a free port towards dests of `class`. If all are in use, counts that and returns
    /// `None`.
    #[inline]
    pub fn take(&mut self, class: usize) -> Option<u16> {
        let Some(index) = self.free.take(class % CLASSES) else {
            self.usage.count_miss();
            return None;
        };
        self.usage.count_taken();
        Some(self.share.port(index))
    }

    /// Takes a port towards dests of `class`, preferably one that is free towards all other classes
    /// too, so that [`Self::move_to`] can move it. Only the next few ports are tried for that.
    pub fn take_movable(&mut self, class: usize) -> Option<u16> {
        let mut port = self.take(class)?;
        for _ in 1..MOVABLE_TRIED {
            if self.is_of_one_class(port) {
                break;
            }
            let Some(next) = self.free.take(class % CLASSES) else {
                break;
            };
            if let Some(index) = self.share.index(port) {
                self.free.put(class % CLASSES, index);
            }
            port = self.share.port(next);
        }
        Some(port)
    }

    /// Moves a port that is in use towards class `from` to class `to`. Returns `false`, and changes
    /// nothing, if it is not in use towards `from`, or is already in use towards `to`.
    pub fn move_to(&mut self, to: usize, from: usize, port: u16) -> bool {
        let (to, from) = (to % CLASSES, from % CLASSES);
        let Some(index) = self.share.index(port) else {
            return false;
        };
        if self.free.is_free(from, index) {
            return false;
        }
        if to != from {
            if !self.free.is_free(to, index) {
                return false;
            }
            self.free.clear(to, index);
            self.free.put(from, index);
        }
        true
    }

    /// Whether a port in use is in use towards one class alone.
    fn is_of_one_class(&self, port: u16) -> bool {
        let index = self.share.index(port);
        index.is_some_and(|index| self.free.times_taken(index) == 1)
    }

    /// Takes over the ports that are in use in `old`: the two pools swap their bitmaps and their
    /// numbers of used ports. For a local address that is added again before the last conn of its
    /// earlier time has ended.
    pub fn take_over(&mut self, old: &mut Self) {
        if self.share == old.share {
            core::mem::swap(&mut self.free, &mut old.free);
            self.usage.take_over(&old.usage);
        }
    }

    /// Gives a port back. One that was not taken, or is not of this share, is left alone.
    #[inline]
    pub fn put(&mut self, class: usize, port: u16) {
        let Some(index) = self.share.index(port) else {
            return;
        };
        if self.free.put(class % CLASSES, index) {
            self.usage.count_given_back();
        }
    }
}

#[cfg(test)]
mod tests;
