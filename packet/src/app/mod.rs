//! What the director reads and writes above TCP and UDP.
//!
//! [`ftp`] are the lines that announce data conns, [`proxy`] the header that tells a server the
//! client's address, and [`quic`] the connection IDs that name a server.

pub mod ftp;
mod ftp_line;
pub mod proxy;
pub mod quic;
