//! Who asks for a change, and the log line about it.

use std::fmt;
use std::future::Future;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CALLER: Caller;
}

/// The process at the other end of a connection, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Caller {
    /// Its user; `None` if the kernel does not say.
    pub(crate) uid: Option<u32>,
    /// Its number.
    pub(crate) pid: Option<i32>,
}

impl Caller {
    /// A call that this process makes.
    pub(crate) fn makes<F: Future>(self, call: F) -> TaskLocalFuture<Self, F> {
        CALLER.scope(self, call)
    }

    /// Who makes the call at hand.
    fn current() -> Self {
        CALLER.try_with(|caller| *caller).unwrap_or_default()
    }
}

/// Logs a change that the call at hand has made.
pub(super) fn log_change(what: impl fmt::Display) {
    tracing::info!(target: "control", "{}: {what}", Caller::current());
}

/// The end of a phrase in such a line: ` of dpdk0`, or nothing if all devices are meant.
pub(super) fn of_device(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    format!(" of {name}")
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(uid) = self.uid else {
            return f.write_str("unknown user");
        };
        write!(f, "uid {uid}")?;
        let Some(pid) = self.pid else { return Ok(()) };
        write!(f, ", pid {pid}")?;
        // It still waits for its answer, so the number is its own.
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
        let name: String = name.trim_end().chars().filter(is_plain).collect();
        if name.is_empty() {
            return Ok(());
        }
        write!(f, " ({name})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_knows_who_makes_it() {
        let pid = i32::try_from(std::process::id()).ok();
        let caller = Caller {
            uid: Some(1000),
            pid,
        };
        assert_eq!(caller.makes(async { Caller::current() }).await, caller);
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        let expected = format!("uid 1000, pid {} ({})", std::process::id(), own.trim_end());
        assert_eq!(caller.to_string(), expected);
        assert_eq!(Caller::current().to_string(), "unknown user");
    }
}
