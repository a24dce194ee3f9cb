//! The steering of a started port, as control watches it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use dpdk::RssFields;

use super::arrivals::{Arrivals, Judged};
use super::method::{Steering, WhyRing};
use super::settle::{Changed, PortSteering, Spreads, check_again};

/// Time between two looks at what the driver uses. Some drivers change the table when the link
/// comes or the number of queues changes.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The steering of a started port.
#[derive(Debug)]
pub(crate) struct SteeredPort {
    state: Mutex<State>,
    /// By worker.
    arrivals: Vec<Arc<CachePadded<Arrivals>>>,
}

#[derive(Debug)]
struct State {
    steering: PortSteering,
    looked: Instant,
    link_was_up: bool,
    /// What was received before the packets that are judged next.
    judged: Judged,
    /// Packets that came in right, as far as they were judged.
    proved: u64,
}

impl SteeredPort {
    /// A port of a director with so many workers.
    pub(crate) fn new(steering: PortSteering, workers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                steering,
                looked: Instant::now(),
                link_was_up: true,
                judged: Judged::default(),
                proved: 0,
            }),
            arrivals: (0..workers).map(|_| Arc::default()).collect(),
        }
    }

    /// Where a worker counts what it receives from the port.
    pub(crate) fn arrivals_of(&self, worker: usize) -> Arc<CachePadded<Arrivals>> {
        Arc::clone(&self.arrivals[worker])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self) -> Judged {
        Judged::of(self.arrivals.iter().map(|arrivals| &***arrivals))
    }

    /// Looks at the packets that came in, and now and then at what the driver uses. Returns a
    /// sentence for the log if something has changed. Called every second.
    pub(crate) fn watch(
        &self,
        port: &dyn Spreads,
        driver: &str,
        link_is_up: bool,
    ) -> Option<String> {
        let received = self.received();
        let state = &mut *self.state();
        let came_up = link_is_up && !state.link_was_up;
        state.link_was_up = link_is_up;
        if came_up || state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            if let Some(changed) = check_again(port, &mut state.steering) {
                state.judged = received;
                return Some(sentence(&changed, driver));
            }
        }
        state
            .judge(received)
            .map(|changed| sentence(&changed, driver))
    }

    /// The method in a word, for `dpip link show`.
    pub(crate) fn summary(&self) -> String {
        let PortSteering { v4, v6, .. } = &self.state().steering;
        match v4 == v6 {
            true => v4.to_string(),
            false => format!("{v4} (IPv4), {v6} (IPv6)"),
        }
    }

    /// Names and values for `dpip -v link show`.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let received = self.received();
        let state = self.state();
        let mut facts = vec![
            ("steering_ipv4", describe(&state.steering.v4)),
            ("steering_ipv6", describe(&state.steering.v6)),
        ];
        if state.steering.is_rss() {
            facts.push(("steering_proof", state.proof()));
        }
        if let Some(rss) = &state.steering.rss {
            let queues: Vec<u16> = rss.table.iter().map(|queue| queue.0).collect();
            facts.push(("rss_fields", fields(rss.fields)));
            facts.push(("rss_key", hex(&rss.key)));
            facts.push(("rss_table", runs(&queues)));
        }
        let right = received.received.saturating_sub(received.misplaced);
        facts.push(("packets_right", right.to_string()));
        facts.push(("packets_redirected", received.misplaced.to_string()));
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        facts.into_iter().map(owned).collect()
    }
}

impl State {
    fn judge(&mut self, received: Judged) -> Option<Changed> {
        if !self.steering.is_rss() {
            return None;
        }
        let new = received.since(self.judged);
        let is_right = new.verdict()?;
        self.judged = received;
        if is_right {
            self.proved += new.received;
            return None;
        }
        let why = WhyRing::Disproved {
            misplaced: new.misplaced,
            of: new.received,
        };
        self.steering.demote(&why);
        Some(Changed::Demoted(why))
    }

    /// The packets of both families are one proof: a driver has one hash for both.
    fn proof(&self) -> String {
        match self.proved {
            0 => "none yet: it is what the driver says".to_owned(),
            packets => format!("{packets} packets"),
        }
    }
}

fn describe(steering: &Steering) -> String {
    match steering {
        Steering::RedirectRing(why) => format!("{steering}: {why}"),
        Steering::OneWorker | Steering::Rss => steering.to_string(),
    }
}

fn sentence(changed: &Changed, driver: &str) -> String {
    match changed {
        Changed::Restored => {
            format!("the driver {driver} had changed its redirection table: it was set again")
        }
        Changed::Demoted(why) => format!(
            "the driver {driver} does not bring packets to their workers: {why}. They are handed \
             over from now on, which costs time"
        ),
    }
}

fn fields(fields: RssFields) -> String {
    let RssFields {
        tcp4,
        udp4,
        tcp6,
        udp6,
    } = fields;
    let all = [
        (tcp4, "ipv4-tcp"),
        (udp4, "ipv4-udp"),
        (tcp6, "ipv6-tcp"),
        (udp6, "ipv6-udp"),
    ];
    let hashed = all
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name));
    hashed.collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The entries of a table: the shortest beginning that is repeated, and how long the table is.
fn runs(queues: &[u16]) -> String {
    let repeats = |len: &usize| (0..queues.len()).all(|at| queues[at] == queues[at % len]);
    let len = (1..queues.len()).find(repeats).unwrap_or(queues.len());
    let once: Vec<String> = queues[..len].iter().map(u16::to_string).collect();
    format!("{} entries: {} and so on", queues.len(), once.join(" "))
}
