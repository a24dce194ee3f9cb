//! Packets in, packets out, on a clock that the test moves. One program, since each of its own
//! would have to link the engine anew. [`testkit::director`] has the director that the tests drive.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod combined;
mod fragmentation;
mod fullnat;
mod helper;
mod input;
mod ipv6;
mod modes;
mod nat64;
mod reference;
mod reported;
mod scheduling;
mod steering;
