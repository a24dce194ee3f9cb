//! Deny and allow lists.

use cli::{host_prefix_len, ip_or_zero};
use proto::v1::{AccessEntry, AccessList};

use super::service_name::service_name;

/// One of the two lists, as `-B` and `-W` print it.
pub(crate) fn access(entries: &[AccessEntry], list: AccessList) -> String {
    let name = match list {
        AccessList::Deny => "BLACKLIST",
        AccessList::Allow => "WHITELIST",
    };
    let mut text = row("PROTO", "VIP:VPORT", name);
    for entry in entries {
        let key = entry.service.clone().unwrap_or_default();
        let (protocol, vip) = service_name(&key);
        text.push_str(&row(&protocol, &vip, &prefix(entry)));
    }
    text
}

/// A row in the columns of DPVS.
fn row(protocol: &str, vip: &str, value: &str) -> String {
    let line = format!("{protocol:<8} {vip:<30} {value:<30}");
    format!("{}\n", line.trim_end())
}

/// An address, or a network with its length.
pub(super) fn prefix(entry: &AccessEntry) -> String {
    let addr = ip_or_zero(entry.address.as_ref());
    if entry.prefix_len() == host_prefix_len(addr) {
        addr.to_string()
    } else {
        format!("{addr}/{}", entry.prefix_len())
    }
}
