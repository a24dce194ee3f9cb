//! What few conns need beyond addresses, ports and numbers: payload, options, a handshake.
//!
//! FTP (`ftp`, `ftp_line`, `ftp_nat64`), the PROXY protocol (`proxy_protocol`, `proxy_stream`,
//! `proxy_datagram`), UOA, the SYN proxy. `edit` says which of them edits a payload. A helper edits
//! a packet and what its conn remembers, and says what is to be done with it. It never sends one:
//! `xmit` and `input` do.

mod edit;
mod ftp;
mod ftp_line;
mod ftp_nat64;
mod proxy_datagram;
mod proxy_protocol;
mod proxy_stream;
mod syn_proxy;
mod uoa;

pub(crate) use syn_proxy::{Handshake, SynProxied};
