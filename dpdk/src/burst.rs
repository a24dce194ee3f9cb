//! Mbufs on their way between a queue and the engine.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use dpdk_sys as sys;

use crate::mbuf::Mbuf;

/// Most packets in a burst.
pub const CAPACITY: usize = 64;

/// Up to 64 packets, held without an allocation. Packets in it are freed when it is dropped.
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
    /// An empty burst.
    pub const fn new() -> Self {
        Self {
            len: 0,
            mbufs: [MaybeUninit::uninit(); CAPACITY],
        }
    }

    /// Number of packets in it.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without packets.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if no more fit.
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// Puts a packet at the end. If the burst is full the packet is dropped.
    #[inline]
    pub fn push(&mut self, packet: Mbuf) {
        // Read once: the compiler cannot know that the write below leaves `self.len` alone.
        let len = self.len;
        if let Some(slot) = self.mbufs.get_mut(len) {
            slot.write(packet.into_raw());
            self.len = len + 1;
        }
    }

    /// Bytes of all packets together.
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

    /// Takes all packets out, in order. Packets that the iterator does not reach are freed.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        let len = std::mem::take(&mut self.len);
        Drain {
            mbufs: self.mbufs[..len].iter(),
        }
    }

    /// The packets, without taking them out.
    #[inline]
    pub const fn packets_mut(&mut self) -> &mut [Mbuf] {
        // SAFETY: the first len slots hold mbufs that are ours, and an Mbuf is such a pointer.
        unsafe { std::slice::from_raw_parts_mut(self.mbufs.as_mut_ptr().cast(), self.len) }
    }

    /// Prefetches the headers of all packets, which are about to be read.
    #[inline]
    pub fn fetch_headers(&mut self) {
        self.packets_mut().iter().for_each(Mbuf::prefetch);
    }

    /// The free slots behind the last packet and their number, for DPDK to write mbufs to. Call
    /// [`Self::grow`] afterwards.
    pub(crate) fn spare_slots(&mut self) -> (*mut *mut sys::rte_mbuf, usize) {
        let slots = &mut self.mbufs[self.len..];
        (slots.as_mut_ptr().cast(), slots.len())
    }

    /// Counts `count` more packets, which were written to the slots behind the last packet.
    ///
    /// # Safety
    /// Those slots hold mbufs that nobody else uses. Each has one segment, unless
    /// [`Self::cut_chains`] is called next.
    pub(crate) const unsafe fn grow(&mut self, count: usize) {
        self.len += count;
    }

    /// Cuts every packet down to its first segment.
    ///
    /// Some drivers (pcap, memif, vhost) chain mbufs for a frame that does not fit into one,
    /// whatever the MTU. An [`Mbuf`] has one segment: if a chain were shortened and sent, its
    /// lengths would be wrong, and af_packet would write beyond its ring's frame. A frame that does
    /// not fit into one mbuf is longer than the MTU, so it is cut. The engine then drops it,
    /// because it is shorter than its IP header says.
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

    /// The mbufs, for a driver to take some from the front. Call [`Self::settle`] afterwards.
    pub(crate) const fn as_mut_ptr(&mut self) -> *mut *mut sys::rte_mbuf {
        self.mbufs.as_mut_ptr().cast()
    }

    /// Empties the burst after a driver took the first `taken` mbufs. The others are freed; returns
    /// their number.
    ///
    /// # Safety
    /// The driver has taken exactly those mbufs.
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

/// The packets of a burst, one by one.
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
