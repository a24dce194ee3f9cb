//! From the command line to a check or a run.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{Config, ConfigError};
use crate::convert::{self, ConvertError};

use super::check::{self, Severity};
use super::cli::{Cli, Invocation};
use super::daemon::{self, DaemonError};
use super::logging::Logging;
use super::machine::Machine;
use super::reload::Reload;
use super::signals::StartSignals;

/// Why `dpvsd` ended without success.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error("the result needs a change before it can be used: {0}")]
    Converted(ConfigError),
    #[error(
        "these are options of dpvs. -c FILE is --config FILE here, with a file that \
         `dpvsd convert FILE` makes of dpvs.conf. -x SOCKET is --socket PATH. There is no pid file \
         (-p). What stands behind -- are lcores, [eal] main_lcore and [[worker]] in the file, or \
         [eal] extra_args. `dpvsd --help` lists all options"
    )]
    OfDpvs,
    #[error("{} cannot be started here: see above", .0.display())]
    Check(PathBuf),
    #[error("cannot take signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
}

/// All of `dpvsd`.
pub(crate) fn main() -> ExitCode {
    let done = match Invocation::parse() {
        Invocation::Run(cli) => start(cli),
        Invocation::Convert(file) => convert(&file),
        Invocation::OfDpvs => Err(StartError::OfDpvs),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(if matches!(error, StartError::OfDpvs) {
                2
            } else {
                1
            })
        }
    }
}

/// Writes the TOML that a file of DPVS means to standard output.
fn convert(file: &Path) -> Result<(), StartError> {
    let machine = Machine::this();
    let text = convert::convert_file(file, &check::nics_for_dpdk(&machine))?;
    let _ = std::io::stdout().write_all(text.as_bytes());
    let path = Path::new("what is written");
    Config::parse(path, &text, machine.cpus().len()).map_err(StartError::Converted)?;
    Ok(())
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
    let signals = StartSignals::take().map_err(StartError::Signals)?;
    let logging = Logging::start(&loaded.config.log);
    let config = loaded.config.clone();
    let lines = logging.queue();
    let reload = Reload::new(cli, machine.clone(), logging, loaded);
    let ended = daemon::run(&config, &machine, reload, signals);
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
