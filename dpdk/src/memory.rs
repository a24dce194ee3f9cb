//! Memory that is not DPDK's own but is read as often, such as conn tables: it lies on huge pages,
//! and is there before it is needed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// The kernel's smallest page.
const PAGE: usize = 4096;

/// A huge page of x86-64.
const HUGE_PAGE: usize = 2 << 20;

/// The system's allocator, except for allocations of a huge page or more. Those are mapped from the
/// kernel: aligned to huge pages, zero without being written to, and unmapped when they are freed.
///
/// The system's allocator writes zeros into aligned memory at once. That puts the memory on small
/// pages before anyone can ask for huge ones.
#[derive(Debug, Clone, Copy)]
pub struct LargeAllocator;

impl LargeAllocator {
    /// Whether memory of this layout is mapped by us. The answer depends on the layout alone, so it
    /// is the same when the memory is allocated and when it is freed.
    const fn maps(layout: &Layout) -> bool {
        layout.size() >= HUGE_PAGE && layout.align() <= HUGE_PAGE
    }

    fn map(layout: &Layout) -> *mut u8 {
        let len = layout.size().next_multiple_of(PAGE);
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping, which overlaps nothing.
        let mapped = unsafe { mmap_anonymous(ptr::null_mut(), len + HUGE_PAGE, access, flags) };
        let Ok(start) = mapped else {
            return ptr::null_mut();
        };
        let start = start.cast::<u8>();
        let before = start.align_offset(HUGE_PAGE);
        // SAFETY: there are len + HUGE_PAGE bytes, and before is less than HUGE_PAGE.
        let aligned = unsafe { start.add(before) };
        // SAFETY: what is left over at both ends was mapped just now, and nobody knows of it.
        unsafe {
            let _ = munmap(start.cast(), before);
            let _ = munmap(aligned.add(len).cast(), HUGE_PAGE - before);
            // A kernel without huge pages leaves the memory on small ones.
            let _ = madvise(aligned.cast(), len, Advice::LinuxHugepage);
        }
        aligned
    }
}

// SAFETY: `maps` depends on the layout alone, so memory goes back to where it came from. A mapping
// is as long as asked for, zero, and aligned to HUGE_PAGE, which is enough for every layout that is
// mapped. Nothing unwinds.
unsafe impl GlobalAlloc for LargeAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::maps(&layout) {
            Self::map(&layout)
        } else {
            // SAFETY: as the caller promises.
            unsafe { System.alloc(layout) }
        }
    }

    // SAFETY: as the impl.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::maps(&layout) {
            Self::map(&layout)
        } else {
            // SAFETY: as the caller promises.
            unsafe { System.alloc_zeroed(layout) }
        }
    }

    // SAFETY: as the impl.
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if Self::maps(&layout) {
            // SAFETY: mapped by `map` with this length.
            let _ = unsafe { munmap(memory.cast(), layout.size().next_multiple_of(PAGE)) };
        } else {
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(memory, layout) };
        }
    }
}

/// Asks the kernel to put a region on huge pages and to provide its memory now.
///
/// Otherwise the first packet that touches a page would wait for a page fault. Huge pages save TLB
/// misses. A kernel that cannot do it leaves the region as it was, which costs speed and nothing
/// else.
pub fn make_resident(start: *const u8, len: usize) {
    let (start, end) = (start as usize, start as usize + len);
    let (first, last) = (start.next_multiple_of(PAGE), end / PAGE * PAGE);
    if first >= last {
        return;
    }
    for advice in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
        // SAFETY: both advices keep the content of the pages, whoever they belong to; an address
        // that is not mapped is refused.
        let _ = unsafe { madvise(first as *mut c_void, last - first, advice) };
    }
}

/// Whether the kernel would give the process so much memory now. It says no beyond the limit of the
/// process (`ulimit -v`), beyond the commit limit (`vm.overcommit_memory = 2`), and to what the
/// machine could never provide.
pub fn can_reserve(bytes: usize) -> bool {
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping, which overlaps nothing.
    let Ok(start) = (unsafe { mmap_anonymous(ptr::null_mut(), bytes.max(1), access, flags) })
    else {
        return false;
    };
    // SAFETY: mapped just now, and nobody knows of it.
    let _ = unsafe { munmap(start, bytes.max(1)) };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_memory_is_zero_and_aligned_and_is_given_back() {
        for len in [HUGE_PAGE, HUGE_PAGE + 1, 5 * HUGE_PAGE - 4096] {
            let layout = Layout::from_size_align(len, 64).unwrap();
            // SAFETY: the layout is not empty; the memory is used within it and freed once.
            unsafe {
                let memory = LargeAllocator.alloc_zeroed(layout);
                assert!(!memory.is_null());
                assert_eq!(memory as usize % HUGE_PAGE, 0);
                assert_eq!((*memory, *memory.add(len - 1)), (0, 0));
                memory.write(1);
                memory.add(len - 1).write(1);
                let grown = LargeAllocator.realloc(memory, layout, len * 2);
                assert_eq!((*grown, *grown.add(len - 1)), (1, 1));
                let layout = Layout::from_size_align(len * 2, 64).unwrap();
                LargeAllocator.dealloc(grown, layout);
            }
        }
    }

    #[test]
    fn small_memory_comes_from_the_system_allocator() {
        let layout = Layout::from_size_align(100, 64).unwrap();
        // SAFETY: the layout is not empty; the memory is used within it and freed once.
        unsafe {
            let memory = LargeAllocator.alloc(layout);
            memory.add(99).write(7);
            let memory = LargeAllocator.realloc(memory, layout, HUGE_PAGE);
            assert_eq!(*memory.add(99), 7);
            LargeAllocator.dealloc(memory, Layout::from_size_align(HUGE_PAGE, 64).unwrap());
        }
    }

    #[test]
    fn more_than_the_address_space_cannot_be_reserved() {
        assert!(can_reserve(0) && can_reserve(1 << 20));
        assert!(!can_reserve(1 << 48) && !can_reserve(usize::MAX));
    }

    #[test]
    fn a_region_keeps_its_content_when_it_is_made_resident() {
        let region = vec![7u8; 5 << 20];
        make_resident(region.as_ptr(), region.len());
        assert!(region.iter().all(|byte| *byte == 7));
        make_resident(region.as_ptr(), 10);
    }
}
