//! Packets in, packets out, on a clock that the test turns. One program: each of its own would have to compile
//! the engine anew.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod bad_input;
mod flood;
mod fragments;
mod ftp;
mod fullnat;
mod icmp;
mod ipsec;
mod ipv6;
mod mixed;
mod mixed_nat;
mod modes;
mod neighbours;
mod options;
mod proxy_protocol;
mod reference;
mod round_trip;
mod schedulers;
mod sctp;
mod sctp_fragments;
mod snat;
mod syn_proxy;
mod uoa;
mod workers;
