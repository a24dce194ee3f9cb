//! From the command line to a check or a run.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::config::{Config, ConfigError};

use super::check::{self, Severity};
use super::cli::Cli;
use super::daemon::{self, DaemonError};
use super::logging::Logging;
use super::machine::Machine;
use super::reload::Reload;
use super::signals;

/// Why `dpvsd` ended without success.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{} cannot be started here: see above", .0.display())]
    Check(PathBuf),
    #[error("cannot take signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
}

/// All of `dpvsd`.
pub(crate) fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<(), StartError> {
    let machine = Machine::this();
    let loaded = cli.load(&machine)?;
    check_first(&cli, &loaded.config, &machine)?;
    if cli.check {
        say(&format_args!(
            "{} can be started here",
            cli.config.display()
        ));
        return Ok(());
    }
    signals::survive_hangup().map_err(StartError::Signals)?;
    let logging = Logging::start(&loaded.config.log);
    let config = loaded.config.clone();
    let lines = logging.queue();
    let reload = Reload::new(cli, machine.clone(), logging, loaded);
    let ended = daemon::run(&config, &machine, reload);
    lines.flush();
    Ok(ended?)
}

/// Prints what the check found. Notes are printed only if a check was asked for.
fn check_first(cli: &Cli, config: &Config, machine: &Machine) -> Result<(), StartError> {
    let findings = check::check(config, machine);
    for finding in &findings {
        if cli.check || finding.severity > Severity::Note {
            say(finding);
        }
    }
    let mut severities = findings.iter().map(|finding| finding.severity);
    if severities.any(|severity| severity == Severity::Error) {
        return Err(StartError::Check(cli.config.clone()));
    }
    Ok(())
}

/// Says something to whoever started the daemon. If nobody reads it any more, it is lost:
/// `eprintln!` would panic.
fn say(what: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "dpvsd: {what}");
}
