//! What Rust code may hold of DPDK: mbufs, mempools, ports and queues, each with one owner.
//!
//! An mbuf is freed once or handed to a NIC once; a queue has one user; EAL is started once. The
//! daemon (`dataplane`) and the throughput bench call this crate, nobody else does.
//!
//! This crate wraps the raw calls of `dpdk-sys`, so nearly all `unsafe` of the workspace is here.
//! What is elsewhere: prefetch and SIMD in `ipvs-core/src/simd.rs`, a block of assembly in the
//! bench's stopwatch, and one call of `unshare` in a test of `kni`.

pub mod burst;
pub mod eal;
pub mod errno;
pub mod mbuf;
pub mod memory;
pub mod mempool;
pub mod port;
pub mod queue;
pub mod release;
pub mod tsc;

pub use burst::Burst;
pub use eal::{Eal, EalError, LcoreId};
pub use errno::Errno;
pub use mbuf::Mbuf;
pub use mempool::{Mempool, MempoolError};
pub use port::{Port, PortConfig, PortError, PortInfo, Rss, RssFields};
pub use queue::{QueueId, RxQueue, TxQueue};
