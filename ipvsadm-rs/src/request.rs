//! From options to what the daemon is asked, with ipvsadm's own complaints.

use std::net::{IpAddr, SocketAddr};

use cli::{CliError, ip_message};
use proto::v1::{
    self, Change, Dest, DestRequest, FwdMode, Laddr, LaddrRequest, Protocol, ServiceKey,
    VirtualService,
};

use crate::args::{Command, Line};

/// Options beside the service that a command takes; the first list are those it needs.
const fn rules(command: Command) -> (&'static [&'static str], &'static [&'static str]) {
    match command {
        Command::AddService | Command::EditService => (&[], &["scheduler", "conn-timeout"]),
        Command::AddDest | Command::EditDest => (
            &["real-server"],
            &[
                "weight",
                "u-threshold",
                "l-threshold",
                "fullnat",
                "gatewaying",
                "ipip",
                "masquerading",
                "snat",
            ],
        ),
        Command::DelDest => (&["real-server"], &[]),
        Command::AddLaddr => (&["laddr", "ifname"], &[]),
        Command::DelLaddr => (&["laddr"], &["ifname"]),
        Command::List => (
            &[],
            &[
                "numeric",
                "connection",
                "exact",
                "stats",
                "rate",
                "thresholds",
                "persistent-conn",
                "timeout",
                "sort",
                "nosort",
                "sockpair",
                "cpu",
                "json",
            ],
        ),
        Command::Save | Command::GetLaddr => (&[], &["numeric", "json"]),
        _ => (&[], &[]),
    }
}

/// Whether a command is about one service, and needs it named.
const fn needs_service(command: Command) -> bool {
    matches!(
        command,
        Command::AddService
            | Command::EditService
            | Command::DelService
            | Command::AddDest
            | Command::EditDest
            | Command::DelDest
            | Command::AddLaddr
            | Command::DelLaddr
    )
}

/// Refuses options that the command does not take, and misses those it needs.
pub fn check(line: &Line) -> Result<(), CliError> {
    let (needed, allowed) = rules(line.command);
    let takes_service = needs_service(line.command)
        || matches!(
            line.command,
            Command::List | Command::Zero | Command::GetLaddr
        );
    for given in &line.options {
        let is_service = takes_service && matches!(given.name, "tcp-service" | "udp-service");
        if !is_service
            && given.name != "socket"
            && !needed.contains(&given.name)
            && !allowed.contains(&given.name)
        {
            return Err(CliError::usage(format!(
                "Illegal '{}' option with the '{}' command",
                given.name, line.command
            )));
        }
    }
    if needs_service(line.command) && service(line)?.is_none() {
        return Err(missing("service-address", line.command));
    }
    match needed.iter().find(|name| !line.has(name)) {
        Some(name) => Err(missing(name, line.command)),
        None => Ok(()),
    }
}

fn missing(option: &str, command: Command) -> CliError {
    CliError::usage(format!(
        "You need to supply the '{option}' option for the '{command}' command"
    ))
}

/// The service that the options name.
pub fn service(line: &Line) -> Result<Option<ServiceKey>, CliError> {
    let (protocol, text) = match (line.get("tcp-service"), line.get("udp-service")) {
        (Some(_), Some(_)) => {
            return Err(CliError::usage(format!(
                "The option 'tcp-service' conflicts with the 'udp-service' option in the '{}' command",
                line.command
            )));
        }
        (Some(text), None) => (Protocol::Tcp, text),
        (None, Some(text)) => (Protocol::Udp, text),
        (None, None) => return Ok(None),
    };
    let (addr, port) = endpoint(text)?;
    let port = port
        .ok_or_else(|| CliError::usage(format!("'{text}': name the port too, as in {text}:80")))?;
    Ok(Some(ServiceKey {
        protocol: protocol.into(),
        address: Some(ip_message(addr)),
        port: port.into(),
    }))
}

/// `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`.
pub fn endpoint(text: &str) -> Result<(IpAddr, Option<u16>), CliError> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok((addr, None));
    }
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok((addr.ip(), Some(addr.port())));
    }
    let port = text.rsplit_once(':').map(|(_, port)| port);
    match port
        .filter(|port| port.chars().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_err())
    {
        Some(port) => Err(CliError::usage(format!(
            "'{text}': port {port} is out of range: 1 to 65535"
        ))),
        None => Err(CliError::usage(format!(
            "'{text}' is no address with a port, as in 10.0.0.100:80"
        ))),
    }
}

/// The change that a line asks for; `None` if it asks for something else.
pub fn change(line: &Line) -> Result<Option<Change>, CliError> {
    use v1::change::Change as Kind;
    let key = service(line)?;
    let service_key = key.clone().unwrap_or_default();
    let kind = match line.command {
        Command::AddService => Kind::AddService(virtual_service(line, key)?),
        Command::EditService => Kind::EditService(virtual_service(line, key)?),
        Command::DelService => Kind::DelService(service_key),
        Command::AddDest => Kind::AddDest(dest(line, service_key)?),
        Command::EditDest => Kind::EditDest(dest(line, service_key)?),
        Command::DelDest => Kind::DelDest(dest(line, service_key)?),
        Command::AddLaddr => Kind::AddLaddr(laddr(line, key)?),
        Command::DelLaddr => Kind::DelLaddr(laddr(line, key)?),
        _ => return Ok(None),
    };
    Ok(Some(Change { change: Some(kind) }))
}

fn virtual_service(line: &Line, key: Option<ServiceKey>) -> Result<VirtualService, CliError> {
    Ok(VirtualService {
        key,
        scheduler: line.get("scheduler").unwrap_or_default().to_owned(),
        conn_timeout_s: number(line, "conn-timeout", u32::MAX)?.unwrap_or(0),
        ..VirtualService::default()
    })
}

fn dest(line: &Line, service: ServiceKey) -> Result<DestRequest, CliError> {
    let (addr, port) = endpoint(line.get("real-server").unwrap_or_default())?;
    let modes = [
        ("fullnat", FwdMode::FullNat),
        ("gatewaying", FwdMode::Dr),
        ("ipip", FwdMode::Tunnel),
        ("masquerading", FwdMode::Nat),
        ("snat", FwdMode::Snat),
    ];
    let given: Vec<_> = modes.iter().filter(|(name, _)| line.has(name)).collect();
    if let [(first, _), (second, _), ..] = given[..] {
        return Err(CliError::usage(format!(
            "The option '{first}' conflicts with the '{second}' option in the '{}' command",
            line.command
        )));
    }
    let dest = Dest {
        address: Some(ip_message(addr)),
        // The service's port, as the tutorial has it.
        port: port.map_or(service.port, u32::from),
        fwd_mode: given.first().map_or(FwdMode::Dr, |(_, mode)| *mode).into(),
        weight: number(line, "weight", 65_535)?.unwrap_or(1),
        upper_threshold: number(line, "u-threshold", u32::MAX)?.unwrap_or(0),
        lower_threshold: number(line, "l-threshold", u32::MAX)?.unwrap_or(0),
        ..Dest::default()
    };
    Ok(DestRequest {
        service: Some(service),
        dest: Some(dest),
    })
}

fn laddr(line: &Line, service: Option<ServiceKey>) -> Result<LaddrRequest, CliError> {
    let text = line.get("laddr").unwrap_or_default();
    let addr: IpAddr = text.parse().map_err(|_| {
        CliError::usage(format!(
            "'{text}' is no local address, as in 192.168.100.200"
        ))
    })?;
    let laddr = Laddr {
        address: Some(ip_message(addr)),
        device: line.get("ifname").unwrap_or_default().to_owned(),
        ..Laddr::default()
    };
    Ok(LaddrRequest {
        service,
        laddr: Some(laddr),
    })
}

/// A number that an option gives, at most `most`.
pub fn number(line: &Line, name: &str, most: u32) -> Result<Option<u32>, CliError> {
    let parse = |text: &str| {
        text.parse()
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| {
                CliError::usage(format!("--{name} {text}: give a number from 0 to {most}"))
            })
    };
    line.get(name).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    fn line(text: &str) -> Line {
        parse(text.split_whitespace().map(str::to_owned)).unwrap()
    }

    fn refusal(text: &str) -> String {
        let line = line(text);
        check(&line)
            .and_then(|()| change(&line).map(drop))
            .unwrap_err()
            .text
    }

    #[test]
    fn a_dest_without_a_port_takes_the_service_s() {
        let change = change(&line("-a -t 10.0.0.100:80 -r 192.168.100.2 -b"))
            .unwrap()
            .unwrap();
        let Some(v1::change::Change::AddDest(request)) = change.change else {
            panic!()
        };
        let dest = request.dest.unwrap();
        assert_eq!(
            (dest.port, dest.weight, dest.fwd_mode()),
            (80, 1, FwdMode::FullNat)
        );
    }

    #[test]
    fn complaints_are_ipvsadm_s() {
        assert_eq!(
            refusal("-A -s rr"),
            "You need to supply the 'service-address' option for the 'add-service' command"
        );
        assert_eq!(
            refusal("-a -t 1.1.1.1:80 -b"),
            "You need to supply the 'real-server' option for the 'add-server' command"
        );
        assert_eq!(
            refusal("-A -t 1.1.1.1:80 -r 2.2.2.2 -m"),
            "Illegal 'real-server' option with the 'add-service' command"
        );
        assert!(refusal("-A -t 1.1.1.1:65536").contains("port 65536 is out of range"));
        assert!(refusal("-A -t 1.1.1.1").contains("name the port too"));
        assert!(refusal("-a -t 1.1.1.1:80 -r 2.2.2.2 -b -g").contains("conflicts"));
        assert!(refusal("-a -t 1.1.1.1:80 -r 2.2.2.2 -b -w 65536").contains("0 to 65535"));
    }
}
