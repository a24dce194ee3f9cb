//! A worker lcore: its run loop, what its engine sees of the world, and the rings to everyone else.
//!
//! [`wire`] is the entrance: it makes every ring and hands its two ends out. [`Worker::run`] is the
//! loop, which `docs/architecture.md` shows as a picture. `shell` holds a worker's queues and ring
//! ends and is the engine's `Io`. `clock` tells the time.

mod clock;
mod run_loop;
mod shell;
mod wiring;

pub(crate) use run_loop::Worker;
pub(crate) use wiring::{Wired, wire};
