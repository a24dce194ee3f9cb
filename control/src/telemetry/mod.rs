//! What is counted, and how fast it grows.
//!
//! Counters are read where the workers write them; no worker is asked. `counts` are those of a dest
//! or a service, `rates` their growth per second, `loop_stats` what a run loop counts about itself.
//! `alerts` are the log lines about what goes wrong, and `repeated` keeps them few.

mod alerts;
mod counts;
mod loop_stats;
mod rates;
mod repeated;

pub(crate) use alerts::{Alert, Alerts, Subject};
pub use counts::Counts;
pub use loop_stats::LoopStats;
pub(crate) use rates::Rates;
