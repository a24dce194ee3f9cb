//! Devices: the DPDK ports, and what EAL needs to know to find them.
//!
//! Before EAL starts, [`eal_args()`] and [`Memory`] work out its arguments. Then [`start`] brings
//! every port up, and [`DpdkPlatform`] answers what control asks about them and sets what it wants
//! changed.
//!
//! VLAN, bond and tunnel devices will live here too, one file per kind: a device that is made of
//! others, next to `ports`, which holds those that are made of hardware.

mod eal_args;
mod memory;
mod platform;
mod ports;

pub(crate) use eal_args::eal_args;
pub(crate) use memory::Memory;
pub(crate) use platform::DpdkPlatform;
pub(crate) use ports::{PortStartError, Started, StartedPort, start};
