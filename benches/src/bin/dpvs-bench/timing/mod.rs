//! How time is taken and what is made of it: the stopwatch, and the costs of the director beside
//! those of macswap. It knows nothing of ports and packets.

mod comparison;
mod stopwatch;
mod whole_core;

pub(crate) use comparison::Comparison;
pub(crate) use stopwatch::{Core, Cost, Stopwatch, Time, Timed};
pub(crate) use whole_core::by_both_times;
