//! Fields of a header of fixed length, in network byte order.
//!
//! `at` is always a constant of the file that owns the header, so that the compiler sees that the
//! field lies within and no check is left.

/// Two bytes of a header.
#[inline(always)]
pub(crate) const fn u16_at<const LEN: usize>(header: &[u8; LEN], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// Four bytes of a header.
#[inline(always)]
pub(crate) const fn u32_at<const LEN: usize>(header: &[u8; LEN], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Writes a field of a header.
#[inline(always)]
pub(crate) fn put<const LEN: usize, const N: usize>(
    header: &mut [u8; LEN],
    at: usize,
    field: [u8; N],
) {
    header[at..at + N].copy_from_slice(&field);
}
