//! The command line of `dpvsd`.

use std::path::PathBuf;

use clap::Parser;

use crate::config::LogFilter;

/// A DPDK layer-4 load balancer.
#[derive(Debug, Parser)]
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
