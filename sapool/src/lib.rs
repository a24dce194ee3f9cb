//! Pools of local ports.
//!
//! Every worker has a [`PortPool`] for each local address. It takes ports whose replies come to
//! itself, by the arithmetic of [`rss::Owners`]. All workers share each address, and nobody has to
//! ask anybody: a port towards a dest belongs to one worker, whichever took it.
//!
//! The crate is pure functions and plain memory. The engine calls it when a conn is made and when
//! it ends.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod bitmap;
mod classed;
mod layout;
mod port_map;
mod share;
mod usage;

use std::sync::Arc;

use bitmap::Bitmaps;
use classed::ClassedPorts;
pub use share::PoolShare;
pub use usage::PoolUsage;

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

/// The class of a dest. Neighbouring addresses or ports, as real servers have them, fall into
/// different classes.
#[inline]
pub const fn class_of(daddr_low_bits: u32, dport: u16) -> usize {
    (daddr_low_bits.wrapping_add(dport as u32)) as usize % CLASSES
}

/// What a local port is taken towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Towards {
    /// The class of the dest: [`class_of`].
    pub class: usize,
    /// The entry of the redirection table that replies reach without the local port:
    /// [`rss::Owners::base_v4`] and `base_v6`. Without meaning for a single worker.
    pub base: u16,
}

/// The free ports.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a pool is boxed, and the larger variant saves a step to its cache lines"
)]
enum Ports {
    /// Of a single worker.
    All(Bitmaps<CLASSES>),
    /// Of one of several workers.
    Classed(ClassedPorts),
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
    ports: Ports,
    sets: usize,
    capacity: u64,
    usage: Arc<PoolUsage>,
}

impl PortPool {
    /// A pool with all ports of the share free. Control makes it, so that no worker has to wait for
    /// the memory.
    pub fn new(share: &PoolShare) -> Self {
        let ports = match &share.0 {
            None => Ports::All(Bitmaps::full(
                FIRST_PORT.into(),
                u32::from(FIRST_PORT) + PORTS,
            )),
            Some(layout) => Ports::Classed(ClassedPorts::new(Arc::clone(layout), FIRST_PORT)),
        };
        Self {
            sets: share.0.as_ref().map_or(CLASSES, |layout| layout.sets()),
            ports,
            capacity: share.capacity(),
            usage: Arc::default(),
        }
    }

    /// How many classes of dests have ports of their own: those that are equal modulo this number
    /// share theirs. A power of two, at most [`CLASSES`].
    pub const fn sets(&self) -> usize {
        self.sets
    }

    /// How many conns the pool can serve at once, over all classes.
    pub const fn capacity(&self) -> u64 {
        self.capacity
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
        match &self.ports {
            Ports::All(free) => {
                let (ahead, at) = free.lines();
                (ahead, at, &self.usage)
            }
            Ports::Classed(free) => {
                let (words, at) = free.lines();
                (words, at, &self.usage)
            }
        }
    }

    /// Takes a free port whose replies come to this worker. If all are in use, counts that and
    /// returns `None`.
    #[inline]
    pub fn take(&mut self, towards: Towards) -> Option<u16> {
        let set = self.set_of(towards.class);
        let taken = match &mut self.ports {
            // The indices are the ports.
            Ports::All(free) => free.take(set).map(|index| index as u16),
            Ports::Classed(free) => free.take(set, towards.base),
        };
        match taken {
            Some(_) => self.usage.count_taken(),
            None => self.usage.count_miss(),
        }
        taken
    }

    /// Takes a port, preferably one that is free towards all other classes too, so that
    /// [`Self::move_to`] can move it. Only the next few ports are tried for that.
    pub fn take_movable(&mut self, towards: Towards) -> Option<u16> {
        let mut port = self.take(towards)?;
        for _ in 1..MOVABLE_TRIED {
            if self.is_of_one_class(port) {
                break;
            }
            let Some(next) = self.take(towards) else {
                break;
            };
            self.put(towards.class, port);
            port = next;
        }
        Some(port)
    }

    /// Moves a port that is in use towards class `from` to class `to`. Returns `false`, and changes
    /// nothing, if it is not in use towards `from`, or is already in use towards `to`.
    pub fn move_to(&mut self, to: usize, from: usize, port: u16) -> bool {
        let (to, from) = (self.set_of(to), self.set_of(from));
        if port < FIRST_PORT || self.ports.is_free(from, port) {
            return false;
        }
        if to != from {
            if !self.ports.is_free(to, port) {
                return false;
            }
            self.ports.clear(to, port);
            self.ports.put(from, port);
        }
        true
    }

    /// Takes this port, if it is free. For a port that another worker has announced.
    pub fn claim(&mut self, class: usize, port: u16) -> bool {
        let set = self.set_of(class);
        let is_free = port >= FIRST_PORT && self.ports.is_free(set, port);
        if is_free {
            self.ports.clear(set, port);
            self.usage.count_taken();
        }
        is_free
    }

    /// Whether a port in use is in use towards one class alone.
    fn is_of_one_class(&self, port: u16) -> bool {
        let times = (0..self.sets).filter(|set| !self.ports.is_free(*set, port));
        times.count() == 1
    }

    /// Takes over the ports that are in use in `old`: the two pools swap their bitmaps and their
    /// numbers of used ports. For a local address that is added again before the last conn of its
    /// earlier time has ended.
    pub fn take_over(&mut self, old: &mut Self) {
        if self.ports.is_like(&old.ports) {
            core::mem::swap(&mut self.ports, &mut old.ports);
            self.usage.take_over(&old.usage);
        }
    }

    /// Gives a port back. One that was not taken is left alone.
    #[inline]
    pub fn put(&mut self, class: usize, port: u16) {
        let set = self.set_of(class);
        if port >= FIRST_PORT && self.ports.put(set, port) {
            self.usage.count_given_back();
        }
    }

    #[inline]
    const fn set_of(&self, class: usize) -> usize {
        // A power of two.
        class & (self.sets - 1)
    }
}

impl Ports {
    #[inline]
    fn put(&mut self, set: usize, port: u16) -> bool {
        match self {
            Self::All(free) => free.put(set, port.into()),
            Self::Classed(free) => free.put(set, port),
        }
    }

    fn is_free(&self, set: usize, port: u16) -> bool {
        match self {
            Self::All(free) => free.is_free(set, port.into()),
            Self::Classed(free) => free.is_free(set, port),
        }
    }

    fn clear(&mut self, set: usize, port: u16) {
        match self {
            Self::All(free) => free.clear(set, port.into()),
            Self::Classed(free) => free.clear(set, port),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All(_), Self::All(_)) => true,
            (Self::Classed(one), Self::Classed(other)) => one.is_like(other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
