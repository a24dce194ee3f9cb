//! Changes in words, for the log.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use crate::api::scheduler::name_of;
use crate::desired::{AccessList, Change, DestRequest, ServiceRequest};

/// The most changes of a transaction that are logged one by one.
const MOST_LINES: usize = 100;

/// One change: `service TCP 10.0.0.100:80: real server 192.168.100.2:80 added (DR (-g), weight 1)`.
struct ChangeText<'a>(&'a Change);

impl fmt::Display for ChangeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::AddService(request) => {
                write!(f, "service {} added ({})", request.key, scheduler(request))
            }
            Change::EditService(request) => write!(
                f,
                "service {} changed ({})",
                request.key,
                scheduler(request)
            ),
            Change::DelService(key) => write!(f, "service {key} removed"),
            Change::AddDest(key, request) => write!(
                f,
                "service {key}: real server {} added ({})",
                end(request),
                dest(request)
            ),
            Change::EditDest(key, request) => write!(
                f,
                "service {key}: real server {} changed ({})",
                end(request),
                dest(request)
            ),
            Change::DelDest(key, (addr, port), _) => {
                let end = SocketAddr::new(*addr, *port);
                write!(f, "service {key}: real server {end} removed")
            }
            Change::AddLaddr(key, addr, device) => {
                write!(f, "service {key}: local address {addr} on {device} added")
            }
            Change::DelLaddr(key, addr, _) => {
                write!(f, "service {key}: local address {addr} removed")
            }
            Change::AddAccess(key, list, prefix) => write!(
                f,
                "service {key}: {prefix} added to the {} list",
                name(*list)
            ),
            Change::DelAccess(key, list, prefix) => write!(
                f,
                "service {key}: {prefix} removed from the {} list",
                name(*list)
            ),
            Change::FlushServices => f.write_str("all services removed"),
            Change::SetTimeouts(request) => {
                let secs = |secs: Option<u32>| secs.map_or("as before".into(), |s| s.to_string());
                let (tcp, tcp_fin) = (secs(request.tcp_s), secs(request.tcp_fin_s));
                let udp = secs(request.udp_s);
                write!(f, "timeouts set: tcp {tcp}, tcpfin {tcp_fin}, udp {udp}")
            }
            Change::ZeroCounters(None) => f.write_str("all counters set to zero"),
            Change::ZeroCounters(Some(key)) => write!(f, "service {key}: counters set to zero"),
        }
    }
}

fn scheduler(request: &ServiceRequest) -> &'static str {
    name_of(request.scheduler)
}

fn end(request: &DestRequest) -> SocketAddr {
    SocketAddr::new(request.addr, request.port)
}

fn dest(request: &DestRequest) -> String {
    format!("{}, weight {}", request.fwdmode.name(), request.weight)
}

const fn name(list: AccessList) -> &'static str {
    match list {
        AccessList::Deny => "deny",
        AccessList::Allow => "allow",
    }
}

/// The changes of a transaction, for the log.
#[derive(Debug, Default)]
pub(in crate::api) struct ChangeLog {
    /// The first ones in words.
    texts: Vec<String>,
    /// How many there are of each kind.
    counts: BTreeMap<&'static str, usize>,
}

impl ChangeLog {
    /// Notes a change.
    pub(in crate::api) fn note(&mut self, change: &Change) {
        if self.texts.len() < MOST_LINES {
            self.texts.push(ChangeText(change).to_string());
        }
        *self.counts.entry(kind(change)).or_default() += 1;
    }

    /// One line for each change, or their numbers if they are many.
    pub(in crate::api) fn lines(self) -> Vec<String> {
        if self.counts.values().sum::<usize>() <= MOST_LINES {
            return self.texts;
        }
        let counts = self.counts.iter();
        let counts: Vec<String> = counts
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        vec![format!("in one transaction: {}", counts.join(", "))]
    }
}

const fn kind(change: &Change) -> &'static str {
    match change {
        Change::AddService(..) => "services added",
        Change::EditService(..) => "services changed",
        Change::DelService(..) => "services removed",
        Change::AddDest(..) => "real servers added",
        Change::EditDest(..) => "real servers changed",
        Change::DelDest(..) => "real servers removed",
        Change::AddLaddr(..) => "local addresses added",
        Change::DelLaddr(..) => "local addresses removed",
        Change::AddAccess(..) => "list entries added",
        Change::DelAccess(..) => "list entries removed",
        Change::FlushServices => "removals of all services",
        Change::SetTimeouts(_) => "settings of timeouts",
        Change::ZeroCounters(_) => "counters set to zero",
    }
}

#[cfg(test)]
mod tests {
    use ipvs_core::{Protocol, ServiceKey};

    use super::*;

    fn lines_of(changes: &[Change]) -> Vec<String> {
        let mut log = ChangeLog::default();
        changes.iter().for_each(|change| log.note(change));
        log.lines()
    }

    fn removal(port: u16) -> Change {
        Change::DelService(ServiceKey {
            protocol: Protocol::Tcp,
            addr: [10, 0, 0, 100].into(),
            port,
            matcher: None,
        })
    }

    #[test]
    fn a_few_changes_are_a_line_each_and_many_are_counted() {
        let mut changes: Vec<_> = (1..=100).map(removal).collect();
        let lines = lines_of(&changes);
        assert_eq!(lines.len(), 100);
        assert_eq!(lines[79], "service TCP 10.0.0.100:80 removed");
        changes.push(removal(101));
        assert_eq!(
            lines_of(&changes),
            ["in one transaction: services removed 101"]
        );
    }
}
