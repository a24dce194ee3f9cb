//! From a path or a text to a [`Config`].

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::{self, ConfigError};
use super::file;
use super::keys::Keys;
use super::settings::Config;

/// Bytes of the largest file that is read.
const LARGEST_FILE: u64 = 16 << 20;

/// A configuration file that has been read.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What it means.
    pub(crate) config: Config,
    /// What it says.
    pub(crate) keys: Keys,
}

/// The content of a configuration file.
///
/// # Errors
/// If the system refuses, or the file is too large to be one: a device may have no end.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 16 MB"));
    }
    Ok(bytes)
}

impl Config {
    /// Reads a configuration file. `cpus` is how many CPUs the machine has: some defaults depend on
    /// it.
    ///
    /// # Errors
    /// With the file, the line or section, what is wrong and what to write instead.
    pub(crate) fn load(path: &Path, cpus: usize) -> Result<Loaded, ConfigError> {
        let read = read_file(path).and_then(|bytes| {
            let text = String::from_utf8(bytes);
            text.map_err(|_| io::Error::other("it is not text in UTF-8"))
        });
        let text = read.map_err(|why| ConfigError::Unreadable {
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
        let file: file::File =
            toml::from_str(text).map_err(|why| error::explain(path, text, &why))?;
        file.validate(cpus).map_err(|why| ConfigError::Invalid {
            path: path.to_owned(),
            why,
        })
    }
}
