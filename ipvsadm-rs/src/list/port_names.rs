//! The names of ports in a list.

use crate::args::Line;
use crate::names::PortNames;

/// Ports are shown by name unless `-n` says otherwise.
pub(super) fn port_names(line: &Line) -> PortNames {
    if line.has("numeric") {
        PortNames::default()
    } else {
        PortNames::of_this_machine().clone()
    }
}
