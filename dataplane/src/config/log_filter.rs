//! What is logged: a level for everything, or levels for some modules.

use std::str::FromStr;

use strsim::damerau_levenshtein;
use tracing_subscriber::EnvFilter;

/// The levels of the `tracing` crate, from the least to the most that is logged.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// A word with so few typing errors is taken for a level.
const MOST_TYPING_ERRORS: usize = 2;

/// A filter of log lines: `info`, or `info,ipvs_core=debug`.
///
/// A word that is not a level would be taken for the name of a module, and nothing else would be
/// logged. So a module needs a level here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

/// A word where a level should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidLogLevel {
    /// A level with typing errors.
    #[error("invalid log level '{0}': did you mean '{1}'?")]
    Nearly(String, &'static str),
    /// Something else.
    #[error(
        "invalid log level '{0}': expected error, warn, info, debug, trace or off, \
         or MODULE=LEVEL, e.g. info,h2=debug"
    )]
    Unknown(String),
    /// A filter that the `tracing` crate cannot read.
    #[error("invalid log filter '{0}': {1}: expected a level, or MODULE=LEVEL, e.g. info,h2=debug")]
    Filter(String, String),
}

impl LogFilter {
    /// The filter as the `tracing` crate reads it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".into())
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLogLevel> {
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        for directive in &directives {
            let level = directive
                .rsplit_once('=')
                .map_or(*directive, |(_, level)| level);
            check_level(level.trim())?;
        }
        let filter = directives.join(",");
        match EnvFilter::try_new(&filter) {
            Ok(_) => Ok(Self(filter)),
            Err(why) => Err(InvalidLogLevel::Filter(filter, why.to_string())),
        }
    }
}

fn check_level(word: &str) -> Result<(), InvalidLogLevel> {
    let lower = word.to_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(());
    }
    let nearest = LEVELS
        .iter()
        .map(|level| (damerau_levenshtein(level, &lower), *level))
        .min();
    Err(match nearest {
        Some((errors, level)) if errors <= MOST_TYPING_ERRORS => {
            InvalidLogLevel::Nearly(word.to_owned(), level)
        }
        _ => InvalidLogLevel::Unknown(word.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_everything_and_of_modules_are_taken_as_they_are() {
        for text in [
            "info",
            "DEBUG",
            "off",
            "info,ipvs_core=debug",
            "warn, h2=trace",
        ] {
            let filter: LogFilter = text.parse().unwrap();
            assert_eq!(filter.as_str(), text.replace(' ', ""));
        }
    }

    #[test]
    fn a_misspelt_level_is_refused_with_the_nearest_one() {
        let error = |text: &str| text.parse::<LogFilter>().unwrap_err().to_string();
        assert_eq!(
            error("inof"),
            "invalid log level 'inof': did you mean 'info'?"
        );
        assert_eq!(
            error("info,ipvs_core=dbug"),
            "invalid log level 'dbug': did you mean 'debug'?"
        );
        assert!(error("ipvs_core").starts_with("invalid log level 'ipvs_core': expected error,"));
        assert!(error("").starts_with("invalid log level '': expected error,"));
        assert!(error("info,a[b=info").starts_with("invalid log filter 'info,a[b=info': "));
    }
}
