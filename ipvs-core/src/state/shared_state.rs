//! The tables of a worker that the other workers read in place.

use super::expectations::Expectations;
use super::templates::Templates;

/// The tables of one worker that all workers read when they make a conn. Only the worker itself
/// writes them, without locks.
#[derive(Debug)]
pub struct SharedState {
    /// FTP data conns that are expected.
    pub(crate) expectations: Expectations,
    /// Persistence templates: which dest each client keeps.
    pub(crate) templates: Templates,
}

impl SharedState {
    /// Bytes of memory of the tables with room for so many persistence templates.
    pub(crate) fn bytes_for(max_templates: usize) -> usize {
        Expectations::BYTES + Templates::bytes_for(max_templates)
    }

    /// Empty tables, with room for about `max_templates` persistence templates.
    pub fn new(max_templates: usize) -> Self {
        Self {
            expectations: Expectations::new(),
            templates: Templates::new(max_templates),
        }
    }
}
