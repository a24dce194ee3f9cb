//! The words of a command line, read from left to right.

use std::net::IpAddr;

use cli::CliError;

/// What is still to be read.
#[derive(Debug)]
pub struct Words {
    words: std::vec::IntoIter<String>,
}

impl Words {
    /// All words of a command, from the object on.
    pub fn new(words: Vec<String>) -> Self {
        Self {
            words: words.into_iter(),
        }
    }

    /// The next word, if there is one.
    pub fn next(&mut self) -> Option<String> {
        self.words.next()
    }

    /// The word that must follow a keyword.
    pub fn value(&mut self, keyword: &str) -> Result<String, CliError> {
        self.next()
            .ok_or_else(|| CliError::failed(format!("'{keyword}' needs a value after it")))
    }

    /// An address after a keyword.
    pub fn addr(&mut self, keyword: &str) -> Result<IpAddr, CliError> {
        let word = self.value(keyword)?;
        parse_addr(&word)
    }

    /// A number after a keyword.
    pub fn number(&mut self, keyword: &str) -> Result<u32, CliError> {
        let word = self.value(keyword)?;
        word.parse()
            .map_err(|_| CliError::failed(format!("'{keyword} {word}': {word} is no number")))
    }
}

/// An address.
pub fn parse_addr(word: &str) -> Result<IpAddr, CliError> {
    word.parse()
        .map_err(|_| CliError::failed(format!("'{word}' is no IP address")))
}

/// An address with or without a prefix length; without, that of a host.
pub fn parse_prefix(word: &str) -> Result<(IpAddr, u32), CliError> {
    let (addr, len) = match word.split_once('/') {
        Some((addr, len)) => (parse_addr(addr)?, Some(len)),
        None => (parse_addr(word)?, None),
    };
    let most = if addr.is_ipv4() { 32 } else { 128 };
    let len = match len {
        None => most,
        Some(len) => len.parse().ok().filter(|len| *len <= most).ok_or_else(|| {
            CliError::failed(format!("'{word}': the prefix length must be 0 to {most}"))
        })?,
    };
    Ok((addr, len))
}

/// A word that is no keyword here.
pub fn unknown(word: &str, valid: &[&str]) -> CliError {
    let hint = cli::nearest(word, valid)
        .map(|near| format!(": did you mean '{near}'?"))
        .unwrap_or_default();
    CliError::failed(format!(
        "'{word}' is not understood here{hint} Valid: {}",
        valid.join(", ")
    ))
}
