//! `-U -V -B -O -Y -W`: deny and allow lists.

use std::net::IpAddr;

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::{AccessEntry, AccessList, ListServicesRequest, ServiceKey};
use serde_json::{Value, json};
use tokio_stream::StreamExt;

use crate::Client;
use crate::args::Line;
use crate::output::{protocol_name, service_name};
use crate::request;

/// The entry that a line adds or takes away.
///
/// # Errors
/// If it is no address.
pub fn entry(line: &Line, service: ServiceKey, list: AccessList) -> Result<AccessEntry, CliError> {
    let text = line.get(option(list)).unwrap_or_default();
    if text.starts_with("ipset:") {
        return Err(CliError::unsupported(&format!("'{text}'")));
    }
    let wrong = || {
        CliError::usage(format!(
            "'{text}' is no address or network, as in 192.0.2.7 or 192.0.2.0/24"
        ))
    };
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, Some(len.parse::<u32>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
    Ok(AccessEntry {
        service: Some(service),
        list: list.into(),
        address: Some(ip_message(addr)),
        prefix_len: len.unwrap_or(host_len(addr)),
    })
}

/// `-B`, `-W`: one list of one service, or of all.
///
/// # Errors
/// With what the daemon says.
pub async fn show(client: &mut Client, line: &Line, list: AccessList) -> Result<(), CliError> {
    let mut entries = all(client, request::service(line)?).await?;
    entries.retain(|entry| entry.list() == list);
    if line.has("json") {
        return cli::print_json(&entries.iter().map(json).collect::<Value>());
    }
    let name = match list {
        AccessList::Deny => "BLACKLIST",
        AccessList::Allow => "WHITELIST",
    };
    let mut text = row("PROTO", "VIP:VPORT", name);
    for entry in &entries {
        let key = entry.service.clone().unwrap_or_default();
        let (protocol, vip) = service_name(&key);
        text.push_str(&row(&protocol, &vip, &prefix(entry)));
    }
    cli::print(&text)
}

/// DPVS: `%-8s %-30s %-30s`
fn row(protocol: &str, vip: &str, value: &str) -> String {
    let line = format!("{protocol:<8} {vip:<30} {value:<30}");
    format!("{}\n", line.trim_end())
}

/// Both lists of one service, or of all.
///
/// # Errors
/// With what the daemon says.
pub async fn all(
    client: &mut Client,
    key: Option<ServiceKey>,
) -> Result<Vec<AccessEntry>, CliError> {
    let request = ListServicesRequest { key };
    let mut stream = client.list_access(request).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(entry) = stream.next().await {
        entries.push(entry?);
    }
    Ok(entries)
}

/// The line that brings an entry back, for `-R`; `service` is `-t VIP:PORT`.
pub fn save(entry: &AccessEntry, service: &str) -> String {
    let (command, option) = match entry.list() {
        AccessList::Deny => ("-U", "-k"),
        AccessList::Allow => ("-O", "-2"),
    };
    format!("{command} {service} {option} {}\n", prefix(entry))
}

/// An address, or a network with its length.
fn prefix(entry: &AccessEntry) -> String {
    let addr = ip_or_zero(entry.address.as_ref());
    if entry.prefix_len == host_len(addr) {
        addr.to_string()
    } else {
        format!("{addr}/{}", entry.prefix_len)
    }
}

const fn host_len(addr: IpAddr) -> u32 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn json(entry: &AccessEntry) -> Value {
    let key = entry.service.clone().unwrap_or_default();
    let (_, vip) = service_name(&key);
    json!({
        "protocol": protocol_name(key.protocol()),
        "service": vip,
        "prefix": prefix(entry),
    })
}

const fn option(list: AccessList) -> &'static str {
    match list {
        AccessList::Deny => "blklst",
        AccessList::Allow => "whtlst",
    }
}
