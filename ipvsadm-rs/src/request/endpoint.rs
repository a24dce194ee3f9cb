//! An address with or without a port.

use std::net::{IpAddr, SocketAddr};

use cli::CliError;
use proto::v1::Protocol;

use crate::names::{PortNames, SERVICES_FILE};

/// Parses `ADDR`, `[ADDR6]`, `ADDR:PORT` and `[ADDR6]:PORT`. The port may be a name in
/// /etc/services.
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
            "invalid address '{text}': expected e.g. 10.0.0.100:80"
        ))
    };
    let (addr, port) = text.rsplit_once(':').ok_or_else(no_endpoint)?;
    let addr: IpAddr = addr
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .map_err(|_| no_endpoint())?;
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CliError::usage(format!(
            "invalid port '{port}' in '{text}': expected 1 to 65535"
        )));
    }
    match PortNames::of_this_machine().port(protocol, port) {
        Some(port) => Ok((addr, Some(port))),
        None => Err(CliError::usage(format!(
            "invalid port '{port}' in '{text}': expected a number or a name in {SERVICES_FILE}"
        ))),
    }
}
