//! Where log lines go, and which of them.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFilter;

use super::log_queue::LogQueue;

/// Changes what is logged.
pub(super) struct Logging {
    set: Box<dyn Fn(EnvFilter) + Send + Sync>,
    queue: LogQueue,
}

impl fmt::Debug for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logging")
    }
}

impl Logging {
    /// Logs to standard error from now on. A line that cannot be written is lost: logging never
    /// costs the service.
    pub(super) fn start(log: &LogFilter) -> Self {
        let queue = LogQueue::to_stderr();
        let output = queue.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(log))
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(move || output.clone())
            // It would report a failed write by `eprintln!`, which panics for the same reason.
            .log_internal_errors(false)
            .with_filter_reloading();
        let handle = subscriber.reload_handle();
        subscriber.init();
        // It fails only when there is no subscriber any more, and this one is never replaced.
        let set = Box::new(move |filter| drop(handle.reload(filter)));
        Self { set, queue }
    }

    /// Where the lines go.
    pub(super) fn queue(&self) -> LogQueue {
        self.queue.clone()
    }

    /// Logs this from now on.
    pub(super) fn set(&self, log: &LogFilter) {
        (self.set)(filter(log));
    }
}

/// The libraries under the gRPC server log from info on only, unless the filter names them.
fn filter(log: &LogFilter) -> EnvFilter {
    EnvFilter::new(format!("h2=info,hyper=info,tower=info,{}", log.as_str()))
}
