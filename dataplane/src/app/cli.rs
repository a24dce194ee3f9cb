//! The command line of `dpvsd`.

use std::path::PathBuf;

use clap::Parser;

use crate::config::{Config, ConfigError, Loaded, LogFilter};

use super::machine::Machine;

/// A DPDK layer-4 load balancer.
#[derive(Debug, Clone, Parser)]
#[command(name = "dpvsd", version)]
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
        let mut loaded = Config::load(&self.config, machine.cpus().len())?;
        if let Some(socket) = &self.socket {
            loaded.config.socket.clone_from(socket);
        }
        if let Some(log) = &self.log {
            loaded.config.log.clone_from(log);
        }
        Ok(loaded)
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
