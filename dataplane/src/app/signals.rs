//! The signals that the daemon acts on.

use std::io;

use tokio::runtime::{Builder, Runtime};
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
    fn take() -> io::Result<Self> {
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

/// The signals of a start. None is lost until the control plane waits for them, and none ends the
/// process before it has removed its control socket.
#[derive(Debug)]
pub(super) struct StartSignals {
    signals: Signals,
    runtime: Runtime,
}

impl StartSignals {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn take() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let guard = runtime.enter();
        let signals = Signals::take()?;
        drop(guard);
        Ok(Self { signals, runtime })
    }

    /// The name of the signal that has told the daemon to stop since it started, if one did.
    pub(super) fn stop_came(&mut self) -> Option<&'static str> {
        let Signals { term, int, .. } = &mut self.signals;
        self.runtime.block_on(async {
            // The runtime looks meanwhile what has come.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                _ = term.recv() => Some("SIGTERM"),
                _ = int.recv() => Some("SIGINT"),
                () = std::future::ready(()) => None,
            }
        })
    }

    /// For the time after the start. What has come meanwhile comes first.
    pub(super) fn into_signals(self) -> Signals {
        self.signals
    }
}
