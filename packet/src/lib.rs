//! The packet-buffer trait, checksums, the IP headers, QUIC connection IDs: what crates that see bytes of a frame share.
//!
//! The crate is pure: no I/O, no clock, no allocation on any path that a worker takes.
#![forbid(unsafe_code)]

pub mod buf;
pub mod checksum;
pub mod ftp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod nat64;
pub mod proxy;
pub mod quic;
pub mod sctp;
pub mod translate;
pub mod uoa;

pub use buf::{ChecksumState, MacAddr, PacketBuf, PortId};
