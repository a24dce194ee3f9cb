//! What is wrong with a configuration file, in words that help.

use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}. Samples to start from are in conf/", path = path.display())]
    Unreadable {
        /// Which file
        path: PathBuf,
        /// Why
        why: std::io::Error,
    },
    /// A line cannot be understood.
    #[error("{path}:{line}: {what}", path = path.display())]
    Line {
        /// Which file
        path: PathBuf,
        /// Which line, from 1
        line: usize,
        /// What is wrong with it
        what: String,
    },
    /// The parts contradict each other.
    #[error("{path}: {what}", path = path.display())]
    Invalid {
        /// Which file
        path: PathBuf,
        /// What to change
        what: String,
    },
}

/// Adds the line, and the nearest valid key for one that is not known.
pub(super) fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start);
    let line = text
        .as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1;
    let what =
        unknown_key(error.message()).unwrap_or_else(|| error.message().trim().replace('\n', " "));
    ConfigError::Line {
        path: path.to_owned(),
        line,
        what,
    }
}

/// serde says: unknown field `quues`, expected one of `name`, `queues` (or: unknown variant).
fn unknown_key(message: &str) -> Option<String> {
    let (head, expected) = message.split_once(", expected ")?;
    let key = head
        .strip_prefix("unknown field ")
        .or_else(|| head.strip_prefix("unknown variant "))?
        .trim_matches('`');
    let valid: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = valid
        .iter()
        .max_by(|a, b| strsim::jaro(key, a).total_cmp(&strsim::jaro(key, b)))?;
    Some(format!(
        "unknown key '{key}': did you mean '{nearest}'? Valid here: {}",
        valid.join(", ")
    ))
}
