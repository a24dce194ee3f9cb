//! Is it the DPDK that the daemon was compiled against?

use dpdk::release::OtherRelease;

use crate::app::machine::Machine;

use super::finding::Finding;

/// The release of DPDK's libraries.
pub(super) fn check(machine: &Machine) -> Option<Finding> {
    let other = machine.other_dpdk()?;
    Some(match other {
        OtherRelease::OtherAbi { .. } => Finding::error(other.to_string()),
        OtherRelease::SameAbi { .. } => Finding::warning(other.to_string()),
    })
}
