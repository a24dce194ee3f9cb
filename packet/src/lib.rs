//! Checksums and the packet-buffer trait: what every crate that sees bytes of a frame shares.
//!
//! The crate is pure: no I/O, no clock, no allocation on any path that a worker takes.
#![forbid(unsafe_code)]

pub mod buf;
pub mod checksum;

pub use buf::{ChecksumState, MacAddr, PacketBuf, PortId};
