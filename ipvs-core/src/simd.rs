//! Two instructions that the compiler does not emit by itself. The only `unsafe` code of the
//! engine.
//!
//! With a million conns, a batch's look-up takes a third of the time with prefetch (`cargo bench -p
//! benches --bench conns`). Targets other than x86-64 get plain code, which no release uses.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as x86;

/// Prefetches `value` for reading.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_address(core::ptr::from_ref(value));
}

/// Prefetches an element of a slice. An index out of bounds does no harm, so it is not checked.
#[inline(always)]
pub(crate) fn prefetch_at<T>(slice: &[T], at: usize) {
    prefetch_address(slice.as_ptr().wrapping_add(at));
}

#[inline(always)]
fn prefetch_address<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 reads nothing and faults on no address; SSE is part of x86-64.
    unsafe {
        x86::_mm_prefetch::<{ x86::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A bit for each of the eight numbers that equals `wanted`. The lowest bit is the first number's.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn equal_lanes(lanes: &[u32; 8], wanted: u32) -> u32 {
    let halves = lanes.as_ptr().cast::<x86::__m128i>();
    // SAFETY: both loads are within the array and need no alignment; SSE2 is part of x86-64.
    unsafe {
        let wanted = x86::_mm_set1_epi32(wanted.cast_signed());
        let low = x86::_mm_cmpeq_epi32(x86::_mm_loadu_si128(halves), wanted);
        let high = x86::_mm_cmpeq_epi32(x86::_mm_loadu_si128(halves.add(1)), wanted);
        let words = x86::_mm_packs_epi32(low, high);
        let bytes = x86::_mm_packs_epi16(words, x86::_mm_setzero_si128());
        x86::_mm_movemask_epi8(bytes).cast_unsigned()
    }
}

/// A bit for each of the eight numbers that equals `wanted`. The lowest bit is the first number's.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn equal_lanes(lanes: &[u32; 8], wanted: u32) -> u32 {
    lanes.iter().enumerate().fold(0, |bits, (lane, value)| {
        bits | u32::from(*value == wanted) << lane
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_its_bit() {
        for lane in 0..8 {
            let mut lanes = [7; 8];
            lanes[lane] = 9;
            assert_eq!(equal_lanes(&lanes, 9), 1 << lane);
            assert_eq!(equal_lanes(&lanes, 7), 0xff ^ 1 << lane);
            assert_eq!(equal_lanes(&lanes, 1), 0);
        }
    }
}
