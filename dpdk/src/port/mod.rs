//! Ports of DPDK: the NICs and software devices that EAL was started with.
//!
//! [`Port`] is the entrance: it is looked up by name, configured and started once, and hands out
//! its queues. [`PortInfo`] is what the driver says the port can do, [`PortStats`] and [`Link`] are
//! what it counts and how its link is, [`Rss`] is how it spreads packets, [`PortError`] says what
//! did not work.

mod error;
mod ethdev;
mod info;
mod rss;
mod stats;

pub use error::PortError;
pub use ethdev::{Port, PortConfig};
pub use info::PortInfo;
pub use rss::{Rss, RssFields};
pub use stats::{Link, PortStats};
