//! What each item of DPVS's file means here, those of devices and workers aside.

use crate::config::{LONGEST_TIMEOUT_S, MAX_MBUF_CACHE};

use super::output::{Output, quoted};
use super::tree::Item;

/// What an item means.
enum Means {
    /// A number of this section and key, within a range.
    Number(&'static str, &'static str, (u32, u32)),
    /// This word for a section and key, where the item is there.
    Word(&'static str, &'static str, &'static str),
    /// A timeout in seconds.
    Timeout(&'static str),
    /// What is logged.
    LogLevel,
    /// The conns of a NUMA node, which its workers share.
    ConnPool,
    /// Nothing, and why.
    Nothing(&'static str),
}

use Means::{ConnPool, LogLevel, Nothing, Number, Timeout, Word};

/// Items by their path. A path of a block holds for all items in it that are not listed.
const TABLE: &[(&str, Means)] = &[
    ("global_defs/log_level", LogLevel),
    (
        "global_defs/log_file",
        Nothing("the log goes to standard error: redirect it, or leave it to systemd"),
    ),
    (
        "global_defs/log_async_mode",
        Nothing("log lines are always written by a thread of their own"),
    ),
    (
        "global_defs/daemon",
        Nothing("start it by systemd (conf/dpvsd.service), or with `&`"),
    ),
    ("global_defs/pdump", Nothing("there is no pdump")),
    // In old files. `devices` reads it.
    ("global_defs/kni", Nothing("see kni of each [[device]]")),
    (
        "netif_defs/pktpool_size",
        Number("mbufs", "count", (1023, 134_217_727)),
    ),
    (
        "netif_defs/pktpool_cache",
        Number("mbufs", "cache", (0, MAX_MBUF_CACHE)),
    ),
    (
        "netif_defs/fdir_mode",
        Nothing("replies find their worker without flow director"),
    ),
    (
        "timer_defs",
        Nothing("timers are served in each turn of a worker's loop"),
    ),
    (
        "neigh_defs/unres_queue_length",
        Number("neighbours", "queue_length", (1, 65_535)),
    ),
    (
        "neigh_defs/timeout",
        Number("neighbours", "timeout_s", (1, u32::MAX)),
    ),
    ("ipset_defs", Nothing("there are no ipsets")),
    (
        "ipv4_defs/forwarding",
        Nothing("packets that belong to no service go to the kernel by kni"),
    ),
    (
        "ipv4_defs/default_ttl",
        Nothing("packets that the director makes have a TTL of 64"),
    ),
    (
        "ipv4_defs/fragment",
        Nothing("fragments are forwarded without being put together"),
    ),
    (
        "ipv6_defs/disable",
        Nothing("without an IPv6 address there is no IPv6"),
    ),
    (
        "ipv6_defs/forwarding",
        Nothing("packets that belong to no service go to the kernel by kni"),
    ),
    (
        "ipv6_defs/route6",
        Nothing("routes of IPv6 are looked up as those of IPv4"),
    ),
    (
        "ctrl_defs/lcore_msg",
        Nothing("rings between control and workers have a fixed size"),
    ),
    (
        "ctrl_defs/ipc_msg",
        Nothing("the control socket speaks gRPC: see [daemon] socket"),
    ),
    ("ipvs_defs/conn/conn_pool_size", ConnPool),
    (
        "ipvs_defs/conn/conn_pool_cache",
        Nothing("each worker has a table of its own"),
    ),
    (
        "ipvs_defs/conn/conn_init_timeout",
        Nothing("a new conn has the timeout of its state: [timeouts] tcp_syn_sent"),
    ),
    (
        "ipvs_defs/conn/expire_quiescent_template",
        Nothing("an option of services: `ipvsadm-rs -A ... --expire-quiescent`"),
    ),
    (
        "ipvs_defs/conn/fast_xmit_close",
        Word("conns", "return_path", "\"route\""),
    ),
    (
        "ipvs_defs/conn/redirect",
        Nothing("packets are always handed to the worker of their conn"),
    ),
    (
        "ipvs_defs/udp/defence_udp_drop",
        Word("defence", "udp_drop", "true"),
    ),
    (
        "ipvs_defs/udp/uoa_mode",
        Nothing("an option of services: `ipvsadm-rs -A -u ... --uoa opp|ipo`"),
    ),
    (
        "ipvs_defs/udp/uoa_max_trail",
        Nothing("an option of services: `ipvsadm-rs -A -u ... --uoa-max-trail N`"),
    ),
    ("ipvs_defs/udp/timeout/normal", Timeout("udp")),
    ("ipvs_defs/udp/timeout/oneway", Timeout("udp_oneway")),
    (
        "ipvs_defs/udp/timeout/last",
        Nothing("there is no state beyond those with a timeout"),
    ),
    (
        "ipvs_defs/tcp/timeout/last",
        Nothing("there is no state beyond those with a timeout"),
    ),
    (
        "ipvs_defs/tcp/defence_tcp_drop",
        Word("defence", "tcp_drop", "true"),
    ),
    ("ipvs_defs/tcp/timeout/none", Timeout("tcp_none")),
    (
        "ipvs_defs/tcp/timeout/established",
        Timeout("tcp_established"),
    ),
    ("ipvs_defs/tcp/timeout/syn_sent", Timeout("tcp_syn_sent")),
    ("ipvs_defs/tcp/timeout/syn_recv", Timeout("tcp_syn_recv")),
    ("ipvs_defs/tcp/timeout/fin_wait", Timeout("tcp_fin_wait")),
    ("ipvs_defs/tcp/timeout/time_wait", Timeout("tcp_time_wait")),
    ("ipvs_defs/tcp/timeout/close", Timeout("tcp_close")),
    (
        "ipvs_defs/tcp/timeout/close_wait",
        Timeout("tcp_close_wait"),
    ),
    ("ipvs_defs/tcp/timeout/last_ack", Timeout("tcp_last_ack")),
    ("ipvs_defs/tcp/timeout/listen", Timeout("tcp_listen")),
    (
        "ipvs_defs/tcp/timeout/synack",
        Nothing("the SYN proxy answers a SYN without a conn"),
    ),
    (
        "ipvs_defs/tcp/synproxy",
        Nothing("the SYN proxy needs no settings: `ipvsadm-rs -A -t ... -j enable`"),
    ),
    (
        "sa_pool",
        Nothing("local ports are shared out among the workers by arithmetic"),
    ),
];

/// Converts an item and those in its block.
pub(super) fn convert(item: &Item, path: &str, output: &mut Output) {
    let full = format!("{path}{}", item.name());
    if is_elsewhere(&full) {
        return;
    }
    if let Some(items) = &item.block {
        let inner = format!("{full}/");
        for item in items {
            convert(item, &inner, output);
        }
        return;
    }
    match meaning(&full) {
        Some(Number(section, key, range)) => {
            if let Some(number) = output.number(item, path, *range) {
                output.set(section, key, number.to_string());
            }
        }
        Some(Word(section, key, word)) => output.set(section, key, (*word).to_owned()),
        Some(Timeout(key)) => {
            if let Some(secs) = output.number(item, path, (1, LONGEST_TIMEOUT_S)) {
                output.set("timeouts", key, secs.to_string());
            }
        }
        Some(LogLevel) => log_level(item, path, output),
        Some(ConnPool) => conn_pool(item, path, output),
        Some(Nothing(why)) => output.note(item, path, why),
        None => output.note(item, path, "not an item that dpvsd knows"),
    }
}

/// Blocks that `devices` and `workers` have converted.
fn is_elsewhere(path: &str) -> bool {
    ["netif_defs/device", "netif_defs/bonding", "worker_defs"].contains(&path)
}

/// What the table says of this path, or of the block that it is in.
fn meaning(path: &str) -> Option<&'static Means> {
    let holds = |listed: &str, means: &Means| {
        let rest = path.strip_prefix(listed);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') && matches!(means, Nothing(_))
        })
    };
    let found = TABLE.iter().find(|(listed, means)| holds(listed, means));
    found.map(|(_, means)| means)
}

/// DPVS's levels are those of syslog(3).
fn log_level(item: &Item, path: &str, output: &mut Output) {
    let word = item.values().first().map(|word| word.to_ascii_uppercase());
    let level = match word.as_deref() {
        Some("EMERG" | "ALERT" | "CRIT" | "CRITICAL" | "ERR" | "ERROR") => "error",
        Some("WARN" | "WARNING") => "warn",
        Some("NOTICE" | "INFO") => "info",
        Some("DEBUG") => "debug",
        _ => return output.note(item, path, "not a log level: the default is used"),
    };
    output.set("daemon", "log", quoted(level));
}

/// In DPVS the workers of a NUMA node share a pool. Here each worker has a table of its own.
fn conn_pool(item: &Item, path: &str, output: &mut Output) {
    let Some(conns) = output.number(item, path, (1, ipvs_core::MAX_CONNS)) else {
        return;
    };
    let workers = output.workers;
    let each = (conns as usize).div_ceil(workers);
    output.set("conns", "max_per_worker", each.to_string());
    if workers > 1 {
        let why = format!("shared out among {workers} workers: each has a table of its own");
        output.note(item, path, &why);
    }
}
