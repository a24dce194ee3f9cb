//! What few conns need beyond addresses, ports and numbers: payload, options, a handshake.
//!
//! FTP (`ftp`, `ftp_line`, `ftp_nat64`), the PROXY protocol, UOA, the SYN proxy. A helper edits a
//! packet and what its conn remembers, and says what is to be done with it. It never sends one:
//! `xmit` and `input` do.

mod ftp;
mod ftp_line;
mod ftp_nat64;
mod proxy_protocol;
mod syn_proxy;
mod uoa;

pub(crate) use syn_proxy::{Handshake, SynProxied};
