//! The wire: header views, checksums and the packet-buffer trait.
//!
//! One file is one protocol, and what its bytes mean is said there and nowhere else: [`eth`],
//! [`ipv4`], [`ipv6`], [`icmp`], [`tcp`], [`udp`], [`sctp`], [`quic`]; the protocol numbers are in
//! [`ip::proto`]. A view checks a header's length once (`new_checked`), and then none of its
//! accessors can fail or panic. The engine, the IP stack and the tests use this crate, and it uses
//! none of them.
//!
//! The crate is pure: no I/O, no clock, no allocation on any path that a worker takes.
//!
//! ```
//! use packet::tcp::{TcpFlags, TcpHeader};
//!
//! let mut segment = [0; 20];
//! segment[13] = 0x12;
//! let header = TcpHeader::new_checked(&segment).expect("20 bytes are a whole header");
//! assert_eq!(header.flags(), TcpFlags::SYN_ACK);
//! assert!(TcpHeader::new_checked(&segment[1..]).is_none());
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod app;
pub mod buf;
pub mod checksum;
pub mod eth;
mod field;
pub mod icmp;
pub mod ip;
pub mod missing_checksum;
pub mod options;
pub mod ports;
pub mod sctp;
pub mod tcp;
pub mod udp;
pub mod uoa;

pub use app::{ftp, proxy, quic};
pub use buf::{ChecksumState, PacketBuf, PortId};
pub use eth::{EtherType, MacAddr};
pub use ip::{ipv4, ipv6, nat64, translate};
