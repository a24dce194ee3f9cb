//! A worker's turn: what the shell calls.
//!
//! `process` takes a burst and classifies it, `stages` takes a batch of one family through its
//! look-ups, `nat64_handover` moves IPv4 packets of NAT64 conns to the IPv6 state. `commands`
//! carries out what control orders, `housekeeping` lets time pass. Nothing below calls up here.

mod commands;
mod housekeeping;
mod nat64_handover;
mod process;
mod stages;
