//! Why a port could not do what it was asked.

use crate::errno::Errno;

/// A port could not be found, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The name holds a NUL byte.
    #[error("invalid port name {0:?}: it holds a NUL byte, remove it")]
    BadName(String),
    /// EAL has no port of this name.
    #[error("{name}: looking the port up failed: {why}")]
    NotFound {
        /// The name that was looked up.
        name: String,
        /// DPDK's reason.
        why: Errno,
    },
    /// Another part of this process has the port.
    #[error("{0}: looking the port up failed: it is in use by this process already")]
    InUse(String),
    /// A port whose queues are in use cannot be started again.
    #[error("{0}: starting it again failed: its queues were handed out")]
    QueuesTaken(String),
    /// The driver refused.
    #[error("{name}: {step} failed: {why}")]
    Refused {
        /// The port's name.
        name: String,
        /// What it was asked to do, e.g. "configuring it".
        step: &'static str,
        /// The driver's reason.
        why: Errno,
    },
}
