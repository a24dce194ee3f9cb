//! What tests, fuzz targets and benches share. Nothing that ships depends on it.
//!
//! * [`frames`]: frames built and read by etherparse, so that our own header code does not judge
//!   itself.
//! * [`fragments`]: frames cut as on their way through a network.
//! * [`VecBuf`]: a packet in a `Vec`, in the place of an mbuf.
//! * [`director`]: the engine of one worker on a clock that the test moves. The test plays control,
//!   the clients and the dests.
//! * [`nic`]: a NIC that spreads frames over queues as RSS does.
//! * [`netns`]: network namespaces, with real programs in them.
#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]

pub mod director;
pub mod fragments;
pub mod frames;
pub mod netns;
pub mod nic;
pub mod vec_buf;

pub use vec_buf::VecBuf;
