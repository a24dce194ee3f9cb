//! Log lines on their way to standard error. A thread of its own writes them, so that nobody waits
//! for an output that is slow or stuck, such as a pipe whose reader has stopped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// Lines that may wait. What does not fit is lost and counted.
const MOST_LINES: usize = 4096;
/// How long the end of the process waits for lines that are not written yet.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);
/// How long a flush that finds the queue full waits before it tries again.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(1);

enum Item {
    Line(Vec<u8>),
    /// All lines before it are written: say so.
    Flush(SyncSender<()>),
}

/// Takes lines, from any thread.
#[derive(Debug, Clone)]
pub(super) struct LogQueue {
    items: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl LogQueue {
    /// A queue whose thread writes to standard error.
    pub(super) fn to_stderr() -> Self {
        Self::to(io::stderr())
    }

    fn to(output: impl Write + Send + 'static) -> Self {
        let (items, queue) = mpsc::sync_channel(MOST_LINES);
        let lost = Arc::<AtomicU64>::default();
        let lost_too = Arc::clone(&lost);
        let write = move || write_all(output, &queue, &lost_too);
        // Without the thread all lines are lost: logging never costs the service.
        let _ = std::thread::Builder::new().name("log".into()).spawn(write);
        Self { items, lost }
    }

    /// Waits until the lines so far are written, but not long.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH_WITHIN;
        let (done, written) = mpsc::sync_channel(1);
        let mut flush = Item::Flush(done);
        // A full queue takes it as soon as the thread has taken a line.
        while let Err(TrySendError::Full(item)) = self.items.try_send(flush) {
            if Instant::now() > deadline {
                return;
            }
            flush = item;
            std::thread::sleep(FULL_QUEUE_WAIT);
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn write_all(mut output: impl Write, queue: &Receiver<Item>, lost: &AtomicU64) {
    for item in queue {
        match item {
            // A line that cannot be written is lost.
            Item::Line(line) => drop(output.write_all(&line)),
            Item::Flush(done) => drop(done.send(())),
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(
                output,
                "dpvsd: {count} log lines lost: the output was too slow"
            );
        }
    }
}

/// Each call is a line, as the `tracing` crate makes it.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.items.try_send(Item::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// An output that is stuck until it is opened, and the lines that it has got.
    #[derive(Clone, Default)]
    struct Valve(Arc<(Mutex<(bool, String)>, Condvar)>);

    impl Valve {
        fn open(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }
    }

    impl Write for Valve {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let (state, changed) = &*self.0;
            let is_shut = |state: &mut (bool, String)| !state.0;
            let mut state = changed.wait_while(state.lock().unwrap(), is_shut).unwrap();
            state.1.push_str(std::str::from_utf8(line).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_stuck_output_and_what_is_lost_is_counted() {
        let valve = Valve::default();
        let mut queue = LogQueue::to(valve.clone());
        let lines = MOST_LINES + 11;
        for number in 0..lines {
            queue.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        valve.open();
        // The queue is still full here, so the flush has to wait for room first.
        LogQueue::flush(&queue);
        let text = valve.0.0.lock().unwrap().1.clone();
        let lost: usize = text
            .strip_prefix("0\ndpvsd: ")
            .and_then(|rest| rest.split_once(" log lines lost"))
            .and_then(|(count, _)| count.parse().ok())
            .unwrap();
        // One line more than the queue holds, if the thread has taken one out before.
        assert!([lines - MOST_LINES, lines - MOST_LINES - 1].contains(&lost));
        let written = text
            .lines()
            .filter(|line| !line.starts_with("dpvsd"))
            .count();
        assert_eq!(written, lines - lost);
    }
}
