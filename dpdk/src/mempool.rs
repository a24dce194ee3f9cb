//! Where mbufs come from.

use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;

use dpdk_sys as sys;
use packet::PacketBuf;

use crate::burst::Burst;
use crate::errno::Errno;
use crate::mbuf::Mbuf;

/// A pool could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MempoolError {
    /// The name holds a NUL byte.
    #[error("invalid mempool name {0:?}: it holds a NUL byte, remove it")]
    BadName(String),
    /// DPDK refused, nearly always for want of memory.
    #[error(
        "no memory for {count} mbufs on NUMA node {socket}: {why}. \
         Reserve more hugepages, or lower [mbufs] count"
    )]
    NoMemory {
        /// Number of mbufs asked for.
        count: u32,
        /// NUMA node, -1 for any.
        socket: i32,
        /// DPDK's reason.
        why: Errno,
    },
}

/// A pool of mbufs, usable by every thread. Each lcore has a cache of free mbufs. Other threads
/// take from the pool itself and give back to it, which is slower. It lives until the process ends.
#[derive(Debug, Clone, Copy)]
pub struct Mempool(NonNull<sys::rte_mempool>);

// SAFETY: DPDK's pools are made for several producers and consumers.
unsafe impl Send for Mempool {}
// SAFETY: as for Send.
unsafe impl Sync for Mempool {}

impl Mempool {
    /// A pool of `count` mbufs on NUMA node `socket` (-1 for any). Each has room for a frame of
    /// `frame_len` bytes, and not less than DPDK's default. Each lcore caches up to `cache` mbufs.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(
        name: &str,
        count: u32,
        cache: u32,
        frame_len: u16,
        socket: i32,
    ) -> Result<Self, MempoolError> {
        let name = CString::new(name).map_err(|_| MempoolError::BadName(name.to_owned()))?;
        let room = (sys::RTE_PKTMBUF_HEADROOM as u16)
            .saturating_add(frame_len.max(sys::RTE_MBUF_DEFAULT_DATAROOM as u16));
        // SAFETY: EAL is started (there is no port without it); the name is a valid string.
        let pool =
            unsafe { sys::rte_pktmbuf_pool_create(name.as_ptr(), count, cache, 0, room, socket) };
        NonNull::new(pool)
            .map(Self)
            .ok_or_else(|| MempoolError::NoMemory {
                count,
                socket,
                why: Errno::last(),
            })
    }

    pub(crate) const fn as_ptr(&self) -> *mut sys::rte_mempool {
        self.0.as_ptr()
    }

    /// An empty packet.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool is valid; a fresh mbuf is ours alone and has one segment.
        unsafe { NonNull::new(sys::dpvs_mbuf_alloc(self.as_ptr())).map(|raw| Mbuf::from_raw(raw)) }
    }

    /// Fills a burst up with empty packets. If the pool has too few, the burst stays as it is.
    #[inline]
    pub fn fill(&self, burst: &mut Burst) {
        let (slots, count) = burst.spare_slots();
        // SAFETY: the pool is valid, and there are that many slots. A result of 0 says that all of
        // them were written.
        unsafe {
            if sys::dpvs_mbuf_alloc_bulk(self.as_ptr(), slots, count as u32) == 0 {
                burst.grow(count);
            }
        }
    }

    /// A packet with these bytes, if an mbuf is free and large enough.
    pub fn alloc_from(&self, bytes: &[u8]) -> Option<Mbuf> {
        let mut packet = self.alloc()?;
        if !packet.append(bytes.len()) {
            return None;
        }
        packet.bytes_mut().copy_from_slice(bytes);
        Some(packet)
    }

    /// A copy of a packet, with its port.
    pub fn copy_of(&self, packet: &Mbuf) -> Option<Mbuf> {
        let mut copy = self.alloc_from(packet.bytes())?;
        copy.set_port(packet.port());
        Some(copy)
    }

    /// Number of mbufs that are free.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool is valid.
        unsafe { sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// Number of mbufs that are in use.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool is valid.
        unsafe { sys::rte_mempool_in_use_count(self.as_ptr()) }
    }
}

/// A pool as `dpip eal-mem show` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolShape {
    /// DPDK's name of the pool.
    pub name: String,
    /// DPDK's `RTE_MEMPOOL_F_*` flags.
    pub flags: u32,
    /// Bytes of an element.
    pub element_bytes: u32,
    /// Bytes of DPDK's header before each element.
    pub header_bytes: u32,
    /// Bytes of DPDK's trailer after each element.
    pub trailer_bytes: u32,
    /// Bytes of the pool's private data.
    pub private_bytes: u32,
    /// Number of elements.
    pub size: u32,
    /// Number of elements in use.
    pub used: u32,
    /// Bytes of memory for the elements.
    pub memory_bytes: u64,
}

/// All pools of the process, including those of drivers.
pub fn all_pools() -> Vec<MempoolShape> {
    let mut shapes: Vec<MempoolShape> = Vec::new();
    // SAFETY: the walk passes valid pools to `note`, and the vector, which outlives the walk and is
    // used by nobody else during it.
    unsafe { sys::rte_mempool_walk(Some(note), (&raw mut shapes).cast()) };
    shapes
}

unsafe extern "C" fn note(pool: *mut sys::rte_mempool, shapes: *mut c_void) {
    let mut shape = sys::dpvs_mempool::default();
    // SAFETY: the pool is valid, the shape ours.
    unsafe { sys::dpvs_mempool(pool, &raw mut shape) };
    // SAFETY: `all_pools` lends its vector for the time of the walk.
    let shapes = unsafe { &mut *shapes.cast::<Vec<MempoolShape>>() };
    // SAFETY: the name is an array in the pool that ends with a NUL byte.
    let name = unsafe { CStr::from_ptr(shape.name) };
    shapes.push(MempoolShape {
        name: name.to_string_lossy().into_owned(),
        flags: shape.flags,
        element_bytes: shape.element_bytes,
        header_bytes: shape.header_bytes,
        trailer_bytes: shape.trailer_bytes,
        private_bytes: shape.private_bytes,
        size: shape.size,
        used: shape.used,
        memory_bytes: shape.memory_bytes,
    });
}
