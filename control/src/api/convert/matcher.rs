//! Match services: `-H`, as the API carries them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_core::{DeviceName, EndRange, Match, Protocol, ServiceKey};
use proto::v1;
use tonic::Status;

use super::field::{ip, ip_message, known, port};

/// The key of a service that matches packets.
pub(super) fn service_key(protocol: Protocol, message: &v1::Match) -> Result<ServiceKey, Status> {
    if *message == v1::Match::default() {
        return Err(Status::invalid_argument(
            "match: say which packets are meant: set src, dst, iif, oif or family",
        ));
    }
    let any = match family(protocol, message)? {
        v1::Family::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    let device = |name: &str| match name {
        "" => Ok(None),
        name => DeviceName::new(name).map(Some).ok_or_else(|| {
            Status::invalid_argument(format!("'{name}' is too long for a device's name"))
        }),
    };
    let range =
        |range: Option<&v1::EndRange>| range.map(end_range).transpose().map(Option::flatten);
    let matcher = Match {
        src: range(message.src.as_ref())?,
        dst: range(message.dst.as_ref())?,
        iif: device(&message.iif)?,
        oif: device(&message.oif)?,
    };
    Ok(ServiceKey {
        matcher: Some(matcher),
        ..ServiceKey::vip(protocol, any, 0)
    })
}

/// The one family that ranges, protocol and the field of this name have; IPv4 if none of them has
/// one.
fn family(protocol: Protocol, message: &v1::Match) -> Result<v1::Family, Status> {
    let named = match known(message.family, "family")? {
        v1::Family::Any => None,
        family => Some(family),
    };
    let of_protocol = match protocol {
        Protocol::Icmp => Some(v1::Family::Inet),
        Protocol::IcmpV6 => Some(v1::Family::Inet6),
        _ => None,
    };
    let mut all: Vec<_> = named.into_iter().chain(of_protocol).collect();
    for range in [&message.src, &message.dst].into_iter().flatten() {
        let first = ip(range.first.as_ref(), "first address of a range")?;
        all.push(if first.is_ipv4() {
            v1::Family::Inet
        } else {
            v1::Family::Inet6
        });
    }
    let family = all.first().copied().unwrap_or(v1::Family::Inet);
    if all.iter().any(|other| *other != family) {
        return Err(Status::invalid_argument(
            "match: src, dst, family and protocol are not all of one address family",
        ));
    }
    Ok(family)
}

/// A range; `None` if it has all addresses and ports.
fn end_range(message: &v1::EndRange) -> Result<Option<EndRange>, Status> {
    let given = (
        ip(message.first.as_ref(), "first address of a range")?,
        ip(message.last.as_ref(), "last address of a range")?,
    );
    let ports = (
        port(message.first_port, "port")?,
        port(message.last_port, "port")?,
    );
    let (first, last) = given;
    if first.is_ipv4() != last.is_ipv4() || first > last || ports.0 > ports.1 {
        return Err(Status::invalid_argument(format!(
            "range {first}-{last}:{}-{}: the first must not be above the last",
            ports.0, ports.1
        )));
    }
    let all: (IpAddr, IpAddr) = if first.is_ipv4() {
        (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::from_bits(u32::MAX).into(),
        )
    } else {
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::from_bits(u128::MAX).into(),
        )
    };
    // DPVS writes a range that was not given as 0.0.0.0-0.0.0.0:0-0.
    let addrs = if last.is_unspecified() { all } else { given };
    let is_any = addrs == all && ports.1 == 0;
    Ok((!is_any).then_some(EndRange { addrs, ports }))
}

/// What a service matches, for answers; `None` if it has a VIP.
pub(super) fn message(key: &ServiceKey) -> Option<v1::Match> {
    let range = |range: &EndRange| v1::EndRange {
        first: Some(ip_message(range.addrs.0)),
        last: Some(ip_message(range.addrs.1)),
        first_port: range.ports.0.into(),
        last_port: range.ports.1.into(),
    };
    let device = |name: &Option<DeviceName>| {
        let name = name.as_ref().map(DeviceName::as_str);
        name.unwrap_or_default().to_owned()
    };
    let matcher = key.matcher.as_ref()?;
    let family = if key.addr.is_ipv4() {
        v1::Family::Inet
    } else {
        v1::Family::Inet6
    };
    Some(v1::Match {
        src: matcher.src.as_ref().map(range),
        dst: matcher.dst.as_ref().map(range),
        iif: device(&matcher.iif),
        oif: device(&matcher.oif),
        family: family.into(),
    })
}
