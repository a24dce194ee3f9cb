//! An address with or without a port.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use cli::CliError;
use proto::v1::Protocol;

use crate::names::{PortNames, SERVICES_FILE};

/// The address of a host name, the one of IPv4 if there are both, as ipvsadm(8) has it. `None` if
/// it cannot be a host name (RFC 1123 section 2.1), or has no address.
fn resolve(name: &str) -> Option<IpAddr> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let may_be =
        name.bytes().all(is_of_name) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    if !may_be {
        return None;
    }
    let addrs: Vec<_> = (name, 0).to_socket_addrs().ok()?.collect();
    let first = addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first())?;
    Some(first.ip())
}

/// Parses `ADDR`, `[ADDR6]`, `ADDR:PORT` and `[ADDR6]:PORT`. The address may be a host name, and
/// the port a name in /etc/services.
pub(super) fn endpoint(text: &str, protocol: Protocol) -> Result<(IpAddr, Option<u16>), CliError> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Ok(addr) = bare.unwrap_or(text).parse::<IpAddr>() {
        return Ok((addr, None));
    }
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok((addr.ip(), Some(addr.port())));
    }
    let no_endpoint = || {
        CliError::usage(format!(
            "invalid address '{text}': expected e.g. 10.0.0.100:80, or a host name that resolves"
        ))
    };
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok((resolve(text).ok_or_else(no_endpoint)?, None));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addr = host.parse().ok().or_else(|| resolve(host));
    let addr: IpAddr = addr.ok_or_else(no_endpoint)?;
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = port.parse().map_err(|_| {
            CliError::usage(format!(
                "invalid port '{port}' in '{text}': expected 1 to 65535"
            ))
        })?;
        return Ok((addr, Some(number)));
    }
    match PortNames::of_this_machine().port(protocol, port) {
        Some(port) => Ok((addr, Some(port))),
        None => Err(CliError::usage(format!(
            "invalid port '{port}' in '{text}': expected a number or a name in {SERVICES_FILE}"
        ))),
    }
}
