//! A director for tests, fuzz targets and benches: one worker's engine, packets in `Vec`s, and a
//! clock that the test moves. The test plays control, the clients and the dests.
//!
//! [`Setup`] says what is configured and builds a [`Director`]. What the engine sends ends in a
//! [`Wire`] (as bytes) or in a [`Basket`] (as packets). [`config`] makes the parts of a
//! configuration for those who need one of their own.

#![allow(
    clippy::wrong_self_convention,
    reason = "`to_dest` and `to_client` say where a frame goes; they convert nothing"
)]

mod addresses;
mod basket;
pub mod config;
mod handshake;
mod noise;
mod setup;
mod wire;
mod worker;
mod workers;

pub use addresses::*;
pub use basket::Basket;
pub use handshake::{Opened, SYN_OPTIONS};
pub use noise::Random;
pub use setup::{Setup, setup6};
pub use wire::{Wire, one, only};
pub use worker::Director;
pub use workers::{handed_over, receive_at, receive_batch_at};
