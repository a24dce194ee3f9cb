//! Requests to the daemon, made from the options of a command line.
//!
//! [`service`] names a service, [`change`] is the change that a command line asks for. [`number()`]
//! is the value of an option that takes a number. One file for each thing that a line can name.

mod access;
mod dest;
mod edit_mask;
mod endpoint;
mod laddr;
mod matcher;
mod number;
#[cfg(test)]
mod tests;
mod virtual_service;

use cli::{CliError, ip_message};
use proto::v1::{
    self, AccessList, Change, Empty, Protocol, ServiceKey, Timeouts, ZeroCountersRequest,
};

use crate::args::{Command, Line, SERVICE_OPTIONS, conflict};
pub(crate) use number::number;

/// The service that the options name, if they name one.
pub(crate) fn service(line: &Line) -> Result<Option<ServiceKey>, CliError> {
    let named = SERVICE_OPTIONS.map(|name| line.get(name).map(|text| (name, text)));
    let (protocol, text) = match named.into_iter().flatten().collect::<Vec<_>>()[..] {
        [] => return Ok(None),
        [(first, _), (second, _), ..] => return Err(conflict(first, second, line.command)),
        [("tcp-service", text)] => (Protocol::Tcp, text),
        [("udp-service", text)] => (Protocol::Udp, text),
        [("sctp-service", text)] => (Protocol::Sctp, text),
        [(_, text)] => return matcher::parse(text).map(Some),
    };
    let (addr, port) = endpoint::endpoint(text, protocol)?;
    if port.is_none() && line.command == Command::AddService && !line.has("persistent") {
        return Err(CliError::usage(format!(
            "no port in '{text}': give one, e.g. {text}:80, or -p with a service for all ports"
        )));
    }
    // ipvsadm(8): without a port the service is for all ports, which is port 0.
    let port = port.unwrap_or(0);
    Ok(Some(ServiceKey {
        protocol: protocol.into(),
        address: Some(ip_message(addr)),
        port: port.into(),
        r#match: None,
    }))
}

/// The change that a command line asks for; `None` if its command changes nothing.
pub(crate) fn change(line: &Line) -> Result<Option<Change>, CliError> {
    use v1::change::Change as Kind;
    let key = service(line)?;
    let service_key = key.clone().unwrap_or_default();
    let kind = match line.command {
        Command::AddService => Kind::AddService(virtual_service::virtual_service(line, key)?),
        Command::EditService => Kind::EditService(virtual_service::virtual_service(line, key)?),
        Command::DelService => Kind::DelService(service_key),
        Command::AddDest => Kind::AddDest(dest::dest(line, service_key)?),
        Command::EditDest => Kind::EditDest(dest::dest(line, service_key)?),
        Command::DelDest => Kind::DelDest(dest::dest(line, service_key)?),
        Command::AddLaddr => Kind::AddLaddr(laddr::laddr(line, key)?),
        Command::DelLaddr => Kind::DelLaddr(laddr::laddr(line, key)?),
        Command::AddDenied => Kind::AddAccess(access::entry(line, service_key, AccessList::Deny)?),
        Command::DelDenied => Kind::DelAccess(access::entry(line, service_key, AccessList::Deny)?),
        Command::AddAllowed => {
            Kind::AddAccess(access::entry(line, service_key, AccessList::Allow)?)
        }
        Command::DelAllowed => {
            Kind::DelAccess(access::entry(line, service_key, AccessList::Allow)?)
        }
        Command::Clear => Kind::FlushServices(Empty {}),
        Command::SetTimeouts => Kind::SetTimeouts(timeouts(line)?),
        Command::Zero => Kind::ZeroCounters(ZeroCountersRequest { key }),
        _ => return Ok(None),
    };
    Ok(Some(Change { change: Some(kind) }))
}

/// The timeouts of `--set TCP TCPFIN UDP`, in seconds.
fn timeouts(line: &Line) -> Result<Timeouts, CliError> {
    let seconds: Option<Vec<u32>> = line.words.iter().map(|word| word.parse().ok()).collect();
    match seconds.as_deref() {
        Some(&[tcp_s, tcp_fin_s, udp_s]) => Ok(Timeouts {
            tcp_s,
            tcp_fin_s,
            udp_s,
        }),
        _ => Err(CliError::usage(
            "invalid timeouts: expected three numbers of seconds for tcp, tcpfin and udp, \
             e.g. --set 900 120 300 (0 leaves one as it is)",
        )),
    }
}
