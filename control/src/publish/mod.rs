//! From the desired state to the workers: the one writer, and what it publishes.
//!
//! [`Control`] is the door: every call of the API takes its lock, changes the desired state, and
//! publishes. `state` is what lies behind the lock, `leaving` what was removed and may still have
//! conns, `live_config` what a reload of the configuration file may change, `workers` the rings to
//! the workers and what does not fit into them yet. Nothing here waits for a worker.

mod concerned;
mod control;
mod leaving;
mod live_config;
mod port_pools;
mod state;
mod workers;

pub use control::{Control, ControlConfig};
pub use live_config::LiveConfig;
pub(crate) use state::State;
pub use workers::{ConnTableSize, WorkerHandle};
