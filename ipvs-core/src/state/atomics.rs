//! The atomics that `shared_table` is made of, and memory full of zeros.
//!
//! `tests/shared_table_under_loom.rs` compiles `shared_table` with a module of this name that has
//! loom's atomics, which try every order in which threads may see what others store.

pub(super) use core::sync::atomic::{AtomicU32, AtomicU64, fence};
pub(super) use zerocopy::FromZeros as Zeroed;

/// `count` values of zero bytes. The allocator gives zeroed pages, which are touched only when
/// used.
pub(super) fn zeroed<T: Zeroed>(count: usize) -> Box<[T]> {
    <[T]>::new_box_zeroed_with_elems(count)
        .expect("as many as conns at most, whose memory was checked when the config was read")
}
