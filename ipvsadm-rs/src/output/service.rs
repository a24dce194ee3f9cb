//! A service with its dests, as `-L` shows it.

use std::net::{IpAddr, Ipv4Addr};

use cli::ip_or_zero;
use proto::v1::{Dest, VirtualService};

use super::dest::{dest_row, draining_row};
use super::endpoint::named_endpoint;
use super::numbers::{Numbers, five, rates, stats};
use super::service_name::head_of;
use super::title::Columns;
use crate::names::PortNames;

/// A service with its dests.
pub(crate) fn service(
    service: &VirtualService,
    columns: Columns,
    numbers: Numbers,
    names: &PortNames,
) -> String {
    let key = service.key.clone().unwrap_or_default();
    let name = head_of(&key, names);
    let head = match columns {
        Columns::Plain if service.removed => format!("{name} removed\n"),
        Columns::Plain => {
            format!("{name} {}{}\n", scheduler(service), options(service))
        }
        Columns::Stats => format!("{name:<33}{}\n", five(stats(service.counters), numbers)),
        Columns::Rate => format!("{name:<33}{}\n", five(rates(service.rates), numbers)),
        Columns::Thresholds | Columns::Persistent => format!("{name}\n"),
    };
    let name = |dest: &Dest| {
        let addr = ip_or_zero(dest.address.as_ref());
        named_endpoint(addr, key.protocol(), dest.port, names)
    };
    let dests = service.dests.iter();
    let mut text = head;
    text.extend(dests.map(|dest| dest_row(&name(dest), dest, columns, numbers)));
    if matches!(columns, Columns::Plain) {
        let draining = service.draining.iter();
        text.extend(draining.map(|dest| draining_row(&name(dest), dest)));
    }
    text
}

/// The scheduler with its flags as in LVS, `mh (mh-fallback,mh-port)`, and its hash target as in
/// DPVS, `conhash qid`.
fn scheduler(service: &VirtualService) -> String {
    let mut text = service.scheduler.clone();
    if !service.scheduler_flags.is_empty() {
        text.push_str(&format!(" ({})", service.scheduler_flags.join(",")));
    }
    if !service.hash_target.is_empty() {
        text.push_str(&format!(" {}", service.hash_target));
    }
    text
}

/// The options of a service beside its scheduler, in DPVS's words and order.
fn options(service: &VirtualService) -> String {
    let mut text = String::new();
    if service.persistence_s > 0 {
        text.push_str(&format!(" persistent {}", service.persistence_s));
        text.push_str(
            &mask(service)
                .map(|mask| format!(" mask {mask}"))
                .unwrap_or_default(),
        );
    }
    if service.one_packet {
        text.push_str(" ops");
    }
    match (service.syn_proxy, service.syn_proxy_above) {
        (false, _) => {}
        (true, 0) => text.push_str(" synproxy"),
        (true, above) => text.push_str(&format!(" synproxy above {above}")),
    }
    for (word, value) in [
        ("conn-timeout", service.conn_timeout_s),
        ("conn-limit", service.conn_limit),
        ("conn-rate-limit", service.conn_rate_limit),
    ] {
        if value > 0 {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    if !service.uoa.is_empty() {
        text.push_str(&format!(" uoa {} {}", service.uoa, service.uoa_max_trail));
    }
    if !service.proxy_protocol.is_empty() {
        text.push_str(&format!(" pp{}", service.proxy_protocol));
    }
    if service.proxy_protocol_udp == "each" {
        text.push_str(" proxy-protocol-udp each");
    }
    if service.expire_quiescent {
        text.push_str(" expire-quiescent");
    }
    if service.no_adopt {
        text.push_str(" no-adopt");
    }
    text
}

/// The netmask of persistence in the form of `-M`; `None` if every client counts for itself.
pub(super) fn mask(service: &VirtualService) -> Option<String> {
    let key = service.key.as_ref()?;
    let len = service.persistence_prefix_len;
    match ip_or_zero(key.address.as_ref()) {
        IpAddr::V4(_) if (1..32).contains(&len) => {
            Some(Ipv4Addr::from_bits(u32::MAX << (32 - len)).to_string())
        }
        IpAddr::V6(_) if (1..128).contains(&len) => Some(len.to_string()),
        _ => None,
    }
}
