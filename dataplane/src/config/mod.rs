//! `dpvsd --config FILE`: TOML in, a complete and consistent [`Config`] out.
//!
//! `file` is the file as it is written, `device`, `workers` and `timeouts` are its larger sections.
//! Each section checks itself. `settings` is what the rest of the daemon sees. `error` says what is
//! wrong, where, and what to write instead. `keys` finds what has changed between two readings.

mod device;
mod error;
mod file;
mod keys;
mod load;
mod log_filter;
mod settings;
#[cfg(test)]
mod tests;
mod timeouts;
mod workers;

pub(crate) use error::{ConfigError, Invalid};
pub(crate) use file::MAX_MBUF_CACHE;
pub(crate) use load::{Loaded, read_file};
pub(crate) use log_filter::LogFilter;
pub(crate) use settings::{
    Config, DeviceAddress, DeviceConfig, Hugepages, Idle, Steering, WorkerPlan,
};
pub(crate) use timeouts::LONGEST_TIMEOUT_S;
