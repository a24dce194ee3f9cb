//! The signals that the daemon acts on.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT stop the daemon, SIGHUP has it read its configuration file again.
#[derive(Debug)]
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// To stop; with the signal's name.
    Stop(&'static str),
    /// SIGHUP.
    Reload,
}

impl Signals {
    /// Takes the signals from now on. Must be called within a runtime.
    pub(super) fn take() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Came {
        tokio::select! {
            _ = self.term.recv() => Came::Stop("SIGTERM"),
            _ = self.int.recv() => Came::Stop("SIGINT"),
            _ = self.hup.recv() => Came::Reload,
        }
    }
}

/// Keeps SIGHUP from ending the process while it starts: whoever started it may log out meanwhile.
/// A handler stays for as long as the process, also when its runtime has ended.
pub(super) fn survive_hangup() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _guard = runtime.enter();
    signal(SignalKind::hangup()).map(drop)
}
