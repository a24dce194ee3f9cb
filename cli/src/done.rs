//! The daemon's answer to a change.

use std::io::Write;

use tonic::{Response, Status};

use crate::CliError;

/// The key of a warning in the metadata of an answer.
const WARNING: &str = "dpvs-warning";

/// Takes the answer to a change. A warning of the daemon goes to standard error.
///
/// # Errors
/// If the daemon has refused the change.
pub fn done<T>(answer: Result<Response<T>, Status>) -> Result<(), CliError> {
    let answer = answer?;
    let warning = answer.metadata().get(WARNING);
    if let Some(warning) = warning.and_then(|warning| warning.to_str().ok()) {
        // If standard error is closed, nobody reads it.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    Ok(())
}
