//! `dpvsd`, the daemon: it starts DPDK and the worker lcores, and ties the engine, control and the
//! kernel together.
//!
//! What is decided about packets is in `ipvs-core`, what operators may ask for in `control`. The
//! rooms here, from the top down: `app` (the parts of `main`), `worker` (the run loop, and the
//! rings between everything that runs), `kni` (packets to and from the kernel), `devices` (ports),
//! `steering` (replies find the worker of their conn), `convert` (DPVS's configuration file),
//! `config`.

mod app;
mod config;
mod convert;
mod devices;
mod kni;
mod steering;
mod worker;

use std::process::ExitCode;

/// Conn tables and counters are large and are read at random, so they belong on huge pages.
#[global_allocator]
static ALLOCATOR: dpdk::memory::LargeAllocator = dpdk::memory::LargeAllocator;

fn main() -> ExitCode {
    app::main()
}
