//! IP: the headers of both versions, protocol numbers, and what NAT64 needs.
//!
//! [`ipv4`] and [`ipv6`] check, read and rewrite headers; [`IpFacts`] is what they read and
//! [`NewHeader`] what they write. [`nat64`] has the addresses of translation (RFC 6052),
//! [`translate`] its ICMP errors (RFC 7915). [`proto`] has the protocol numbers, and
//! [`cut`] cuts packets into fragments.

pub mod cut;
mod header;
pub mod ipv4;
pub mod ipv6;
pub mod nat64;
pub mod proto;
pub mod translate;

pub use header::{DEFAULT_TTL, IpFacts, NewHeader};
