//! `dpvsd convert FILE`: a configuration file of DPVS in, the TOML that it means out.
//!
//! [`convert`] is the entrance. `tree` reads DPVS's format, `table` says what each item means here,
//! `devices` and `workers` deal with the two kinds of blocks that become sections of their own, and
//! `output` writes the TOML. An item without a counterpart becomes a comment.

mod devices;
mod output;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod workers;

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Invalid, read_file};

use output::Output;
use tree::{Item, SyntaxError};

/// The sections of DPVS's file.
const SECTIONS: &[&str] = &[
    "global_defs",
    "netif_defs",
    "worker_defs",
    "timer_defs",
    "neigh_defs",
    "ipset_defs",
    "ipv4_defs",
    "ipv6_defs",
    "ctrl_defs",
    "ipvs_defs",
    "sa_pool",
];

/// How many CPUs the machine may have. It changes a default, not what is valid.
const USUAL_CPUS: usize = 8;

/// Why a file cannot be converted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConvertError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason of the system.
        why: std::io::Error,
    },
    /// A brace is missing or too many.
    #[error("{path}:{why}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: SyntaxError,
    },
    /// No section of DPVS's file is there.
    #[error(
        "{path}: no section of dpvs.conf: expected e.g. netif_defs {{ ... }}", path = .0.display()
    )]
    NotOfDpvs(PathBuf),
}

/// Whether a text looks like a configuration file of DPVS.
pub(crate) fn is_of_dpvs(text: &str) -> bool {
    let is_section = |item: &Item| item.block.is_some() && SECTIONS.contains(&item.name());
    tree::parse(text).is_ok_and(|items| items.iter().any(is_section))
}

/// Reads a file of DPVS. `nics` are the PCI addresses of the NICs that DPDK can drive, in the order
/// in which it finds them. DPVS numbers its devices in this order.
///
/// # Errors
/// With the file, the line, and what is wrong.
pub(crate) fn convert_file(path: &Path, nics: &[String]) -> Result<String, ConvertError> {
    let bytes = read_file(path).map_err(|why| ConvertError::Unreadable {
        path: path.to_owned(),
        why,
    })?;
    convert(path, &String::from_utf8_lossy(&bytes), nics)
}

/// As [`convert_file`], from text. `path` is only for messages.
fn convert(path: &Path, text: &str, nics: &[String]) -> Result<String, ConvertError> {
    let items = tree::parse(text).map_err(|why| ConvertError::Syntax {
        path: path.to_owned(),
        why,
    })?;
    if !items.iter().any(|item| SECTIONS.contains(&item.name())) {
        return Err(ConvertError::NotOfDpvs(path.to_owned()));
    }
    let mut output = Output::new(path);
    let names = devices::convert(&items, nics, &mut output);
    let workers = workers::convert(&items, &names, &mut output);
    output.workers = workers.max(1);
    for item in &items {
        table::convert(item, "", &mut output);
    }
    let text = output.text();
    let read = Config::parse(path, &text, USUAL_CPUS);
    let Err(ConfigError::Invalid { why, .. }) = &read else {
        return Ok(text);
    };
    // Both sizes are right in DPVS, where each NUMA node has a pool.
    if matches!(why, Invalid::TooFewMbufs { .. }) {
        output.leave_out("mbufs", "count", &why.to_string());
    }
    Ok(output.text())
}
