//! The time stamp counter, the one clock of the packet path.

use dpdk_sys as sys;

/// Counts of the time stamp counter per second. EAL measures it when it starts.
pub fn tsc_hz() -> u64 {
    // SAFETY: reads a variable that EAL has set.
    unsafe { sys::rte_get_tsc_hz() }
}

/// The time stamp counter.
#[inline]
pub fn rdtsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC is part of x86-64 and has no operand.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    compile_error!("only x86-64 is supported: the time stamp counter is read directly");
}
