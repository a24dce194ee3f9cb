//! `dpvsd --check`: what is missing on this machine, and the command that mends it.
//!
//! [`check`] is the entrance. `memory` looks at what the tables take, `resources` at hugepages,
//! CPUs and the socket's folder, `nics` at the devices, `release` at DPDK itself, and each returns
//! [`Finding`]s. [`memory_of`] chooses the pages that a start uses.

mod finding;
mod memory;
mod nics;
mod release;
mod resources;
#[cfg(test)]
mod tests;

pub(super) use finding::{Finding, Severity};
pub(super) use nics::nics_for_dpdk;
pub(super) use resources::memory_of;

use crate::config::Config;

use super::machine::Machine;

/// Everything that can be found out before EAL starts.
pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::from_iter(release::check(machine));
    findings.extend(resources::check(config, machine));
    findings.extend(memory::check(config, memory_of(config, machine), machine));
    findings.extend(nics::check(config, machine));
    findings
}
