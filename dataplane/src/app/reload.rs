//! SIGHUP: the configuration file is read again.

use std::path::Path;

use control::{Control, LiveConfig};
use inet::neighbour::NeighbourConfig;

use crate::config::{Config, ConfigError, Loaded};

use super::cli::Cli;
use super::logging::Logging;
use super::machine::Machine;

/// What a reload needs to know.
#[derive(Debug)]
pub(super) struct Reload {
    cli: Cli,
    machine: Machine,
    logging: Logging,
    /// The file as it was when the daemon started: what needs a restart is still like this.
    started: Loaded,
    /// The file as it was read last.
    latest: Loaded,
}

impl Reload {
    /// The daemon starts with this configuration.
    pub(super) fn new(cli: Cli, machine: Machine, logging: Logging, started: Loaded) -> Self {
        Self {
            cli,
            machine,
            logging,
            latest: started.clone(),
            started,
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.cli.config
    }

    /// Reads the file again. What can change while the daemon runs changes, and for each other key
    /// one line says that it needs a restart. A file with an error changes nothing.
    pub(super) async fn reload(&mut self, control: &Control) {
        let path = self.cli.config.display().to_string();
        let loaded = match self.load().await {
            Ok(loaded) => loaded,
            Err(error) => return tracing::error!("SIGHUP: {error}. Nothing was changed"),
        };
        let mut lines = 0;
        for change in self.latest.keys.changes(&loaded.keys) {
            if change.is_live() && !self.cli.overrides(&change.name) {
                tracing::info!("SIGHUP: {path}: {change}");
                lines += 1;
            }
        }
        if !is_same_after_restart(&self.started.config, &loaded.config) {
            for change in self.started.keys.changes(&loaded.keys) {
                if !change.is_live() && !self.cli.overrides(&change.name) {
                    tracing::warn!("SIGHUP: {path}: {change} needs a restart");
                    lines += 1;
                }
            }
        }
        if lines == 0 {
            tracing::info!("SIGHUP: {path} says nothing new");
        }
        let (before, after) = (live(&self.latest.config), live(&loaded.config));
        control.reconfigure(&before, &after).await;
        self.logging.set(&loaded.config.log);
        self.latest = loaded;
    }

    async fn load(&self) -> Result<Loaded, ConfigError> {
        let (cli, machine) = (self.cli.clone(), self.machine.clone());
        // The file may be on a disk that does not answer.
        let load = tokio::task::spawn_blocking(move || cli.load(&machine));
        match load.await {
            Ok(loaded) => loaded,
            Err(stopping) => Err(ConfigError::Unreadable {
                path: self.cli.config.clone(),
                why: std::io::Error::other(stopping),
            }),
        }
    }
}

/// What of the configuration can change while the daemon runs.
pub(super) fn live(config: &Config) -> LiveConfig {
    LiveConfig {
        timeouts: config.timeouts,
        defence: config.defence,
        nat64_prefix: config.nat64_prefix,
        return_path: config.return_path,
        neighbours: NeighbourConfig {
            reachable_ms: config.neighbours.timeout.as_millis() as u64,
            max_entries: config.neighbours.max,
            ..NeighbourConfig::default()
        },
        neighbour_queue: config.neighbours.queue_length,
    }
}

/// Whether two configurations differ only in what can change while the daemon runs. A default that
/// is written into the file is no difference.
fn is_same_after_restart(before: &Config, after: &Config) -> bool {
    let with_live_parts = Config {
        log: before.log.clone(),
        timeouts: before.timeouts,
        defence: before.defence,
        nat64_prefix: before.nat64_prefix,
        return_path: before.return_path,
        neighbours: before.neighbours,
        ..after.clone()
    };
    with_live_parts == *before
}
