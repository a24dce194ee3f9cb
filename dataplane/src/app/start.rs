//! From the command line to a check or a run.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Config, ConfigError, LogFilter};

use super::check::{self, Severity};
use super::cli::Cli;
use super::daemon::{self, DaemonError};
use super::machine::Machine;

/// Why `dpvsd` ended without success.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{} cannot be started here: see above", .0.display())]
    Check(PathBuf),
    #[error("invalid log filter '{filter}': {why}")]
    Log { filter: String, why: ParseError },
    #[error(transparent)]
    Daemon(#[from] DaemonError),
}

/// All of `dpvsd`.
pub(crate) fn main() -> ExitCode {
    match start(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(cli: &Cli) -> Result<(), StartError> {
    let machine = Machine::this();
    let config = configure(cli, &machine)?;
    check_first(cli, &config, &machine)?;
    if cli.check {
        say(&format_args!(
            "{} can be started here",
            cli.config.display()
        ));
        return Ok(());
    }
    start_logging(&config.log)?;
    Ok(daemon::run(&config, &machine)?)
}

/// The configuration file, with what the command line says in its place.
fn configure(cli: &Cli, machine: &Machine) -> Result<Config, ConfigError> {
    let mut config = Config::load(&cli.config, machine.cpus().len())?;
    if let Some(socket) = &cli.socket {
        config.socket.clone_from(socket);
    }
    if let Some(log) = &cli.log {
        config.log.clone_from(log);
    }
    Ok(config)
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

/// Logs to standard error. The libraries under the gRPC server log from info on only, unless the
/// filter names them. A line that cannot be written is lost: logging never costs the service.
fn start_logging(log: &LogFilter) -> Result<(), StartError> {
    let directives = format!("h2=info,hyper=info,tower=info,{}", log.as_str());
    let filter = EnvFilter::try_new(&directives).map_err(|why| StartError::Log {
        filter: log.as_str().to_owned(),
        why,
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would report a failed write by `eprintln!`, which panics for the same reason.
        .log_internal_errors(false)
        .init();
    Ok(())
}
