//! Test support: packet builders on an independent library, a packet buffer on a `Vec`, namespaces
//! and peers. A dev-dependency only; nothing that ships depends on it.
#![forbid(unsafe_code)]

pub mod vec_buf;

pub use vec_buf::VecBuf;
