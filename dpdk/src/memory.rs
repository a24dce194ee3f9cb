//! Memory that is not DPDK's own but read as often: on large pages, and there before it is needed.

use std::ffi::c_void;

use rustix::mm::{Advice, madvise};

/// A page of the kernel's, at the least.
const PAGE: usize = 4096;

/// Asks the kernel to keep a region on huge pages and to provide its memory now: a packet that
/// touches a page for the first time would wait for it, and one that misses the TLB nearly as long.
/// A kernel that cannot leaves everything as it was; nothing depends on it but speed.
pub fn make_resident(start: *const u8, len: usize) {
    let (start, end) = (start as usize, start as usize + len);
    let (first, last) = (start.next_multiple_of(PAGE), end / PAGE * PAGE);
    if first >= last {
        return;
    }
    for advice in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
        // SAFETY: both advices keep the content of the pages, whoever they belong to; an address that
        // is not mapped is refused.
        let _ = unsafe { madvise(first as *mut c_void, last - first, advice) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_region_holds_stays() {
        let region = vec![7u8; 5 << 20];
        make_resident(region.as_ptr(), region.len());
        assert!(region.iter().all(|byte| *byte == 7));
        make_resident(region.as_ptr(), 10);
    }
}
