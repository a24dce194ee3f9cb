//! The error of every part of the bench.

/// Any error: the program prints it and ends.
pub(crate) type Error = Box<dyn std::error::Error>;
