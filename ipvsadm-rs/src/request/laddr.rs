//! `-P` and `-Q`: a local address of a service.

use std::net::IpAddr;

use cli::{CliError, ip_message};
use proto::v1::{Laddr, LaddrRequest, ServiceKey};

use crate::args::Line;

pub(super) fn laddr(line: &Line, service: Option<ServiceKey>) -> Result<LaddrRequest, CliError> {
    let text = line.get("laddr").unwrap_or_default();
    let addr: IpAddr = text.parse().map_err(|_| {
        CliError::usage(format!(
            "invalid local address '{text}': expected e.g. 192.168.100.200"
        ))
    })?;
    let laddr = Laddr {
        address: Some(ip_message(addr)),
        device: line.get("ifname").unwrap_or_default().to_owned(),
        force: line.has("force"),
        ..Laddr::default()
    };
    Ok(LaddrRequest {
        service,
        laddr: Some(laddr),
    })
}
