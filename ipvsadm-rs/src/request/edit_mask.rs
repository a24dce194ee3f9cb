//! `-E` and `-e` change what they name: the fields of the API that their options stand for.

use crate::args::{Command, Line};

/// The options of a service, each with its fields.
const SERVICE: &[(&str, &[&str])] = &[
    ("scheduler", &["scheduler"]),
    ("sched-flags", &["scheduler_flags"]),
    ("hash-target", &["hash_target"]),
    ("conn-timeout", &["conn_timeout_s"]),
    ("persistent", &["persistence_s"]),
    ("netmask", &["persistence_prefix_len"]),
    ("ops", &["one_packet"]),
    ("no-ops", &["one_packet"]),
    ("expire-quiescent", &["expire_quiescent"]),
    ("no-expire-quiescent", &["expire_quiescent"]),
    ("no-adopt", &["no_adopt"]),
    ("adopt", &["no_adopt"]),
    ("conn-limit", &["conn_limit"]),
    ("conn-rate-limit", &["conn_rate_limit"]),
    ("synproxy", &["syn_proxy", "syn_proxy_above"]),
    ("proxy-protocol", &["proxy_protocol"]),
    ("proxy-protocol-udp", &["proxy_protocol_udp"]),
    ("uoa", &["uoa"]),
    ("uoa-max-trail", &["uoa_max_trail"]),
];

const MODE: &[&str] = &["fwd_mode", "tunnel_type", "tunnel_port"];

/// The options of a dest, each with its fields.
const DEST: &[(&str, &[&str])] = &[
    ("fullnat", MODE),
    ("gatewaying", MODE),
    ("ipip", MODE),
    ("masquerading", MODE),
    ("snat", MODE),
    ("tun-spread", &["tunnel_spread", "tunnel_spread_len"]),
    ("weight", &["weight"]),
    ("u-threshold", &["upper_threshold"]),
    ("l-threshold", &["lower_threshold"]),
    ("drain", &["drain_s"]),
];

/// The fields that `-E` names. Empty for `-A`.
pub(super) fn of_service(line: &Line) -> Vec<String> {
    match line.command {
        Command::EditService => named(line, "key", SERVICE),
        _ => Vec::new(),
    }
}

/// The fields that `-e` names. Empty for `-a` and `-d`.
pub(super) fn of_dest(line: &Line) -> Vec<String> {
    match line.command {
        Command::EditDest => named(line, "address", DEST),
        _ => Vec::new(),
    }
}

/// `name` is what the line names anyway: a mask without a field would mean all fields.
fn named(line: &Line, name: &str, options: &[(&str, &[&str])]) -> Vec<String> {
    let given = options.iter().filter(|(option, _)| line.has(option));
    let fields = given.flat_map(|(_, fields)| *fields).copied();
    std::iter::once(name)
        .chain(fields)
        .map(str::to_owned)
        .collect()
}
