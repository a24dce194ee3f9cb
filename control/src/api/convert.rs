//! Messages of the API to our own types and back, each in one place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inet::{Prefix, RouteScope};
use ipvs_core::{
    DeviceName, Encapsulation, EndRange, FwdMode, Match, Protocol, ServiceKey, TcpState, Timeouts,
};
use packet::MacAddr;
use proto::v1;
use tonic::Status;

use super::{options, scheduler};
use crate::desired::{AddressRequest, DestRequest, ServiceRequest};
use crate::telemetry::Counts;

/// The weight of a dest that is given none: ipvsadm's default.
const DEFAULT_WEIGHT: u32 = 1;
/// Conn timeouts are kept in 16 bits.
const LONGEST_TIMEOUT_S: u32 = 65_535;

pub(super) fn ip(message: Option<&v1::IpAddress>, what: &str) -> Result<IpAddr, Status> {
    let bytes = message
        .map(|message| message.bytes.as_slice())
        .unwrap_or_default();
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map_err(|_| Status::invalid_argument(format!("{what}: give an IPv4 or IPv6 address")))
}

pub(super) fn optional_ip(
    message: Option<&v1::IpAddress>,
    what: &str,
) -> Result<Option<IpAddr>, Status> {
    message.map(|message| ip(Some(message), what)).transpose()
}

pub(super) fn ip_message(addr: IpAddr) -> v1::IpAddress {
    let bytes = match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    v1::IpAddress { bytes }
}

pub(super) fn mac(bytes: &[u8]) -> Result<MacAddr, Status> {
    let mac = <[u8; 6]>::try_from(bytes).map(MacAddr).map_err(|_| {
        let len = bytes.len();
        Status::invalid_argument(format!(
            "invalid MAC address of {len} bytes: expected 6 bytes"
        ))
    })?;
    if mac.is_multicast() || mac == MacAddr::ZERO {
        return Err(Status::invalid_argument(format!(
            "invalid MAC address '{mac}': expected a unicast address, e.g. 02:00:00:00:00:01"
        )));
    }
    Ok(mac)
}

pub(super) fn port(port: u32, what: &str) -> Result<u16, Status> {
    u16::try_from(port)
        .map_err(|_| Status::invalid_argument(format!("{what} {port} is out of range: 0 to 65535")))
}

pub(super) fn prefix_len(len: u32, addr: IpAddr) -> Result<u8, Status> {
    let most = if addr.is_ipv4() { 32 } else { 128 };
    u8::try_from(len)
        .ok()
        .filter(|len| *len <= most)
        .ok_or_else(|| {
            Status::invalid_argument(format!("prefix length {len} is out of range: 0 to {most}"))
        })
}

/// The prefix of an address. Without a length it is the address alone, but for 0.0.0.0 and `::`, which
/// then stand for all addresses.
pub(super) fn prefix(addr: IpAddr, len: Option<u32>) -> Result<Prefix, Status> {
    let len = match len {
        Some(len) => prefix_len(len, addr)?,
        None if addr.is_unspecified() => 0,
        None => Prefix::host(addr).prefix_len(),
    };
    Prefix::new(addr, len).ok_or_else(|| {
        Status::invalid_argument(format!(
            "invalid prefix '{addr}/{len}': expected e.g. 10.0.0.0/8"
        ))
    })
}

/// The value of an enum field.
///
/// # Errors
/// If it is a number of a later version. Its default would be something else than what was asked.
pub(super) fn known<E: TryFrom<i32>>(number: i32, field: &str) -> Result<E, Status> {
    E::try_from(number).map_err(|_| {
        Status::invalid_argument(format!(
            "unknown {field} {number}: expected one of the values in dpvsd's .proto files"
        ))
    })
}

pub(super) fn scope(scope: v1::Scope) -> Option<RouteScope> {
    match scope {
        v1::Scope::Unspecified => None,
        v1::Scope::Host => Some(RouteScope::Host),
        v1::Scope::KniHost => Some(RouteScope::KniHost),
        v1::Scope::Link => Some(RouteScope::Link),
        v1::Scope::Global | v1::Scope::Site => Some(RouteScope::Global),
    }
}

pub(super) fn scope_message(scope: RouteScope) -> v1::Scope {
    match scope {
        RouteScope::Host => v1::Scope::Host,
        RouteScope::KniHost => v1::Scope::KniHost,
        RouteScope::Link => v1::Scope::Link,
        RouteScope::Global => v1::Scope::Global,
    }
}

pub(super) fn address(message: &v1::Address) -> Result<AddressRequest, Status> {
    let addr = ip(message.address.as_ref(), "address")?;
    if message.valid_lft != 0 || message.preferred_lft != 0 {
        return Err(Status::unimplemented(
            "a lifetime other than forever is not supported yet",
        ));
    }
    Ok(AddressRequest {
        addr,
        prefix_len: prefix_len(message.prefix_len, addr)?,
        device: message.device.clone(),
        broadcast: optional_ip(message.broadcast.as_ref(), "broadcast")?,
        scope: scope(known(message.scope, "scope")?).unwrap_or(RouteScope::Global),
        sapool: message.sapool,
    })
}

pub(super) fn service_key(message: Option<&v1::ServiceKey>) -> Result<ServiceKey, Status> {
    let message =
        message.ok_or_else(|| Status::invalid_argument("name the service: -t or -u VIP:PORT"))?;
    let protocol = match known(message.protocol, "protocol")? {
        v1::Protocol::Tcp => Protocol::Tcp,
        v1::Protocol::Udp => Protocol::Udp,
        v1::Protocol::Sctp => Protocol::Sctp,
        v1::Protocol::Icmp if message.r#match.is_some() => Protocol::Icmp,
        v1::Protocol::Icmpv6 if message.r#match.is_some() => Protocol::IcmpV6,
        v1::Protocol::Icmp | v1::Protocol::Icmpv6 => {
            return Err(Status::unimplemented(
                "ICMP services on a VIP are not supported yet: ICMP goes with -H (SNAT)",
            ));
        }
        v1::Protocol::Unspecified => {
            return Err(Status::invalid_argument(
                "the service's protocol must be TCP or UDP",
            ));
        }
    };
    match &message.r#match {
        Some(given) => {
            let matcher = matcher(given)?;
            let any = if is_ipv6(protocol, &matcher) {
                Ipv6Addr::UNSPECIFIED.into()
            } else {
                Ipv4Addr::UNSPECIFIED.into()
            };
            Ok(ServiceKey {
                matcher: Some(matcher),
                ..ServiceKey::vip(protocol, any, 0)
            })
        }
        None => Ok(ServiceKey::vip(
            protocol,
            ip(message.address.as_ref(), "VIP")?,
            port(message.port, "port")?,
        )),
    }
}

/// Whether the ranges of a match service are of IPv6.
fn is_ipv6(protocol: Protocol, matcher: &Match) -> bool {
    let ranges = [&matcher.src, &matcher.dst];
    let mut ranges = ranges.into_iter().flatten();
    protocol == Protocol::IcmpV6 || ranges.any(|range| range.addrs.0.is_ipv6())
}

fn matcher(message: &v1::Match) -> Result<Match, Status> {
    let device = |name: &str| match name {
        "" => Ok(None),
        name => DeviceName::new(name).map(Some).ok_or_else(|| {
            Status::invalid_argument(format!("'{name}' is too long for a device's name"))
        }),
    };
    Ok(Match {
        src: message.src.as_ref().map(end_range).transpose()?,
        dst: message.dst.as_ref().map(end_range).transpose()?,
        iif: device(&message.iif)?,
        oif: device(&message.oif)?,
    })
}

fn end_range(message: &v1::EndRange) -> Result<EndRange, Status> {
    let addrs = (
        ip(message.first.as_ref(), "first address of a range")?,
        ip(message.last.as_ref(), "last address of a range")?,
    );
    let ports = (
        port(message.first_port, "port")?,
        port(message.last_port, "port")?,
    );
    if addrs.0.is_ipv4() != addrs.1.is_ipv4() || addrs.0 > addrs.1 || ports.0 > ports.1 {
        return Err(Status::invalid_argument(format!(
            "range {}-{}:{}-{}: the first must not be above the last",
            addrs.0, addrs.1, ports.0, ports.1
        )));
    }
    Ok(EndRange { addrs, ports })
}

fn match_message(matcher: &Match) -> v1::Match {
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
    v1::Match {
        src: matcher.src.as_ref().map(range),
        dst: matcher.dst.as_ref().map(range),
        iif: device(&matcher.iif),
        oif: device(&matcher.oif),
    }
}

pub(super) fn optional_service_key(
    message: Option<&v1::ServiceKey>,
) -> Result<Option<ServiceKey>, Status> {
    message.map(|key| service_key(Some(key))).transpose()
}

pub(super) fn service_key_message(key: &ServiceKey) -> v1::ServiceKey {
    v1::ServiceKey {
        protocol: protocol_message(key.protocol).into(),
        address: Some(ip_message(key.addr)),
        port: key.port.into(),
        r#match: key.matcher.as_ref().map(match_message),
    }
}

pub(super) const fn protocol_message(protocol: Protocol) -> v1::Protocol {
    match protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
        Protocol::Sctp => v1::Protocol::Sctp,
        Protocol::Icmp => v1::Protocol::Icmp,
        Protocol::IcmpV6 => v1::Protocol::Icmpv6,
    }
}

pub(super) fn service(message: &v1::VirtualService) -> Result<ServiceRequest, Status> {
    let key = service_key(message.key.as_ref())?;
    Ok(ServiceRequest {
        key,
        scheduler: scheduler::scheduler(message)?,
        options: options::options(message, &key)?,
    })
}

pub(super) fn dest(message: Option<&v1::Dest>) -> Result<DestRequest, Status> {
    let message =
        message.ok_or_else(|| Status::invalid_argument("name the real server: -r RIP:PORT"))?;
    let fwdmode = fwdmode(message)?;
    let weight = message.weight.unwrap_or(DEFAULT_WEIGHT);
    let weight = u16::try_from(weight).map_err(|_| {
        Status::invalid_argument(format!("weight {weight} is out of range: 0 to 65535"))
    })?;
    Ok(DestRequest {
        addr: ip(message.address.as_ref(), "real server")?,
        port: port(message.port, "port")?,
        fwdmode,
        weight,
        upper_threshold: message.upper_threshold,
        lower_threshold: message.lower_threshold,
        drain_s: Some(message.drain_s).filter(|secs| *secs > 0),
    })
}

fn fwdmode(message: &v1::Dest) -> Result<FwdMode, Status> {
    let later = |name| {
        Status::unimplemented(format!(
            "forwarding mode {name} is not supported yet: use -b (FullNAT), -g (DR), -i (tunnel), -m (NAT) or -J (SNAT)"
        ))
    };
    Ok(match known(message.fwd_mode, "fwd_mode")? {
        v1::FwdMode::FullNat => FwdMode::FullNat,
        v1::FwdMode::Dr | v1::FwdMode::Unspecified => FwdMode::DirectRoute,
        v1::FwdMode::Nat => FwdMode::Nat,
        v1::FwdMode::Tunnel => FwdMode::Tunnel(encapsulation(message)?),
        v1::FwdMode::Snat => FwdMode::Snat,
        v1::FwdMode::Local => return Err(later("local")),
    })
}

fn encapsulation(message: &v1::Dest) -> Result<Encapsulation, Status> {
    match known(message.tunnel_type, "tunnel_type")? {
        v1::TunnelType::Ipip => Ok(Encapsulation::IpIp),
        v1::TunnelType::Gre => Ok(Encapsulation::Gre),
        v1::TunnelType::Gue => match port(message.tunnel_port, "tunnel port")? {
            0 => Err(Status::invalid_argument(
                "a GUE tunnel needs the port that the real server listens on: --tun-port 6080",
            )),
            port => Ok(Encapsulation::Gue(port)),
        },
    }
}

/// Mode, type and port of a tunnel, as the API carries them.
pub(super) const fn tunnel_message(fwdmode: FwdMode) -> (v1::TunnelType, u16) {
    match fwdmode {
        FwdMode::Tunnel(Encapsulation::Gre) => (v1::TunnelType::Gre, 0),
        FwdMode::Tunnel(Encapsulation::Gue(port)) => (v1::TunnelType::Gue, port),
        _ => (v1::TunnelType::Ipip, 0),
    }
}

pub(super) fn check_timeouts(wanted: &v1::Timeouts) -> Result<(), Status> {
    let all = [wanted.tcp_s, wanted.tcp_fin_s, wanted.udp_s];
    match all.into_iter().find(|secs| *secs > LONGEST_TIMEOUT_S) {
        Some(secs) => Err(Status::invalid_argument(format!(
            "timeout {secs} is out of range: 1 to {LONGEST_TIMEOUT_S} seconds, or 0 to leave it as it is"
        ))),
        None => Ok(()),
    }
}

pub(super) const fn timeouts_message(timeouts: &Timeouts) -> v1::Timeouts {
    v1::Timeouts {
        tcp_s: timeouts.tcp_s[TcpState::Established as usize],
        tcp_fin_s: timeouts.tcp_s[TcpState::FinWait as usize],
        udp_s: timeouts.udp_s,
    }
}

pub(super) const fn fwdmode_message(fwdmode: FwdMode) -> v1::FwdMode {
    match fwdmode {
        FwdMode::FullNat => v1::FwdMode::FullNat,
        FwdMode::Nat => v1::FwdMode::Nat,
        FwdMode::DirectRoute => v1::FwdMode::Dr,
        FwdMode::Tunnel(_) => v1::FwdMode::Tunnel,
        FwdMode::Snat => v1::FwdMode::Snat,
    }
}

pub(super) const fn counters_message(counts: &Counts) -> v1::Counters {
    v1::Counters {
        conns: counts.conns,
        in_packets: counts.in_packets,
        out_packets: counts.out_packets,
        in_bytes: counts.in_bytes,
        out_bytes: counts.out_bytes,
    }
}

pub(super) const fn rates_message(counts: &Counts) -> v1::Rates {
    v1::Rates {
        conns: counts.conns,
        in_packets: counts.in_packets,
        out_packets: counts.out_packets,
        in_bytes: counts.in_bytes,
        out_bytes: counts.out_bytes,
    }
}

/// Whether an address is of the family that was asked for.
pub(super) const fn is_of(family: v1::Family, addr: IpAddr) -> bool {
    match family {
        v1::Family::Any => true,
        v1::Family::Inet => addr.is_ipv4(),
        v1::Family::Inet6 => addr.is_ipv6(),
    }
}
