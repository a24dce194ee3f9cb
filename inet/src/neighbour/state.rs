//! The states of a neighbour.

use std::fmt;

/// What is known of a neighbour, in the words of `dpip neigh show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeighbourState {
    /// Asked, no answer yet
    Incomplete,
    /// Answered not long ago
    Reachable,
    /// Asked again, since the last answer is old
    Probe,
    /// No answer
    Failed,
    /// Configured
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
