//! Header views, checksums and the packet-buffer trait.
//!
//! One file a protocol. A view is made with `new_checked`, which verifies every length once; after
//! that no accessor can panic. Views borrow the bytes and never copy headers. The crate is pure: no
//! I/O, no clock, no allocation on any path that a worker takes. Called by every other crate that
//! sees bytes of a frame.
#![forbid(unsafe_code)]

pub mod arp;
pub mod buf;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod ipv4;
pub mod tcp;
pub mod udp;

pub use buf::{ChecksumState, MacAddr, PacketBuf, PortId};

/// Why bytes could not be viewed as the header they were taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Fewer bytes than the header, or than a length inside it claims.
    Truncated,
    /// A length or version field contradicts itself or its surroundings.
    Malformed,
}
