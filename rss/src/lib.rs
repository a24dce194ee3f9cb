//! Receive side scaling (RSS): which worker a packet belongs to.
//!
//! A NIC hashes the addresses and ports of a packet with a [`Key`] (Toeplitz), and its redirection
//! table leads from the low bits of the hash to a queue, and so to a worker. [`Owners`] does the
//! same arithmetic in software. So the director knows the worker of a packet before it comes: it
//! chooses local ports whose replies come to the worker that has the conn, and a worker that gets a
//! packet of another one knows which one that is.
//!
//! The crate is pure functions and plain memory. `dataplane` sets NICs up with the key and the
//! table, `sapool` groups ports by [`Owners::port_images`], and the engine asks for owners.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod key;
mod owners;
mod table;
mod worker_id;

pub use key::{KEY_LEN, Key};
pub use owners::{MOST_ENTRIES, Owners, OwnersError};
pub use worker_id::WorkerId;
