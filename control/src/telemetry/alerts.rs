//! What goes wrong and would go unnoticed: packets that are lost for want of something, and links
//! that go down.

use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;
use inet::{Device, IfIndex};
use ipvs_core::{DropReason, WorkerStats};

use crate::platform::Platform;

use super::repeated::Repeated;

/// The drop reasons that are worth a line, and what helps. The others are what clients may do, or
/// what the operator asked for.
const DROPS: &[(DropReason, &str)] = &[
    (
        DropReason::ConnTableFull,
        "Raise [conns] max_per_worker or max_ipv6_per_worker",
    ),
    (
        DropReason::NoDest,
        "Add real servers, or give them a weight (`ipvsadm-rs -ln`)",
    ),
    (
        DropReason::NoLaddr,
        "Add one: `ipvsadm-rs --add-laddr` (`-G` lists them)",
    ),
    (
        DropReason::NoLocalPort,
        "Add local addresses: `ipvsadm-rs --add-laddr` (`-G` shows the ports in use)",
    ),
    (DropReason::NoRoute, "`dpip route show` lists the routes"),
    (
        DropReason::NeighbourUnresolved,
        "Is it up? `dpip neigh show` lists the neighbours",
    ),
    (
        DropReason::NeighbourQueueFull,
        "Raise [neighbours] queue_length if this goes on",
    ),
    (
        DropReason::RedirectQueueFull,
        "A worker is overloaded: `dpip -s link show cpu`",
    ),
    (
        DropReason::TxQueueFull,
        "Raise tx_desc of the device, or add workers",
    ),
    (
        DropReason::KniQueueFull,
        "The kernel gets more than it takes: see [defence]",
    ),
    (DropReason::NoMbuf, "Raise [mbufs] count"),
];

/// Time from the start until links are looked at: a link needs a few seconds to come up.
const LINKS_FROM_MS: u64 = 10_000;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// Packets dropped for this reason.
    Drop(DropReason),
    /// Control did not take events of workers in time.
    EventsLost,
    /// A NIC had no free receive descriptor.
    Missed(IfIndex),
    /// A NIC found no free mbuf.
    NoMbuf(IfIndex),
    /// A link went down.
    LinkDown(IfIndex),
    /// A link came up again.
    LinkUp(IfIndex),
}

/// A line that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alert {
    /// What it is about.
    pub(crate) subject: Subject,
    /// How many since the latest line about it.
    pub(crate) count: u64,
    /// The device, where it is about one.
    device: String,
}

#[derive(Debug)]
struct LinkWatch {
    is_up: bool,
    downs: u64,
    ups: u64,
}

impl Default for LinkWatch {
    fn default() -> Self {
        let is_up = true;
        Self {
            is_up,
            downs: 0,
            ups: 0,
        }
    }
}

/// All that is watched.
#[derive(Debug)]
pub(crate) struct Alerts {
    workers: Vec<Arc<WorkerStats>>,
    lines: AHashMap<Subject, Repeated>,
    links: AHashMap<IfIndex, LinkWatch>,
}

impl Alerts {
    /// Watches the counters of these workers.
    pub(crate) fn new(workers: Vec<Arc<WorkerStats>>) -> Self {
        Self {
            workers,
            lines: AHashMap::new(),
            links: AHashMap::new(),
        }
    }

    /// The lines that are due. Called every second or so.
    pub(crate) fn poll(
        &mut self,
        now_ms: u64,
        devices: &[Device],
        platform: &dyn Platform,
    ) -> Vec<Alert> {
        let sum = |count: &dyn Fn(&WorkerStats) -> u64| -> u64 {
            self.workers.iter().map(|stats| count(stats)).sum()
        };
        let drops = DROPS.iter().map(|(reason, _)| {
            let total = sum(&|stats| stats.drops_by(*reason).get());
            (Subject::Drop(*reason), total, "")
        });
        let mut totals: Vec<(Subject, u64, &str)> = drops.collect();
        let lost = sum(&|stats| stats.events_lost.get());
        totals.push((Subject::EventsLost, lost, ""));
        for device in devices {
            let (ifindex, name) = (device.ifindex, device.name.as_str());
            let health = platform.health(device.port);
            totals.push((Subject::Missed(ifindex), health.imissed, name));
            totals.push((Subject::NoMbuf(ifindex), health.rx_nombuf, name));
            if now_ms >= LINKS_FROM_MS {
                let link = self.links.entry(ifindex).or_default();
                link.downs += u64::from(link.is_up && !health.up);
                link.ups += u64::from(!link.is_up && health.up);
                link.is_up = health.up;
                totals.push((Subject::LinkDown(ifindex), link.downs, name));
                totals.push((Subject::LinkUp(ifindex), link.ups, name));
            }
        }
        let due = totals.into_iter().filter_map(|(subject, total, device)| {
            let count = self.lines.entry(subject).or_default().due(now_ms, total)?;
            let device = device.to_owned();
            Some(Alert {
                subject,
                count,
                device,
            })
        });
        due.collect()
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, device, .. } = self;
        match self.subject {
            Subject::Drop(reason) => {
                let (name, text) = (reason.name(), reason.text());
                let hint = DROPS.iter().find(|(dropped, _)| *dropped == reason);
                let hint = hint.map_or("", |(_, hint)| hint);
                write!(f, "packets dropped, {name}: {count}: {text}. {hint}")
            }
            Subject::EventsLost => write!(
                f,
                "events of workers lost: {count}: the control plane has too little of its CPU"
            ),
            Subject::Missed(_) => write!(
                f,
                "{device}: packets missed: {count}: the receive queue was full. \
                 Raise rx_desc, or add workers"
            ),
            Subject::NoMbuf(_) => write!(
                f,
                "{device}: packets missed: {count}: no mbuf was free. Raise [mbufs] count"
            ),
            Subject::LinkDown(_) => write!(f, "{device}: the link went down{}", times(*count)),
            Subject::LinkUp(_) => write!(f, "{device}: the link is up again{}", times(*count)),
        }
    }
}

fn times(count: u64) -> String {
    match count {
        1 => String::new(),
        _ => format!(", {count} times since the last such line"),
    }
}

#[cfg(test)]
mod tests;
