//! The SYN proxy: the director shakes hands with the client before the dest hears of it.
//!
//! `cookie_side` answers SYNs by cookies and takes them back, without a conn. `conn_side` is what
//! the conn of such a client needs from then on: its numbers, timestamps and windows are
//! translated.

mod conn_side;
mod cookie_side;

pub(crate) use conn_side::SynProxied;
pub(crate) use cookie_side::Handshake;
