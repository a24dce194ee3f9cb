//! The number of a device.

/// Index of a device, as `dpip link show` counts them, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfIndex(pub u16);
