//! The states of a neighbour.

use std::fmt;

/// The state of a neighbour. The names are those of `dpip neigh show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeighbourState {
    /// It was asked for, and has not answered yet.
    Incomplete,
    /// It answered not long ago.
    Reachable,
    /// Its last answer is old, so it is asked again.
    Probe,
    /// It did not answer.
    Failed,
    /// It was configured.
    Permanent,
}

impl fmt::Display for NeighbourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Permanent => "PERMANENT",
        })
    }
}
