//! `-A` and `-E`: a service with its options.

use std::net::Ipv4Addr;

use cli::CliError;
use proto::v1::{ServiceKey, VirtualService};

use super::{edit_mask, number};
use crate::args::{Command, Line, conflict, missing};

pub(super) fn virtual_service(
    line: &Line,
    key: Option<ServiceKey>,
) -> Result<VirtualService, CliError> {
    let (syn_proxy, syn_proxy_above) = syn_proxy(line)?;
    for (on, off) in [
        ("ops", "no-ops"),
        ("expire-quiescent", "no-expire-quiescent"),
        ("no-adopt", "adopt"),
    ] {
        if line.has(on) && line.has(off) {
            return Err(conflict(on, off, line.command));
        }
    }
    Ok(VirtualService {
        syn_proxy,
        syn_proxy_above,
        key,
        scheduler: line.get("scheduler").unwrap_or_default().to_owned(),
        hash_target: line.get("hash-target").unwrap_or_default().to_owned(),
        scheduler_flags: sched_flags(line.get("sched-flags").unwrap_or_default()),
        conn_timeout_s: number(line, "conn-timeout", u32::MAX)?.unwrap_or(0),
        persistence_s: persistence_s(line)?,
        persistence_prefix_len: prefix_len(line)?,
        one_packet: line.has("ops"),
        expire_quiescent: line.has("expire-quiescent"),
        no_adopt: line.has("no-adopt"),
        conn_limit: number(line, "conn-limit", u32::MAX)?.unwrap_or(0),
        conn_rate_limit: number(line, "conn-rate-limit", u32::MAX)?.unwrap_or(0),
        uoa: line.get("uoa").unwrap_or_default().to_owned(),
        uoa_max_trail: number(line, "uoa-max-trail", 255)?.unwrap_or(0),
        proxy_protocol: line.get("proxy-protocol").unwrap_or_default().to_owned(),
        proxy_protocol_udp: line
            .get("proxy-protocol-udp")
            .unwrap_or_default()
            .to_owned(),
        edit_mask: edit_mask::of_service(line),
        ..VirtualService::default()
    })
}

/// `-j enable`, `-j disable`, `-j 10000`. The result is whether the SYN proxy is on, and above how
/// many SYNs per second; 0 means always.
fn syn_proxy(line: &Line) -> Result<(bool, u32), CliError> {
    let wrong = |text| {
        CliError::usage(format!(
            "invalid --synproxy '{text}': expected enable, disable, or the number of SYNs per \
             second above which it is on"
        ))
    };
    match line.get("synproxy") {
        None | Some("disable") => Ok((false, 0)),
        Some("enable") => Ok((true, 0)),
        Some(text) => match text.parse() {
            Ok(per_s) if per_s > 0 => Ok((true, per_s)),
            _ => Err(wrong(text)),
        },
    }
}

/// `-p`, `-p 600`: the time of persistence in seconds, 0 without `-p`. `-E -p 0` ends it.
fn persistence_s(line: &Line) -> Result<u32, CliError> {
    /// The default of ipvsadm.
    const DEFAULT_S: u32 = 300;
    match line.get("persistent") {
        None => Ok(0),
        Some("") => Ok(DEFAULT_S),
        Some("0") if line.command == Command::EditService => Ok(0),
        Some("0") => Err(CliError::usage(
            "invalid --persistent '0': expected a number of seconds from 1 on",
        )),
        Some(_) => Ok(number(line, "persistent", u32::MAX)?.unwrap_or(DEFAULT_S)),
    }
}

/// `-M 255.255.255.0`, `-M 24`, `-M 64`: the length of the prefix, 0 without `-M`.
fn prefix_len(line: &Line) -> Result<u32, CliError> {
    let Some(text) = line.get("netmask") else {
        return Ok(0);
    };
    // A service that is edited may be persistent already.
    if !line.has("persistent") && line.command != Command::EditService {
        return Err(missing("persistent", line.command));
    }
    let of_mask = |mask: Ipv4Addr| {
        let bits = mask.to_bits();
        (bits.leading_ones() == bits.count_ones() && bits != 0).then_some(bits.count_ones())
    };
    let len = match text.parse() {
        Ok(mask) => of_mask(mask),
        Err(_) => text.parse().ok().filter(|len| (1..=128).contains(len)),
    };
    len.ok_or_else(|| {
        CliError::usage(format!(
            "invalid netmask '{text}': expected e.g. 255.255.255.0, 24 or 64"
        ))
    })
}

/// The flags of a scheduler: `mh-fallback,mh-port`, or `none`.
fn sched_flags(list: &str) -> Vec<String> {
    let words = list.split(',').filter(|word| !matches!(*word, "" | "none"));
    words.map(str::to_owned).collect()
}
