//! From a path or a text to a [`Config`].

use std::path::Path;

use super::error::{self, ConfigError};
use super::file::File;
use super::keys::Keys;
use super::settings::Config;

/// A configuration file that has been read.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What it means.
    pub(crate) config: Config,
    /// What it says.
    pub(crate) keys: Keys,
}

impl Config {
    /// Reads a configuration file. `cpus` is how many CPUs the machine has: some defaults depend on
    /// it.
    ///
    /// # Errors
    /// With the file, the line or section, what is wrong and what to write instead.
    pub(crate) fn load(path: &Path, cpus: usize) -> Result<Loaded, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable {
            path: path.to_owned(),
            why,
        })?;
        let config = Self::parse(path, &text, cpus)?;
        let keys = text.parse().map(|table| Keys::of(&table));
        Ok(Loaded {
            config,
            keys: keys.unwrap_or_default(),
        })
    }

    /// Reads a configuration from text; `path` is only for error messages.
    ///
    /// # Errors
    /// With the file, the line or section, what is wrong and what to write instead.
    pub(crate) fn parse(path: &Path, text: &str, cpus: usize) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|why| error::explain(path, text, &why))?;
        file.validate(cpus).map_err(|why| ConfigError::Invalid {
            path: path.to_owned(),
            why,
        })
    }
}
