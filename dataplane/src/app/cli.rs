//! The command line of `dpvsd`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::config::{Config, ConfigError, Loaded, LogFilter, read_file};
use crate::convert::is_of_dpvs;

use super::machine::Machine;

/// What else there is.
const CONVERT_HELP: &str = "dpvsd convert DPVS.CONF writes the TOML that a configuration file of \
                            DPVS means to standard output.";

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Invocation {
    /// To run, or to check.
    Run(Cli),
    /// `convert FILE`.
    Convert(PathBuf),
    /// The options are those of `dpvs`.
    OfDpvs,
}

/// `dpvsd convert`.
#[derive(Debug, Parser)]
#[command(name = "dpvsd convert")]
struct Convert {
    /// The configuration file of DPVS, e.g. /etc/dpvs.conf
    #[arg(value_name = "DPVS.CONF")]
    file: PathBuf,
}

impl Invocation {
    /// Reads the command line. Wrong options end the process with a message.
    pub(super) fn parse() -> Self {
        let args: Vec<OsString> = std::env::args_os().collect();
        let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
        match words.first() {
            Some(&"convert") => {
                let name = OsString::from("dpvsd convert");
                let args = [name].into_iter().chain(args.into_iter().skip(2));
                Self::Convert(Convert::parse_from(args).file)
            }
            _ if is_for_dpvs(&words) => Self::OfDpvs,
            _ => Self::Run(Cli::parse_from(args)),
        }
    }
}

/// Whether the options are those of `dpvs`: `-c FILE -p PIDFILE -x SOCKET -- EAL's`.
fn is_for_dpvs(words: &[&str]) -> bool {
    const LONG: &[&str] = &["--conf", "--pid-file", "--ipc-file"];
    words.iter().any(|word| {
        let is_short = ["-c", "-p", "-x"]
            .iter()
            .any(|option| word.starts_with(option));
        let name = word.split('=').next().unwrap_or(word);
        is_short || LONG.contains(&name) || *word == "--"
    })
}

/// A DPDK layer-4 load balancer.
#[derive(Debug, Clone, Parser)]
#[command(name = "dpvsd", version, after_help = CONVERT_HELP)]
pub(super) struct Cli {
    /// The configuration file; samples are in conf/
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Say what is missing on this machine, start nothing
    #[arg(long)]
    pub(super) check: bool,
    /// Where dpip and ipvsadm-rs connect to, instead of what the file says
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// What to log, instead of what the file says: error, warn, info, debug
    #[arg(long, value_name = "LEVEL")]
    pub(super) log: Option<LogFilter>,
}

impl Cli {
    /// The configuration file, with what the command line says in its place.
    pub(super) fn load(&self, machine: &Machine) -> Result<Loaded, ConfigError> {
        let mut loaded = Config::load(&self.config, machine.cpus().len())
            .map_err(|error| self.recognise(error))?;
        if let Some(socket) = &self.socket {
            loaded.config.socket.clone_from(socket);
        }
        if let Some(log) = &self.log {
            loaded.config.log.clone_from(log);
        }
        Ok(loaded)
    }

    /// A file that is not TOML may be DPVS's.
    fn recognise(&self, error: ConfigError) -> ConfigError {
        let is_of_dpvs = matches!(error, ConfigError::Line { .. })
            && read_file(&self.config)
                .is_ok_and(|bytes| is_of_dpvs(&String::from_utf8_lossy(&bytes)));
        if is_of_dpvs {
            return ConfigError::OfDpvs(self.config.clone());
        }
        error
    }

    /// Whether the command line says something in the place of this key of the file.
    pub(super) fn overrides(&self, key: &str) -> bool {
        match key {
            "[daemon] socket" => self.socket.is_some(),
            "[daemon] log" => self.log.is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_dpvs_are_recognised_and_our_own_are_not() {
        for line in [
            "-c /etc/dpvs.conf -p /run/dpvs.pid -x /run/dpvs.ipc -- -l 0-1",
            "-c/etc/dpvs.conf",
            "--conf=/etc/dpvs.conf",
            "-p /run/dpvs.pid",
            "-- -l 0-8 -a 0000:06:00.0",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(is_for_dpvs(&words), "{line}");
        }
        for line in [
            "--config dpvs.toml",
            "--check --config=dpvs.toml",
            "--log info",
            "-h",
            "-V",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(!is_for_dpvs(&words), "{line}");
        }
    }
}
