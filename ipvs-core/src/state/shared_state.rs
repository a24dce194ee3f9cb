//! What a worker remembers and the other workers read where it lies.

use super::expectations::Expectations;
use super::templates::Templates;

/// The tables of one worker that all workers look into when they make a conn. The worker alone writes
/// them, without locks.
#[derive(Debug)]
pub struct SharedState {
    /// FTP data conns that are to come
    pub(crate) expectations: Expectations,
    /// Which dests clients keep to: persistence
    pub(crate) templates: Templates,
}

impl SharedState {
    /// Empty tables, with room for about `max_templates` clients that keep to a dest.
    pub fn new(max_templates: usize) -> Self {
        Self {
            expectations: Expectations::new(),
            templates: Templates::new(max_templates),
        }
    }
}
