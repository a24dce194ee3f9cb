//! `-H`: a service that is named by the packets it takes,
//! `proto=tcp,src-range=A-B[:P-Q],dst-range=...,iif=D,oif=D`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cli::{CliError, ip_message};
use proto::v1::{EndRange, Family, Match, Protocol, ServiceKey};

const WORDS: [&str; 6] = ["proto", "af", "src-range", "dst-range", "iif", "oif"];

/// Parses the value of `-H`.
///
/// # Errors
/// If a word or a value is not understood.
pub(super) fn parse(text: &str) -> Result<ServiceKey, CliError> {
    let mut protocol = None;
    let mut matcher = Match::default();
    let (mut wants_ipv6, mut src, mut dst) = (None, None, None);
    for part in text.split(',') {
        let Some((word, value)) = part.split_once('=') else {
            return Err(unknown(part));
        };
        match word {
            "proto" => protocol = Some(parse_protocol(value)?),
            "af" => wants_ipv6 = Some(parse_family(value)?),
            "src-range" => src = Range::parse(value)?,
            "dst-range" => dst = Range::parse(value)?,
            "iif" => value.clone_into(&mut matcher.iif),
            "oif" => value.clone_into(&mut matcher.oif),
            _ => return Err(unknown(word)),
        }
    }
    let protocol = protocol.ok_or_else(|| {
        CliError::usage(format!("no protocol in '{text}': give one, e.g. proto=tcp"))
    })?;
    let is_ipv6 = family(text, protocol, [src, dst], wants_ipv6)?;
    let has_device = !matcher.iif.is_empty() || !matcher.oif.is_empty();
    if is_ipv6.is_none() && src.is_none() && dst.is_none() && !has_device {
        return Err(CliError::usage(format!(
            "'{text}' says no packets: give src-range=, dst-range=, iif=, oif= or af=, e.g. \
             proto=tcp,src-range=192.168.100.0-192.168.100.254,oif=dpdk1"
        )));
    }
    matcher.src = src.map(|range| range.of_family(is_ipv6));
    matcher.dst = dst.map(|range| range.of_family(is_ipv6));
    matcher.family = match is_ipv6 {
        Some(true) => Family::Inet6.into(),
        Some(false) => Family::Inet.into(),
        None => Family::Any.into(),
    };
    Ok(ServiceKey {
        protocol: protocol.into(),
        r#match: Some(matcher),
        ..ServiceKey::default()
    })
}

fn unknown(word: &str) -> CliError {
    let hint = match cli::did_you_mean(word, &WORDS) {
        none if none.is_empty() => ".".to_owned(),
        hint => hint,
    };
    CliError::usage(format!(
        "unknown word '{word}' in -H{hint} Valid: {}",
        WORDS.join("=, ")
    ))
}

fn parse_protocol(name: &str) -> Result<Protocol, CliError> {
    match name {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "icmp" => Ok(Protocol::Icmp),
        "icmpv6" => Ok(Protocol::Icmpv6),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(CliError::usage(format!(
            "invalid protocol '{name}': expected tcp, udp, sctp, icmp or icmpv6"
        ))),
    }
}

/// Parses `af=`. The result is whether IPv6 is meant.
fn parse_family(name: &str) -> Result<bool, CliError> {
    match name {
        "ipv4" => Ok(false),
        "ipv6" => Ok(true),
        _ => Err(CliError::usage(format!(
            "invalid family '{name}': expected ipv4 or ipv6"
        ))),
    }
}

/// Whether a service is for IPv6, as its ranges, protocol and `af` say; `None` if none of them
/// does. All that do must agree.
fn family(
    text: &str,
    protocol: Protocol,
    ranges: [Option<Range>; 2],
    wants_ipv6: Option<bool>,
) -> Result<Option<bool>, CliError> {
    let of_protocol = match protocol {
        Protocol::Icmp => Some(false),
        Protocol::Icmpv6 => Some(true),
        _ => None,
    };
    let addrs = ranges.into_iter().flatten().filter_map(|range| range.addrs);
    let of_ranges = addrs.map(|(first, _)| first.is_ipv6());
    let mut said = of_ranges.chain(of_protocol).chain(wants_ipv6);
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        return Err(CliError::usage(format!(
            "'{text}' mixes IPv4 and IPv6: a service has one family"
        )));
    }
    Ok(first)
}

/// A range of addresses and ports.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// First and last; `None` for all.
    addrs: Option<(IpAddr, IpAddr)>,
    /// First and last; 0 and 0 for all.
    ports: (u16, u16),
}

impl Range {
    /// Parses `A`, `A-B`, `A-B:P`, `A-B:P-Q` and `:P-Q`. IPv6 addresses before ports stand in
    /// brackets: `[A-B]:P-Q` or `[A]-[B]:P`. Nothing at all is no range.
    fn parse(text: &str) -> Result<Option<Self>, CliError> {
        let wrong = || {
            CliError::usage(format!(
                "invalid address range '{text}': expected e.g. 192.168.100.0-192.168.100.254, \
                 10.0.0.1-10.0.0.9:80-90 or :80-90"
            ))
        };
        if text.is_empty() {
            return Ok(None);
        }
        let (addrs, ports) = split_ports(text);
        let (first, last) = addrs.split_once('-').unwrap_or((addrs, addrs));
        let (first_port, last_port) = ports.split_once('-').unwrap_or((ports, ports));
        let addr = |text: &str| {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<IpAddr>().map_err(|_| wrong())
        };
        let port = |text: &str| text.parse::<u16>().map_err(|_| wrong());
        let addrs = match addrs {
            "" => None,
            _ => Some((addr(first)?, addr(last)?)),
        };
        let ports = (port(first_port)?, port(last_port)?);
        Ok(Some(Self { addrs, ports }))
    }

    /// The range for the API, where all addresses are written as 0.0.0.0 or `::`.
    fn of_family(self, is_ipv6: Option<bool>) -> EndRange {
        let any = match is_ipv6 {
            Some(true) => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        let (first, last) = self.addrs.unwrap_or((any, any));
        EndRange {
            first: Some(ip_message(first)),
            last: Some(ip_message(last)),
            first_port: self.ports.0.into(),
            last_port: self.ports.1.into(),
        }
    }
}

/// Splits a range into addresses and ports. `0-0` stands for all ports.
fn split_ports(text: &str) -> (&str, &str) {
    const ALL: &str = "0-0";
    match text.rsplit_once("]:") {
        Some((addrs, ports)) => (addrs, ports),
        None if text.contains('[') || text.matches(':').count() > 1 => (text, ALL),
        None => text.split_once(':').unwrap_or((text, ALL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::matcher::{saved, shown};

    /// What DPVS's own -S writes of a service without ranges, and the forms of its help: 0.0.0.0
    /// is any address.
    #[test]
    fn what_is_not_given_is_any() {
        let parsed = |text: &str| {
            let key = parse(text).unwrap();
            saved(key.protocol(), &key.r#match.unwrap())
        };
        for (text, read) in [
            ("proto=tcp,af=ipv4,oif=dpdk1", "proto=tcp,af=ipv4,oif=dpdk1"),
            ("proto=tcp,oif=dpdk1,af=ipv6", "proto=tcp,af=ipv6,oif=dpdk1"),
            ("proto=icmpv6,oif=dpdk1", "proto=icmpv6,af=ipv6,oif=dpdk1"),
            ("proto=tcp,src-range=,af=ipv4", "proto=tcp,af=ipv4"),
            (
                "proto=tcp,src-range=0.0.0.0-0.0.0.0:0-0,iif=,oif=dpdk1",
                "proto=tcp,src-range=0.0.0.0-0.0.0.0:0-0,oif=dpdk1",
            ),
            (
                "proto=udp,dst-range=:1-1024",
                "proto=udp,dst-range=0.0.0.0-0.0.0.0:1-1024",
            ),
            (
                "proto=udp,dst-range=:53,af=ipv6",
                "proto=udp,dst-range=[::-::]:53-53",
            ),
            (
                "proto=udp,dst-range=[::],src-range=:53",
                "proto=udp,src-range=[::-::]:53-53,dst-range=[::-::]:0-0",
            ),
        ] {
            assert_eq!(parsed(text), read, "{text}");
            assert_eq!(parsed(read), read);
        }
        let error = parse("proto=tcp").unwrap_err();
        assert!(error.text.contains("src-range="), "{error}");
    }

    /// The tutorial's line, and the form of ipvsadm's list.
    #[test]
    fn what_is_parsed_is_shown_and_saved() {
        let text = "proto=tcp,src-range=192.168.100.0-192.168.100.254,oif=dpdk1";
        let key = parse(text).unwrap();
        let matcher = key.r#match.clone().unwrap();
        let range = "192.168.100.0-192.168.100.254:0-0";
        assert_eq!(
            shown(key.protocol(), &matcher),
            format!("tcp,from={range},oif=dpdk1")
        );
        let saved = saved(key.protocol(), &matcher);
        assert_eq!(saved, format!("proto=tcp,src-range={range},oif=dpdk1"));
        assert_eq!(parse(&saved).unwrap(), key);
    }

    #[test]
    fn ranges_may_be_one_address_and_have_ports() {
        let key = parse("proto=udp,af=ipv4,dst-range=10.0.0.1:53,iif=dpdk0").unwrap();
        let text = saved(key.protocol(), &key.r#match.unwrap());
        assert_eq!(
            text,
            "proto=udp,dst-range=10.0.0.1-10.0.0.1:53-53,iif=dpdk0"
        );
    }

    #[test]
    fn ipv6_ranges_stand_in_brackets_before_ports() {
        let shown = "proto=icmpv6,src-range=[2001:db8::-2001:db8::ff]:0-0,oif=dpdk1";
        for text in [
            shown,
            "proto=icmpv6,af=ipv6,src-range=2001:db8::-2001:db8::ff,oif=dpdk1",
            "proto=icmpv6,src-range=[2001:db8::]-[2001:db8::ff],oif=dpdk1",
        ] {
            let key = parse(text).unwrap();
            assert_eq!(saved(key.protocol(), &key.r#match.unwrap()), shown);
        }
        let key = parse("proto=udp,dst-range=[2001:db8::1]:53").unwrap();
        let text = saved(key.protocol(), &key.r#match.unwrap());
        assert_eq!(text, "proto=udp,dst-range=[2001:db8::1-2001:db8::1]:53-53");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("src-range=10.0.0.1", "no protocol in"),
            ("proto=tpc", "invalid protocol 'tpc'"),
            ("proto=tcp,src-rnage=10.0.0.1", "did you mean 'src-range'"),
            (
                "proto=tcp,src-range=10.0.0.300",
                "invalid address range '10.0.0.300'",
            ),
            ("proto=tcp,10.0.0.1", "unknown word '10.0.0.1'"),
            ("proto=tcp,af=ipx", "expected ipv4 or ipv6"),
            (
                "proto=tcp,af=ipv6,src-range=10.0.0.1",
                "mixes IPv4 and IPv6",
            ),
            ("proto=icmp,src-range=2001:db8::1", "mixes IPv4 and IPv6"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.status == 2 && error.text.contains(part),
                "{text}: {error}"
            );
        }
    }
}
