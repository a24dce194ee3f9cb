//! `dpvsd`, the daemon: EAL, ports, lcores, the run loop, and how everything is tied together.
//!
//! What is decided about packets is in `ipvs-core`, what operators may ask for in `control`.

mod check;
mod cli;
mod clock;
mod config;
mod daemon;
mod eal_args;
mod exception_path;
mod machine;
mod memory;
mod ports;
mod shell;
mod socket;
mod wiring;
mod worker;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use check::Severity;
use config::Config;
use machine::Machine;

/// Conn tables and counters are large, and read at random: on huge pages.
#[global_allocator]
static ALLOCATOR: dpdk::memory::LargeAllocator = dpdk::memory::LargeAllocator;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match start(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dpvsd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: &cli::Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let machine = Machine::this();
    let mut config = Config::load(&cli.config, machine.cpus().len())?;
    if let Some(socket) = &cli.socket {
        config.socket.clone_from(socket);
    }
    if let Some(log) = &cli.log {
        config.log.clone_from(log);
    }
    let findings = check::check(&config, &machine);
    let is_fatal = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    for finding in findings
        .iter()
        .filter(|finding| cli.check || finding.severity > Severity::Note)
    {
        eprintln!("dpvsd: {finding}");
    }
    if is_fatal {
        return Err(format!("{} cannot be started here: see above", cli.config.display()).into());
    }
    if cli.check {
        eprintln!("dpvsd: {} can be started here", cli.config.display());
        return Ok(ExitCode::SUCCESS);
    }
    start_logging(&config.log)?;
    daemon::run(&config)?;
    Ok(ExitCode::SUCCESS)
}

/// Logs to standard error. The transport under the API speaks only when it is asked for by name.
fn start_logging(level: &str) -> Result<(), Box<dyn std::error::Error>> {
    let directives = format!("h2=info,hyper=info,tower=info,{level}");
    let filter = tracing_subscriber::EnvFilter::try_new(directives)
        .map_err(|why| format!("log level '{level}': {why}; use error, warn, info or debug"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
