//! The daemon's answer to a change.

use std::io::Write;

use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use crate::{CliError, sentence};

/// The key of a warning in the metadata of an answer.
const WARNING: &str = "dpvs-warning";
/// The key of the same warning in parts.
const WARNING_PARTS: &str = "dpvs-warning-bin";

/// Takes the answer to a change. A warning of the daemon goes to standard error.
///
/// # Errors
/// If the daemon has refused the change.
pub fn done<T>(answer: Result<Response<T>, Status>) -> Result<(), CliError> {
    let answer = answer?;
    if let Some(warning) = warning(answer.metadata()) {
        // If standard error is closed, nobody reads it.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    Ok(())
}

fn warning(metadata: &MetadataMap) -> Option<String> {
    let parts = metadata.get_bin(WARNING_PARTS);
    let parts = parts.and_then(|value| value.to_bytes().ok());
    parts
        .and_then(|bytes| sentence::of_bytes(&bytes))
        .or_else(|| Some(metadata.get(WARNING)?.to_str().ok()?.to_owned()))
}
