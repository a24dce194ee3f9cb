//! Something to know or to mend before a start.

use std::fmt;

/// Whether a finding keeps the daemon from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::app) enum Severity {
    /// The daemon starts, and this is worth knowing.
    Note,
    /// The daemon starts, but slower or with less.
    Warning,
    /// The daemon would not start, or not work.
    Error,
}

/// Something to know or to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Finding {
    /// How bad it is.
    pub(in crate::app) severity: Severity,
    /// What it is, and the way out.
    text: String,
}

impl Finding {
    pub(super) const fn note(text: String) -> Self {
        let severity = Severity::Note;
        Self { severity, text }
    }

    pub(super) const fn warning(text: String) -> Self {
        let severity = Severity::Warning;
        Self { severity, text }
    }

    pub(super) const fn error(text: String) -> Self {
        let severity = Severity::Error;
        Self { severity, text }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}: {}", self.text)
    }
}
