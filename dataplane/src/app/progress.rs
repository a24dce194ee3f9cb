//! What a start is doing, for whoever waits for it.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How long a start may take before it says what it is doing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two lines after the first.
const AGAIN: Duration = Duration::from_secs(10);

/// A start. A thread of its own says what takes so long, until the value is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    /// `None` only while it is dropped.
    steps: Option<Sender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// A start that begins now.
    pub(super) fn begin() -> Self {
        Self::with(PATIENCE, AGAIN, |step, since| {
            let seconds = since.as_secs();
            tracing::info!("still starting after {seconds} s: {step}");
            // The result is ignored: without systemd there is nobody to notify. It would end a
            // start that takes longer than TimeoutStartSec.
            let until = u32::try_from((AGAIN * 3).as_micros()).unwrap_or(u32::MAX);
            let state = [
                NotifyState::Status(step),
                NotifyState::ExtendTimeoutUsec(until),
            ];
            let _ = sd_notify::notify(false, &state);
        })
    }

    fn with(
        patience: Duration,
        again: Duration,
        say: impl Fn(&str, Duration) + Send + 'static,
    ) -> Self {
        let (steps, next) = mpsc::channel::<String>();
        let began = Instant::now();
        let watch = move || {
            let (mut step, mut due) = (String::new(), began + patience);
            loop {
                match next.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(next) => step = next,
                    Err(RecvTimeoutError::Timeout) => {
                        say(&step, began.elapsed());
                        due = Instant::now() + again;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        // Without the thread the start is as good, only silent.
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(watch);
        Self {
            steps: Some(steps),
            thread: thread.ok(),
        }
    }

    /// What the start does from now on, e.g. `making the conn tables`.
    pub(super) fn step(&self, what: impl Into<String>) {
        if let Some(steps) = &self.steps {
            // The thread may not have started.
            let _ = steps.send(what.into());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.steps = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_start_says_again_and_again_what_it_is_doing() {
        let (said, lines) = mpsc::channel();
        let say = move |step: &str, _: Duration| said.send(step.to_owned()).unwrap();
        let progress = Progress::with(Duration::ZERO, Duration::ZERO, say);
        for step in ["starting DPDK", "making the conn tables"] {
            progress.step(step);
            assert!(lines.iter().any(|line| line == step));
        }
        drop(progress);
        assert!(
            lines.iter().all(|line| line == "making the conn tables"),
            "it is over"
        );
    }

    #[test]
    fn a_short_start_says_nothing() {
        let (said, lines) = mpsc::channel();
        let say = move |step: &str, _: Duration| said.send(step.to_owned()).unwrap();
        let progress = Progress::with(Duration::from_secs(3600), Duration::ZERO, say);
        progress.step("starting DPDK");
        drop(progress);
        assert_eq!(lines.iter().count(), 0);
    }
}
