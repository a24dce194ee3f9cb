//! The parts of `main`: the command line, the check before a start, and a run of the daemon.
//!
//! [`main`] is the only entrance. `start` reads the configuration and decides what to do with it,
//! `check` looks for what is missing on this `machine`, `daemon` starts and stops everything,
//! `serve` answers on the control socket meanwhile, and `reload` reads the file again.

mod banner;
mod cgroup;
mod check;
mod cli;
mod daemon;
mod log_queue;
mod logging;
mod machine;
mod progress;
mod reload;
mod serve;
mod signals;
mod socket;
mod start;

pub(crate) use start::main;
