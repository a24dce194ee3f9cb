//! A packet in DPDK's memory.

use std::ptr::NonNull;
use std::sync::OnceLock;

use dpdk_sys as sys;
use packet::{ChecksumState, PacketBuf, PortId};

/// An mbuf of one segment. Whoever holds the value owns the mbuf; dropping it gives the mbuf back
/// to its pool.
#[derive(Debug)]
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: an mbuf has one owner and may be freed to its pool by any thread.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// Takes ownership of an mbuf.
    ///
    /// # Safety
    /// `raw` is a valid mbuf of one segment that nobody else uses.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<sys::rte_mbuf>) -> Self {
        Self(raw)
    }

    /// Gives the mbuf away: this value does not free it any more.
    #[inline]
    pub(crate) fn into_raw(self) -> *mut sys::rte_mbuf {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    #[inline]
    fn get(&self) -> &sys::dpvs_mbuf {
        // SAFETY: valid and ours alone for as long as the value lives; dpvs_mbuf is its first cache
        // line, which the shim checks.
        unsafe { self.0.cast().as_ref() }
    }

    #[inline]
    fn get_mut(&mut self) -> &mut sys::dpvs_mbuf {
        // SAFETY: as in `get`, and borrowed mutably.
        unsafe { self.0.cast().as_mut() }
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        let mbuf = self.get();
        // SAFETY: data_off is within the buffer: drivers and the methods here keep
        // data_off + data_len <= buf_len.
        unsafe { mbuf.buf_addr.cast::<u8>().add(usize::from(mbuf.data_off)) }
    }

    /// Prefetches the first bytes, which are read soon.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: PREFETCHT0 reads nothing and faults on no address; SSE is part of x86-64.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
                self.start().cast(),
            );
        }
    }

    /// Sets the port that a packet was received on, or that a packet of the kernel leaves by.
    pub fn set_port(&mut self, port: PortId) {
        self.get_mut().port = port.0;
    }
}

#[inline]
fn ip_state(ol_flags: u64) -> ChecksumState {
    let flags = checksum_flags();
    match ol_flags & flags.ip_mask {
        state if state == flags.ip_good => ChecksumState::Good,
        state if state == flags.ip_bad => ChecksumState::Bad,
        _ => ChecksumState::Unknown,
    }
}

#[inline]
fn l4_state(ol_flags: u64) -> ChecksumState {
    let flags = checksum_flags();
    match ol_flags & flags.l4_mask {
        state if state == flags.l4_good => ChecksumState::Good,
        state if state == flags.l4_bad => ChecksumState::Bad,
        // virtio and vhost: the sender left the checksum to a NIC.
        state if state == flags.l4_none => ChecksumState::Missing,
        _ => ChecksumState::Unknown,
    }
}

/// The bits of `ol_flags` that tell checksum states, as this DPDK release numbers them.
fn checksum_flags() -> &'static sys::dpvs_checksum_flags {
    static FLAGS: OnceLock<sys::dpvs_checksum_flags> = OnceLock::new();
    // SAFETY: returns constants.
    FLAGS.get_or_init(|| unsafe { sys::dpvs_checksum_flags() })
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: ours alone, and not used after this.
        unsafe { sys::dpvs_mbuf_free(self.0.as_ptr()) };
    }
}

impl PacketBuf for Mbuf {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: data_len bytes from the start on are initialized memory of the buffer, ours
        // alone.
        unsafe { std::slice::from_raw_parts(self.start(), usize::from(self.get().data_len)) }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start(), usize::from(self.get().data_len)) }
    }

    #[inline]
    fn prepend(&mut self, len: usize) -> bool {
        let mbuf = self.get_mut();
        // The lengths below do not overflow: the buffer has at most 65,535 bytes, and the frame
        // stays within it.
        if len > usize::from(mbuf.data_off) {
            return false;
        }
        mbuf.data_off -= len as u16;
        mbuf.data_len += len as u16;
        mbuf.pkt_len += len as u32;
        true
    }

    #[inline]
    fn append(&mut self, len: usize) -> bool {
        let mbuf = self.get_mut();
        let end = usize::from(mbuf.data_off) + usize::from(mbuf.data_len);
        if len > usize::from(mbuf.buf_len).saturating_sub(end) {
            return false;
        }
        mbuf.data_len += len as u16;
        mbuf.pkt_len += len as u32;
        true
    }

    #[inline]
    fn trim_front(&mut self, len: usize) {
        let mbuf = self.get_mut();
        let len = len.min(usize::from(mbuf.data_len)) as u16;
        mbuf.data_off += len;
        mbuf.data_len -= len;
        mbuf.pkt_len -= u32::from(len);
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        let mbuf = self.get_mut();
        if len < usize::from(mbuf.data_len) {
            mbuf.data_len = len as u16;
            mbuf.pkt_len = len as u32;
        }
    }

    #[inline]
    fn port(&self) -> PortId {
        PortId(self.get().port)
    }

    #[inline]
    fn ip_checksum(&self) -> ChecksumState {
        match self.get().ol_flags {
            0 => ChecksumState::Unknown,
            flags => ip_state(flags),
        }
    }

    #[inline]
    fn l4_checksum(&self) -> ChecksumState {
        match self.get().ol_flags {
            0 => ChecksumState::Unknown,
            flags => l4_state(flags),
        }
    }

    #[inline]
    fn set_l4_checksum(&mut self, state: ChecksumState) {
        let flags = checksum_flags();
        let bits = match state {
            ChecksumState::Unknown => 0,
            ChecksumState::Good => flags.l4_good,
            ChecksumState::Bad => flags.l4_bad,
            ChecksumState::Missing => flags.l4_none,
        };
        let mbuf = self.get_mut();
        mbuf.ol_flags = mbuf.ol_flags & !flags.l4_mask | bits;
    }

    #[inline]
    fn mark(&self) -> u32 {
        self.get().mark
    }

    #[inline]
    fn set_mark(&mut self, mark: u32) {
        self.get_mut().mark = mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The numbers of DPDK's rte_mbuf_core.h: bit 3 is BAD, bit 8 is GOOD, and both are NONE.
    #[test]
    fn a_checksum_that_is_neither_good_nor_bad_is_missing() {
        let [bad, good, none] = [1 << 3, 1 << 8, 1 << 3 | 1 << 8];
        for (flags, state) in [
            (1, ChecksumState::Unknown),
            (bad, ChecksumState::Bad),
            (good, ChecksumState::Good),
            (none, ChecksumState::Missing),
            (none | 1, ChecksumState::Missing),
        ] {
            assert_eq!(l4_state(flags), state, "{flags:#x}");
        }
    }
}
