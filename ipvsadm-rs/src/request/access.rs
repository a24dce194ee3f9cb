//! `-U -V -O -Y`: an entry of a deny or allow list.

use std::net::IpAddr;

use cli::{CliError, host_prefix_len, ip_message};
use proto::v1::{AccessEntry, AccessList, ServiceKey};

use crate::args::Line;

/// The entry that a command line adds or deletes.
///
/// # Errors
/// If the option is not an address or a network.
pub(super) fn entry(
    line: &Line,
    service: ServiceKey,
    list: AccessList,
) -> Result<AccessEntry, CliError> {
    let text = line.get(option(list)).unwrap_or_default();
    if text.starts_with("ipset:") {
        return Err(CliError::unsupported(&format!("'{text}'")));
    }
    let wrong = || {
        CliError::usage(format!(
            "invalid address or network '{text}': expected e.g. 192.0.2.7 or 192.0.2.0/24"
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
        prefix_len: len.unwrap_or(host_prefix_len(addr)),
    })
}

const fn option(list: AccessList) -> &'static str {
    match list {
        AccessList::Deny => "blklst",
        AccessList::Allow => "whtlst",
    }
}
