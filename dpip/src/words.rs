//! The words of a command line, read from left to right.

use std::net::IpAddr;

use cli::CliError;
use packet::MacAddr;

/// The words that are still to be read, and the keywords that were read.
#[derive(Debug)]
pub(crate) struct Words {
    words: std::vec::IntoIter<String>,
    keywords: Vec<String>,
}

impl Words {
    /// Starts with all words of a command, from the object on.
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self {
            words: words.into_iter(),
            keywords: Vec::new(),
        }
    }

    /// The next word, if there is one.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.words.next()
    }

    /// The word that must follow a keyword. A keyword may be given once only.
    pub(crate) fn value(&mut self, keyword: &str) -> Result<String, CliError> {
        if self.keywords.iter().any(|seen| seen == keyword) {
            return Err(CliError::failed(format!("'{keyword}' is given twice")));
        }
        self.keywords.push(keyword.to_owned());
        self.next()
            .ok_or_else(|| CliError::failed(format!("'{keyword}' needs a value after it")))
    }

    /// The address that must follow a keyword.
    pub(crate) fn addr(&mut self, keyword: &str) -> Result<IpAddr, CliError> {
        let word = self.value(keyword)?;
        parse_addr(&word)
    }

    /// The number that must follow a keyword.
    pub(crate) fn number(&mut self, keyword: &str) -> Result<u32, CliError> {
        let word = self.value(keyword)?;
        word.parse().map_err(|_| {
            CliError::failed(format!(
                "invalid {keyword} '{word}': expected a number, e.g. 1500"
            ))
        })
    }

    /// Parses `[ dev NAME ]`, and nothing else may follow. The result is empty without a device.
    pub(crate) fn device_only(mut self) -> Result<String, CliError> {
        let mut device = String::new();
        while let Some(word) = self.next() {
            match word.as_str() {
                "dev" => device = self.value("dev")?,
                _ => return Err(unknown(&word, &["dev"])),
            }
        }
        Ok(device)
    }
}

/// Parses an address.
pub(crate) fn parse_addr(word: &str) -> Result<IpAddr, CliError> {
    cli::parse_addr(word).map_err(|error| CliError::failed(error.to_string()))
}

/// Parses an address with or without a prefix length. Without one it is the length of a host.
pub(crate) fn parse_prefix(word: &str) -> Result<(IpAddr, u32), CliError> {
    cli::parse_prefix(word).map_err(|error| CliError::failed(error.to_string()))
}

/// Parses a MAC address into its bytes.
pub(crate) fn parse_mac(word: &str) -> Result<Vec<u8>, CliError> {
    let mac: Result<MacAddr, _> = word.parse();
    mac.map(|mac| mac.0.to_vec())
        .map_err(|error| CliError::failed(error.to_string()))
}

/// Whether a word is meant as an address. If it is wrong, the message is about an address then, not
/// about an unknown word.
pub(crate) fn looks_like_addr(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_hexdigit() || first == ':')
        && word.contains(['.', ':', '/'])
}

/// The error for a word that is none of the valid ones.
pub(crate) fn unknown(word: &str, valid: &[&str]) -> CliError {
    let hint = hint(word, valid);
    CliError::failed(format!(
        "'{word}' is not understood here{hint} Valid: {}",
        valid.join(", ")
    ))
}

/// The hint after an unknown word: `: did you mean 'X'?`, or a full stop if no valid word is
/// similar.
pub(crate) fn hint(word: &str, valid: &[&str]) -> String {
    match cli::did_you_mean(word, valid) {
        none if none.is_empty() => ".".to_owned(),
        hint => hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        Words::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn a_keyword_stands_once_with_its_value() {
        assert!(words("").value("dev").unwrap_err().text.contains("'dev'"));
        let mut two = words("dpdk0 dpdk1");
        assert_eq!(two.value("dev").unwrap(), "dpdk0");
        assert_eq!(two.value("dev").unwrap_err().text, "'dev' is given twice");
    }

    #[test]
    fn a_device_and_nothing_else() {
        assert_eq!(words("").device_only().unwrap(), "");
        assert_eq!(words("dev dpdk0").device_only().unwrap(), "dpdk0");
        let text = words("device dpdk0").device_only().unwrap_err().text;
        assert_eq!(
            text,
            "'device' is not understood here: did you mean 'dev'? Valid: dev"
        );
    }
}
