//! What Rust code may hold of DPDK: mbufs, mempools, ports and queues, each with one owner.
//!
//! An mbuf is freed once or handed to a NIC once; a queue has one user; EAL is started once. The
//! daemon (`dataplane`) is the only caller. All `unsafe` of the packet path is here.

pub mod burst;
pub mod eal;
pub mod mbuf;
pub mod memory;
pub mod mempool;
pub mod port;
pub mod queue;

pub use burst::Burst;
pub use eal::{Eal, EalError};
pub use mbuf::Mbuf;
pub use mempool::Mempool;
pub use port::{Port, PortConfig, PortError, PortInfo};
pub use queue::{RxQueue, TxQueue};

/// What DPDK says of an error number, positive or negative.
pub(crate) fn strerror(errno: i32) -> String {
    // SAFETY: rte_strerror returns a valid string for any number, in a buffer of this thread.
    let text = unsafe { std::ffi::CStr::from_ptr(dpdk_sys::rte_strerror(errno.abs())) };
    text.to_string_lossy().into_owned()
}
