//! What a part of the bench fails with.

/// Any error: the program prints it and ends.
pub type Error = Box<dyn std::error::Error>;
