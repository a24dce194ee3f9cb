//! `-U -V -O -Y`: an entry of a deny or allow list.

use cli::{CliError, PrefixError, ip_message};
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
        let letter = match list {
            AccessList::Deny => "-U SERVICE -k",
            AccessList::Allow => "-O SERVICE -2",
        };
        return Err(CliError::usage(format!(
            "there are no ipsets, so no '{text}': add each of its networks, e.g. {letter} \
             192.0.2.0/24, or all of them by lines for -R"
        )));
    }
    let (addr, prefix_len) = cli::parse_prefix(text).map_err(|error| {
        let expected = match error {
            PrefixError::Addr(_) => "e.g. 192.0.2.7 or 192.0.2.0/24".to_owned(),
            PrefixError::Len { most, .. } => format!("a prefix length of 0 to {most}"),
        };
        CliError::usage(format!(
            "invalid address or network '{text}': expected {expected}"
        ))
    })?;
    Ok(AccessEntry {
        service: Some(service),
        list: list.into(),
        address: Some(ip_message(addr)),
        prefix_len: Some(prefix_len),
    })
}

const fn option(list: AccessList) -> &'static str {
    match list {
        AccessList::Deny => "blklst",
        AccessList::Allow => "whtlst",
    }
}
