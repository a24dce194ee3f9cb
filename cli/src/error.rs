//! Errors as messages with an exit status.

use std::error::Error;
use std::fmt;

use tonic::{Code, Status};

use crate::sentence;

/// A message for the user and the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// What is wrong and what to do. Empty if nothing is to be printed.
    pub text: String,
    /// 1 if the command was refused or failed, 2 if it was not understood or is not supported.
    pub status: u8,
}

impl CliError {
    /// The command was refused or failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 1,
        }
    }

    /// The command line was not understood.
    pub fn usage(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 2,
        }
    }

    /// The command line was understood, but this release does not support it.
    pub fn unsupported(what: &str) -> Self {
        Self::usage(format!("{what} is not supported yet"))
    }

    /// The reader of the output has gone, as `head` does. The program ends without a message.
    pub const fn reader_gone() -> Self {
        Self {
            text: String::new(),
            status: 0,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for CliError {}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        // Only errors of the connection have a source. A status of the daemon has its message.
        if let Some(cause) = status.source() {
            return Self::failed(format!(
                "the connection to dpvsd broke: {}. Check that it still runs, and try again",
                root_cause(cause)
            ));
        }
        let text = match status.message() {
            "" => format!("dpvsd refused: {}", status.code().description()),
            message => sentence::of_refusal(&status).unwrap_or_else(|| message.to_owned()),
        };
        let code = if status.code() == Code::Unimplemented {
            2
        } else {
            1
        };
        Self { text, status: code }
    }
}

/// The innermost source of an error. The outer ones only say that something failed.
pub(crate) fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_says_is_said_as_it_is() {
        let refused = CliError::from(Status::already_exists("service exists"));
        assert_eq!(refused, CliError::failed("service exists"));
        let later = CliError::from(Status::unimplemented("IPv6 is not supported yet"));
        assert_eq!(later.status, 2);
        let silent = CliError::from(Status::permission_denied(""));
        assert!(silent.text.starts_with("dpvsd refused: "), "{silent}");
    }

    #[test]
    fn a_broken_connection_is_named() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = CliError::from(Status::from_error(Box::new(broken)));
        assert!(
            error
                .text
                .contains("the connection to dpvsd broke: connection reset")
        );
        assert_eq!(error.status, 1);
    }
}
