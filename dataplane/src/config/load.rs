//! From a path or a text to a [`Config`].

use std::path::Path;

use super::error::{self, ConfigError};
use super::file::File;
use super::settings::Config;

impl Config {
    /// Reads a configuration file. `cpus` is how many CPUs the machine has: some defaults depend on
    /// it.
    ///
    /// # Errors
    /// With the file, the line or section, what is wrong and what to write instead.
    pub(crate) fn load(path: &Path, cpus: usize) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable {
            path: path.to_owned(),
            why,
        })?;
        Self::parse(path, &text, cpus)
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
