//! The way out of a packet whose conn is known. LVS's `ip_vs_xmit`.
//!
//! `fast_path` is what nearly all packets take, `slow_path` what the others take: `rewrite`,
//! `dr_tunnel`, `nat64`, `sctp`, `echo`, and `fragment` and `renumber` for fragments. `nexthop`
//! finds the neighbour and sends, or queues. `too_long` cuts what is longer than its way takes,
//! `icmp_error` tells the sender of what cannot go on, and `blind_reset` says which resets end a
//! conn.

mod blind_reset;
mod dr_tunnel;
mod echo;
mod fast_path;
mod fragment;
mod headers;
mod icmp_error;
mod nat64;
mod nexthop;
mod renumber;
mod rewrite;
mod sctp;
mod sctp_fragment;
mod slow_path;
mod too_long;

pub(crate) use icmp_error::Refusal;
pub(crate) use nexthop::Way;
