//! Mbufs on their way between a queue and the engine.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use dpdk_sys as sys;

use crate::mbuf::Mbuf;

/// Most packets of a burst.
pub const CAPACITY: usize = 64;

/// Up to 64 packets in place. What is in it when it is dropped is freed.
pub struct Burst {
    len: usize,
    mbufs: [MaybeUninit<*mut sys::rte_mbuf>; CAPACITY],
}

// SAFETY: it owns its mbufs, and those may be sent.
unsafe impl Send for Burst {}

impl std::fmt::Debug for Burst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Burst({} packets)", self.len)
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Burst {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            len: 0,
            mbufs: [MaybeUninit::uninit(); CAPACITY],
        }
    }

    /// Packets in it.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without any.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if no more fit.
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// Puts a packet at the end; a full burst drops it.
    #[inline]
    pub fn push(&mut self, packet: Mbuf) {
        // Not read again behind the write: it might be to any of this.
        let len = self.len;
        if let Some(slot) = self.mbufs.get_mut(len) {
            slot.write(packet.into_raw());
            self.len = len + 1;
        }
    }

    /// Bytes of all packets.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.mbufs[..self.len]
            .iter()
            // SAFETY: the first len slots hold mbufs that are ours.
            .map(|slot| unsafe { slot.assume_init() }.cast::<sys::dpvs_mbuf>())
            // SAFETY: as above, and dpvs_mbuf is the first cache line of an mbuf.
            .map(|mbuf| u64::from(unsafe { (*mbuf).pkt_len }))
            .sum()
    }

    /// Takes all packets out, in order. What the iterator leaves is freed.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        let len = std::mem::take(&mut self.len);
        Drain {
            mbufs: self.mbufs[..len].iter(),
        }
    }

    /// The packets, where they are.
    #[inline]
    pub const fn packets_mut(&mut self) -> &mut [Mbuf] {
        // SAFETY: the first len slots hold mbufs that are ours, and an Mbuf is such a pointer.
        unsafe { std::slice::from_raw_parts_mut(self.mbufs.as_mut_ptr().cast(), self.len) }
    }

    /// Asks for the headers of all packets, which are about to be read.
    #[inline]
    pub fn fetch_headers(&mut self) {
        self.packets_mut().iter().for_each(Mbuf::prefetch);
    }

    /// The slots behind the last packet, at most [`CAPACITY`], for DPDK to write mbufs to: then [`Self::grow`].
    pub(crate) fn spare_slots(&mut self) -> (*mut *mut sys::rte_mbuf, usize) {
        let slots = &mut self.mbufs[self.len..];
        (slots.as_mut_ptr().cast(), slots.len())
    }

    /// So many slots behind the last packet have one, too.
    ///
    /// # Safety
    /// They hold mbufs that nobody else uses, of one segment, or [`Self::cut_chains`] comes next.
    pub(crate) const unsafe fn grow(&mut self, count: usize) {
        self.len += count;
    }

    /// Some drivers (pcap, memif, vhost) chain mbufs for a frame that is longer than one, whatever the
    /// MTU. An [`Mbuf`] has one segment: shortened, a chain would leave with lengths that lie, and
    /// af_packet then writes beyond its ring's frame. What does not fit one mbuf is longer than the MTU,
    /// so it is cut, and the engine finds a frame that is shorter than its IP header says.
    #[inline]
    pub(crate) fn cut_chains(&mut self) {
        for slot in &self.mbufs[..self.len] {
            // SAFETY: the first len slots hold mbufs that are ours.
            let mbuf = unsafe { slot.assume_init() };
            // SAFETY: as above, and dpvs_mbuf is the first cache line of an mbuf.
            if unsafe { (*mbuf.cast::<sys::dpvs_mbuf>()).nb_segs } != 1 {
                // SAFETY: the mbuf and its chain are ours alone.
                unsafe { sys::dpvs_mbuf_cut_chain(mbuf) };
            }
        }
    }

    /// The mbufs, for a driver to take some from the front; then call [`Self::settle`].
    pub(crate) const fn as_mut_ptr(&mut self) -> *mut *mut sys::rte_mbuf {
        self.mbufs.as_mut_ptr().cast()
    }

    /// The first `taken` mbufs belong to a driver now: frees the others, and says how many.
    ///
    /// # Safety
    /// The driver has taken exactly those.
    pub(crate) unsafe fn settle(&mut self, taken: usize) -> usize {
        let left = self.len - taken;
        self.len = 0;
        if left > 0 {
            // SAFETY: slots taken..len still hold mbufs that are ours, and are not used after this.
            unsafe { sys::dpvs_mbuf_free_bulk(self.as_mut_ptr().add(taken), left as u32) };
        }
        left
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        // SAFETY: no driver has taken any.
        unsafe { self.settle(0) };
    }
}

/// Packets of a burst, one by one.
#[derive(Debug)]
pub struct Drain<'a> {
    mbufs: std::slice::Iter<'a, MaybeUninit<*mut sys::rte_mbuf>>,
}

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        let slot = self.mbufs.next()?;
        // SAFETY: the slot held an mbuf when the burst was drained, and each is taken once. Drivers
        // write no null pointers.
        Some(unsafe { Mbuf::from_raw(NonNull::new_unchecked(slot.assume_init())) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.mbufs.size_hint()
    }
}

impl ExactSizeIterator for Drain<'_> {}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

const _: () = assert!(size_of::<Mbuf>() == size_of::<*mut sys::rte_mbuf>());
