//! Printing to standard output.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::error::CliError;

/// Prints to standard output.
///
/// # Errors
/// If standard output cannot be written. [`CliError::reader_gone`] if its reader has gone: that
/// is no failure, but the program should end.
pub fn print(text: &str) -> Result<(), CliError> {
    print_to(&mut std::io::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> Result<(), CliError> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CliError::reader_gone()),
        Err(error) => Err(CliError::failed(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}

/// Prints a value as indented JSON.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &Value) -> Result<(), CliError> {
    print(&format!("{value:#}\n"))
}

/// Prints a value as JSON on one line, for output that goes on: every line is a sample.
///
/// # Errors
/// As [`print()`].
pub fn print_json_line(value: &Value) -> Result<(), CliError> {
    print(&format!("{value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that fails every write with the same kind of error.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is() {
        let gone = print_to(&mut Failing(ErrorKind::BrokenPipe), "text").unwrap_err();
        assert_eq!((gone.status, gone.text.as_str()), (0, ""));
        let full = print_to(&mut Failing(ErrorKind::StorageFull), "text").unwrap_err();
        assert!(full.status == 1 && full.text.contains("standard output"));
        let mut out = Vec::new();
        print_to(&mut out, "text").unwrap();
        assert_eq!(out, b"text");
    }
}
