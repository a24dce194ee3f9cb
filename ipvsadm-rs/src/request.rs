//! From options to what the daemon is asked.

use std::net::{IpAddr, SocketAddr};

use cli::{CliError, ip_message};
use proto::v1::{
    self, AccessList, Change, Dest, DestRequest, FwdMode, Laddr, LaddrRequest, Protocol,
    ServiceKey, Timeouts, TunnelType, VirtualService,
};

use crate::access;
use crate::args::{Command, Line};
use crate::matcher;
use crate::names::{PortNames, SERVICES_FILE};
use crate::usage::{SERVICE_OPTIONS, conflict, missing};

/// The service that the options name.
pub fn service(line: &Line) -> Result<Option<ServiceKey>, CliError> {
    let named = SERVICE_OPTIONS.map(|name| line.get(name).map(|text| (name, text)));
    let (protocol, text) = match named.into_iter().flatten().collect::<Vec<_>>()[..] {
        [] => return Ok(None),
        [(first, _), (second, _), ..] => return Err(conflict(first, second, line.command)),
        [("tcp-service", text)] => (Protocol::Tcp, text),
        [("udp-service", text)] => (Protocol::Udp, text),
        [("sctp-service", text)] => (Protocol::Sctp, text),
        [(_, text)] => return matcher::parse(text).map(Some),
    };
    let (addr, port) = endpoint(text, protocol)?;
    let port = port
        .ok_or_else(|| CliError::usage(format!("'{text}': name the port too, as in {text}:80")))?;
    Ok(Some(ServiceKey {
        protocol: protocol.into(),
        address: Some(ip_message(addr)),
        port: port.into(),
        r#match: None,
    }))
}

/// `ADDR`, `[ADDR6]`, `ADDR:PORT`, `[ADDR6]:PORT`; the port may be a name of /etc/services.
pub fn endpoint(text: &str, protocol: Protocol) -> Result<(IpAddr, Option<u16>), CliError> {
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
            "'{text}' is no address with a port, as in 10.0.0.100:80"
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
            "'{text}': port {port} is out of range: 1 to 65535"
        )));
    }
    match PortNames::of_this_machine().port(protocol, port) {
        Some(port) => Ok((addr, Some(port))),
        None => Err(CliError::usage(format!(
            "'{text}': '{port}' is no number, and no name of a port in {SERVICES_FILE}"
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
        Command::AddDenied => Kind::AddAccess(access::entry(line, service_key, AccessList::Deny)?),
        Command::DelDenied => Kind::DelAccess(access::entry(line, service_key, AccessList::Deny)?),
        Command::AddAllowed => {
            Kind::AddAccess(access::entry(line, service_key, AccessList::Allow)?)
        }
        Command::DelAllowed => {
            Kind::DelAccess(access::entry(line, service_key, AccessList::Allow)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(Change { change: Some(kind) }))
}

fn virtual_service(line: &Line, key: Option<ServiceKey>) -> Result<VirtualService, CliError> {
    let (syn_proxy, syn_proxy_above) = syn_proxy(line)?;
    Ok(VirtualService {
        syn_proxy,
        syn_proxy_above,
        key,
        scheduler: line.get("scheduler").unwrap_or_default().to_owned(),
        hash_target: line.get("hash-target").unwrap_or_default().to_owned(),
        scheduler_flags: sched_flags(line.get("sched-flags").unwrap_or_default()),
        conn_timeout_s: number(line, "conn-timeout", u32::MAX)?.unwrap_or(0),
        persistence_s: persistence_s(line)?,
        persistence_prefix_len: prefix_len(line)?,
        one_packet: line.has("ops"),
        expire_quiescent: line.has("expire-quiescent"),
        conn_limit: number(line, "conn-limit", u32::MAX)?.unwrap_or(0),
        conn_rate_limit: number(line, "conn-rate-limit", u32::MAX)?.unwrap_or(0),
        uoa: line.get("uoa").unwrap_or_default().to_owned(),
        uoa_max_trail: number(line, "uoa-max-trail", 255)?.unwrap_or(0),
        proxy_protocol: line.get("proxy-protocol").unwrap_or_default().to_owned(),
        ..VirtualService::default()
    })
}

/// `-j enable`, `-j disable`, `-j 10000`: above so many SYNs per second
fn syn_proxy(line: &Line) -> Result<(bool, u32), CliError> {
    let wrong = |text| {
        CliError::usage(format!(
            "--synproxy {text}: give enable, disable, or a number of SYNs per second above which it is on"
        ))
    };
    match line.get("synproxy") {
        None | Some("disable") => Ok((false, 0)),
        Some("enable") => Ok((true, 0)),
        Some(text) => match text.parse() {
            Ok(per_s) if per_s > 0 => Ok((true, per_s)),
            _ => Err(wrong(text)),
        },
    }
}

/// `-p`, `-p 600`
fn persistence_s(line: &Line) -> Result<u32, CliError> {
    /// ipvsadm's
    const DEFAULT_S: u32 = 300;
    match line.get("persistent") {
        None => Ok(0),
        Some("") => Ok(DEFAULT_S),
        Some("0") => Err(CliError::usage(
            "--persistent 0: give a number of seconds from 1 on",
        )),
        Some(_) => Ok(number(line, "persistent", u32::MAX)?.unwrap_or(DEFAULT_S)),
    }
}

/// `-M 255.255.255.0`, `-M 24`, `-M 64`
fn prefix_len(line: &Line) -> Result<u32, CliError> {
    let Some(text) = line.get("netmask") else {
        return Ok(0);
    };
    if !line.has("persistent") {
        return Err(missing("persistent", line.command));
    }
    let of_mask = |mask: std::net::Ipv4Addr| {
        let bits = mask.to_bits();
        (bits.leading_ones() == bits.count_ones() && bits != 0).then_some(bits.count_ones())
    };
    let len = match text.parse() {
        Ok(mask) => of_mask(mask),
        Err(_) => text.parse().ok().filter(|len| (1..=128).contains(len)),
    };
    len.ok_or_else(|| {
        CliError::usage(format!(
            "'{text}' is no netmask, as in 255.255.255.0, or a length, as in 24 or 64"
        ))
    })
}

/// `mh-fallback,mh-port`
fn sched_flags(list: &str) -> Vec<String> {
    let words = list.split(',').filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn dest(line: &Line, service: ServiceKey) -> Result<DestRequest, CliError> {
    let text = line.get("real-server").unwrap_or_default();
    let (addr, port) = endpoint(text, service.protocol())?;
    let modes = [
        ("fullnat", FwdMode::FullNat),
        ("gatewaying", FwdMode::Dr),
        ("ipip", FwdMode::Tunnel),
        ("masquerading", FwdMode::Nat),
        ("snat", FwdMode::Snat),
    ];
    let given: Vec<_> = modes.iter().filter(|(name, _)| line.has(name)).collect();
    if let [(first, _), (second, _), ..] = given[..] {
        return Err(conflict(first, second, line.command));
    }
    let fwd_mode = given.first().map_or(FwdMode::Dr, |(_, mode)| *mode);
    let (tunnel_type, tunnel_port) = tunnel(line, fwd_mode)?;
    let dest = Dest {
        address: Some(ip_message(addr)),
        // The service's port, as the tutorial has it.
        port: port.map_or(service.port, u32::from),
        fwd_mode: fwd_mode.into(),
        tunnel_type: tunnel_type.into(),
        tunnel_port,
        weight: number(line, "weight", 65_535)?.unwrap_or(1),
        upper_threshold: number(line, "u-threshold", u32::MAX)?.unwrap_or(0),
        lower_threshold: number(line, "l-threshold", u32::MAX)?.unwrap_or(0),
        drain_s: number(line, "drain", 65_535)?.unwrap_or(0),
        ..Dest::default()
    };
    Ok(DestRequest {
        service: Some(service),
        dest: Some(dest),
    })
}

/// Type and port of a tunnel: `--tun-type ipip|gue|gre`, `--tun-port N` with gue.
fn tunnel(line: &Line, mode: FwdMode) -> Result<(TunnelType, u32), CliError> {
    for option in ["tun-type", "tun-port"] {
        if line.has(option) && mode != FwdMode::Tunnel {
            return Err(CliError::usage(format!(
                "--{option} is for tunnels: give -i (--ipip) too"
            )));
        }
    }
    let tunnel_type = match line.get("tun-type") {
        None | Some("ipip") => TunnelType::Ipip,
        Some("gue") => TunnelType::Gue,
        Some("gre") => TunnelType::Gre,
        Some(other) => {
            return Err(CliError::usage(format!(
                "'{other}' is no tunnel type: it is one of ipip, gue, gre"
            )));
        }
    };
    let port = number(line, "tun-port", 65_535)?;
    match (tunnel_type, port) {
        (TunnelType::Gue, Some(port)) => Ok((tunnel_type, port)),
        (TunnelType::Gue, None) => Err(CliError::usage(
            "--tun-type gue needs the port that the real server listens on: --tun-port 6080",
        )),
        (_, None) => Ok((tunnel_type, 0)),
        (_, Some(_)) => Err(CliError::usage("--tun-port is for --tun-type gue")),
    }
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

/// `--set tcp tcpfin udp`
pub fn timeouts(line: &Line) -> Result<Timeouts, CliError> {
    let seconds: Option<Vec<u32>> = line.words.iter().map(|word| word.parse().ok()).collect();
    match seconds.as_deref() {
        Some(&[tcp_s, tcp_fin_s, udp_s]) => Ok(Timeouts {
            tcp_s,
            tcp_fin_s,
            udp_s,
        }),
        _ => Err(CliError::usage(
            "--set needs three numbers of seconds: tcp tcpfin udp (0 leaves one as it is)",
        )),
    }
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
    use crate::usage;

    fn line(text: &str) -> Line {
        parse(text.split_whitespace().map(str::to_owned)).unwrap()
    }

    fn refusal(text: &str) -> String {
        let line = line(text);
        usage::check(&line)
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
        assert!(refusal("-a -t 1.1.1.1:80 -r 2.2.2.2 -b -w -1").contains("0 to 65535"));
        assert_eq!(
            refusal("-A -t 1.1.1.1:80 -u 1.1.1.1:80"),
            "The option 'tcp-service' conflicts with the 'udp-service' option in the 'add-service' command"
        );
        assert_eq!(
            refusal("--add-laddr -z 1.1.1.1 -t 2.2.2.2:80"),
            "You need to supply the 'ifname' option for the 'add-laddr' command"
        );
        assert_eq!(
            refusal("-C -t 1.1.1.1:80"),
            "Illegal 'tcp-service' option with the 'flush' command"
        );
        assert!(refusal("-D -t 1.1.1.1:80 extra").contains("'extra'"));
        assert!(refusal("-A -t 1.1.1.1:80 -s rr -s wrr").contains("given twice: rr and wrr"));
        assert_eq!(
            refusal("-l --stats --rate"),
            "The option 'stats' conflicts with the 'rate' option in the 'list' command"
        );
        assert!(refusal("-l --cpu 1").ends_with("is not supported yet"));
    }

    /// The tutorial's NAT section has `-A` where `-a` is meant: it must not pass silently.
    #[test]
    fn the_tutorial_s_slip_is_refused() {
        assert_eq!(
            refusal("-A -t 192.168.0.89:80 -r 10.140.18.33 -m"),
            "Illegal 'real-server' option with the 'add-service' command"
        );
    }

    #[test]
    fn a_scheduler_reaches_the_daemon_with_its_flags_and_target() {
        let asked = |text: &str| {
            let change = change(&line(text)).unwrap().unwrap();
            let Some(v1::change::Change::AddService(service)) = change.change else {
                panic!()
            };
            let flags = service.scheduler_flags.join(" ");
            [service.scheduler, flags, service.hash_target]
        };
        assert_eq!(
            asked("-A -t 1.1.1.1:80 -s mh -b mh-fallback,mh-port"),
            ["mh", "mh-fallback mh-port", ""]
        );
        assert_eq!(
            asked("-A -u 1.1.1.1:443 -s conhash --hash-target qid"),
            ["conhash", "", "qid"]
        );
        assert!(refusal("-A -t 1.1.1.1:80 -s rr -b").starts_with("Illegal 'fullnat' option"));
    }

    #[test]
    fn every_forwarding_mode_reaches_the_daemon() {
        for (flag, mode) in [
            ("-b", FwdMode::FullNat),
            ("--fullnat", FwdMode::FullNat),
            ("-g", FwdMode::Dr),
            ("-i", FwdMode::Tunnel),
            ("-m", FwdMode::Nat),
            ("-J", FwdMode::Snat),
            ("", FwdMode::Dr),
        ] {
            let text = format!("-a -t 10.0.0.100:80 -r 192.168.100.2:8080 {flag}");
            let change = change(&line(&text)).unwrap().unwrap();
            let Some(v1::change::Change::AddDest(request)) = change.change else {
                panic!()
            };
            let dest = request.dest.unwrap();
            assert_eq!((dest.fwd_mode(), dest.port), (mode, 8080), "{flag}");
        }
    }

    #[test]
    fn endpoints_have_numbers_in_range() {
        let parsed = |text| endpoint(text, Protocol::Tcp);
        let six = "2001:db8::1".parse().unwrap();
        assert_eq!(parsed("[2001:db8::1]").unwrap(), (six, None));
        let addr = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(parsed("10.0.0.1").unwrap(), (addr, None));
        assert_eq!(parsed("10.0.0.1:80").unwrap(), (addr, Some(80)));
        assert_eq!(parsed("[::1]:80").unwrap().1, Some(80));
        for (wrong, part) in [
            ("10.0.0.1:65536", "port 65536 is out of range"),
            ("10.0.0.1:", "is no number"),
            ("10.0.0.1:-1", "'-1' is no number"),
            ("10.0.0.1:no-such-port", "'no-such-port' is no number"),
            ("10.0.0:80", "is no address with a port"),
            ("www.example.com:80", "is no address with a port"),
            ("", "is no address with a port"),
        ] {
            let error = parsed(wrong).unwrap_err();
            assert!(
                error.status == 2 && error.text.contains(part),
                "{wrong}: {error}"
            );
        }
    }

    #[test]
    fn timeouts_are_three_numbers() {
        let parsed = timeouts(&line("--set 90 3 300")).unwrap();
        assert_eq!((parsed.tcp_s, parsed.tcp_fin_s, parsed.udp_s), (90, 3, 300));
        for wrong in ["--set", "--set 90 3", "--set a b c"] {
            assert_eq!(timeouts(&line(wrong)).unwrap_err().status, 2, "{wrong}");
        }
        assert!(refusal("--set 1 2 3 4").contains("'4'"));
    }
}
