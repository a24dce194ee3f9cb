//! Test support: packet builders on an independent library, a packet buffer on a `Vec`, namespaces
//! and peers. A dev-dependency only; nothing that ships depends on it.
#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a test that cannot go on says so by a panic")]

pub mod frames;
pub mod netns;
pub mod vec_buf;

pub use vec_buf::VecBuf;
