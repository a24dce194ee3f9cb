//! `--json`: everything the tables show and more. Ports and addresses are numbers.

use cli::ip_or_zero;
use proto::v1::{AccessEntry, Conn, Dest, Laddr, Timeouts, VirtualService};
use serde_json::{Value, json};

use super::access::prefix;
use super::dest::forward_name;
use super::endpoint::{endpoint, protocol_name};
use super::matcher;
use super::numbers::{rates, stats};
use super::service_name::service_name;

/// A service with its options, dests and local addresses.
pub(crate) fn service(service: &VirtualService) -> Value {
    let key = service.key.clone().unwrap_or_default();
    json!({
        "protocol": protocol_name(key.protocol()),
        "address": ip_or_zero(key.address.as_ref()).to_string(),
        "port": key.port,
        "match": key.r#match.as_ref().map(|given| matcher::saved(key.protocol(), given)),
        "removed": service.removed,
        "scheduler": service.scheduler,
        "scheduler_flags": service.scheduler_flags,
        "hash_target": service.hash_target,
        "conn_timeout_s": service.conn_timeout_s,
        "persistence_s": service.persistence_s,
        "persistence_prefix_len": service.persistence_prefix_len,
        "one_packet": service.one_packet,
        "expire_quiescent": service.expire_quiescent,
        "no_adopt": service.no_adopt,
        "conn_limit": service.conn_limit,
        "conn_rate_limit": service.conn_rate_limit,
        "uoa": service.uoa,
        "uoa_max_trail": service.uoa_max_trail,
        "proxy_protocol": service.proxy_protocol,
        "proxy_protocol_udp": service.proxy_protocol_udp,
        "syn_proxy": service.syn_proxy,
        "syn_proxy_above": service.syn_proxy_above,
        "stats": five(stats(service.counters)),
        "rate": five(rates(service.rates)),
        "dests": service.dests.iter().map(dest).collect::<Value>(),
        "draining": service.draining.iter().map(dest).collect::<Value>(),
        "leaving_laddrs": service.leaving_laddrs.iter().map(laddr).collect::<Value>(),
        "laddrs": service.laddrs.iter().map(laddr).collect::<Value>(),
    })
}

fn dest(dest: &Dest) -> Value {
    json!({
        "address": ip_or_zero(dest.address.as_ref()).to_string(),
        "port": dest.port,
        "forward": forward_name(dest.fwd_mode()),
        "weight": dest.weight(),
        "tunnel_spread": cli::ip(dest.tunnel_spread.as_ref())
            .map(|addr| format!("{addr}/{}", dest.tunnel_spread_len)),
        "upper_threshold": dest.upper_threshold,
        "lower_threshold": dest.lower_threshold,
        "active_conns": dest.active_conns,
        "inactive_conns": dest.inactive_conns,
        "overloaded": dest.overloaded,
        "persistent_conns": dest.persistent_conns,
        "drain_s": dest.drain_s,
        "stats": five(stats(dest.counters)),
        "rate": five(rates(dest.rates)),
    })
}

fn laddr(laddr: &Laddr) -> Value {
    json!({
        "address": ip_or_zero(laddr.address.as_ref()).to_string(),
        "device": laddr.device,
        "conns": laddr.conns,
        "port_conflicts": laddr.port_conflicts,
    })
}

fn five([conns, in_packets, out_packets, in_bytes, out_bytes]: [u64; 5]) -> Value {
    json!({
        "conns": conns, "in_packets": in_packets, "out_packets": out_packets,
        "in_bytes": in_bytes, "out_bytes": out_bytes,
    })
}

/// A conn.
pub(crate) fn conn(conn: &Conn) -> Value {
    let end = |addr: &Option<_>, port| endpoint(ip_or_zero(addr.as_ref()), port);
    json!({
        "lcore": conn.lcore,
        "protocol": protocol_name(conn.protocol()),
        "expires_in_s": conn.expires_in_s,
        "state": conn.state,
        "client": end(&conn.caddr, conn.cport),
        "vip": end(&conn.vaddr, conn.vport),
        "local": end(&conn.laddr, conn.lport),
        "dest": end(&conn.daddr, conn.dport),
    })
}

/// An entry of a deny or allow list.
pub(crate) fn access(entry: &AccessEntry) -> Value {
    let key = entry.service.clone().unwrap_or_default();
    let (_, vip) = service_name(&key);
    json!({
        "protocol": protocol_name(key.protocol()),
        "service": vip,
        "prefix": prefix(entry),
    })
}

/// The timeouts in seconds.
pub(crate) fn timeouts(timeouts: &Timeouts) -> Value {
    json!({"tcp": timeouts.tcp_s, "tcpfin": timeouts.tcp_fin_s, "udp": timeouts.udp_s})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::tutorial;

    #[test]
    fn a_service_has_its_dests_and_local_addresses() {
        let value = service(&tutorial());
        assert_eq!(
            (&value["protocol"], &value["port"]),
            (&"tcp".into(), &80.into())
        );
        assert_eq!(value["dests"][1]["address"], "192.168.100.3");
        assert_eq!(value["dests"][0]["forward"], "FullNat");
        assert_eq!(value["laddrs"][0]["device"], "dpdk0");
        assert_eq!(value["rate"]["in_packets"], 0);
    }
}
