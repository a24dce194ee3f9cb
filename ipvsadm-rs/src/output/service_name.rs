//! The name of a service in the tables.

use cli::ip_or_zero;
use proto::v1::ServiceKey;

use super::endpoint::{endpoint, named_endpoint, protocol_name};
use super::matcher;
use crate::names::PortNames;

/// Protocol and endpoint of a service: `TCP` and `10.0.0.100:80`, or `MATCH` and what it matches.
pub(super) fn service_name(key: &ServiceKey) -> (String, String) {
    if let Some(matcher) = &key.r#match {
        return ("MATCH".into(), matcher::shown(key.protocol(), matcher));
    }
    let protocol = protocol_name(key.protocol()).to_uppercase();
    (
        protocol,
        endpoint(ip_or_zero(key.address.as_ref()), key.port),
    )
}

/// The beginning of a service's row: `TCP  10.0.0.100:80` or `MATCH tcp,from=...`.
pub(super) fn head_of(key: &ServiceKey, names: &PortNames) -> String {
    if let Some(matcher) = &key.r#match {
        return format!("MATCH {}", matcher::shown(key.protocol(), matcher));
    }
    let protocol = protocol_name(key.protocol()).to_uppercase();
    let addr = ip_or_zero(key.address.as_ref());
    format!(
        "{protocol}  {}",
        named_endpoint(addr, key.protocol(), key.port, names)
    )
}
