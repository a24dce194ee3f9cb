//! Which services a log line is about.

use ipvs_core::{DropReason, FwdMode, Protocol, Service, Snapshot};

use crate::telemetry::{Alert, Subject};

/// Services that a line names at most.
const NAMED: usize = 3;

/// The services that are the reason for dropped packets, as the end of a line: those without a dest
/// that takes conns, or without a local address. Empty if none is.
pub(super) fn concerned_services(alert: &Alert, snapshot: &Snapshot) -> String {
    let is_concerned: fn(&Service) -> bool = match alert.subject {
        Subject::Drop(DropReason::NoDest) => has_no_dest,
        Subject::Drop(DropReason::NoLaddr) => lacks_laddr,
        _ => return String::new(),
    };
    let all = snapshot.services.iter();
    let mut names: Vec<_> = all
        .filter(|service| is_concerned(service))
        .map(|service| service.key.to_string())
        .collect();
    names.sort_unstable();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(NAMED);
    match names.as_slice() {
        [] => String::new(),
        names => format!(". It is {}{more}", names.join(", ")),
    }
}

fn has_no_dest(service: &Service) -> bool {
    service.dests.iter().all(|dest| dest.weight == 0)
}

fn lacks_laddr(service: &Service) -> bool {
    let needs_laddr = |dest: &ipvs_core::Dest| match dest.fwdmode {
        FwdMode::FullNat => true,
        // Most IPv6 clients have no IPv4 address by which the dest could see them.
        FwdMode::Nat => service.key.addr.is_ipv6() && dest.addr.is_ipv4(),
        _ => false,
    };
    // A match service needs no local address.
    let is_match = matches!(service.key.protocol, Protocol::Icmp | Protocol::IcmpV6);
    service.laddrs.is_empty() && !is_match && service.dests.iter().any(needs_laddr)
}
