//! `-H`: a service that is named by the packets it takes,
//! `proto=tcp,src-range=A-B[:P-Q],dst-range=...,iif=D,oif=D`.

use std::net::IpAddr;

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::{EndRange, Match, Protocol, ServiceKey};

const WORDS: [&str; 6] = ["proto", "af", "src-range", "dst-range", "iif", "oif"];

/// Parses the value of `-H`.
///
/// # Errors
/// If a word or a value is not understood.
pub(super) fn parse(text: &str) -> Result<ServiceKey, CliError> {
    let mut protocol = None;
    let mut matcher = Match::default();
    let mut wants_ipv6 = None;
    for part in text.split(',') {
        let Some((word, value)) = part.split_once('=') else {
            return Err(unknown(part));
        };
        match word {
            "proto" => protocol = Some(parse_protocol(value)?),
            "af" => wants_ipv6 = Some(parse_family(value)?),
            "src-range" => matcher.src = Some(parse_range(value)?),
            "dst-range" => matcher.dst = Some(parse_range(value)?),
            "iif" => value.clone_into(&mut matcher.iif),
            "oif" => value.clone_into(&mut matcher.oif),
            _ => return Err(unknown(word)),
        }
    }
    let protocol = protocol.ok_or_else(|| {
        CliError::usage(format!("no protocol in '{text}': give one, e.g. proto=tcp"))
    })?;
    check_family(text, protocol, &matcher, wants_ipv6)?;
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

/// Refuses a service whose ranges, protocol and `af` are not all of one family.
fn check_family(
    text: &str,
    protocol: Protocol,
    matcher: &Match,
    wants_ipv6: Option<bool>,
) -> Result<(), CliError> {
    let of_protocol = match protocol {
        Protocol::Icmp => Some(false),
        Protocol::Icmpv6 => Some(true),
        _ => None,
    };
    let ranges = [&matcher.src, &matcher.dst].into_iter().flatten();
    let of_ranges = ranges.map(|range| ip_or_zero(range.first.as_ref()).is_ipv6());
    let mut said = of_ranges.chain(of_protocol).chain(wants_ipv6);
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        return Err(CliError::usage(format!(
            "'{text}' mixes IPv4 and IPv6: a service has one family"
        )));
    }
    Ok(())
}

/// Parses `A`, `A-B`, `A-B:P` and `A-B:P-Q`. IPv6 addresses before ports stand in brackets:
/// `[A-B]:P-Q` or `[A]-[B]:P`.
fn parse_range(text: &str) -> Result<EndRange, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "invalid address range '{text}': expected e.g. 192.168.100.0-192.168.100.254 \
             or 10.0.0.1-10.0.0.9:80-90"
        ))
    };
    let (addrs, ports) = split_ports(text);
    let (first, last) = addrs.split_once('-').unwrap_or((addrs, addrs));
    let (first_port, last_port) = ports.split_once('-').unwrap_or((ports, ports));
    let addr = |text: &str| {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().map_err(|_| wrong())
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    Ok(EndRange {
        first: Some(ip_message(addr(first)?)),
        last: Some(ip_message(addr(last)?)),
        first_port: port(first_port)?.into(),
        last_port: port(last_port)?.into(),
    })
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
