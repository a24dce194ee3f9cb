//! Messages of the API to our own types and back, each in one place.
//!
//! `field` has single fields, such as addresses and enums; `matcher` has match services.

pub(super) mod field;
mod matcher;

use inet::{Prefix, RouteScope};
use ipvs_core::{Encapsulation, FwdMode, Protocol, ServiceKey, TcpState, Timeouts};
use proto::v1;
use tonic::Status;

use self::field::{ip, ip_message, known, optional_ip, port, prefix_len};
use super::{options, scheduler};
use crate::desired::{AddressRequest, DestRequest, ServiceRequest, TimeoutsRequest};
use crate::telemetry::Counts;

/// The weight of a dest that is given none: ipvsadm's default.
const DEFAULT_WEIGHT: u32 = 1;
/// ipvsadm(8): 31 days.
const LONGEST_TIMEOUT_S: u32 = 31 * 24 * 3600;

pub(in crate::api) fn scope(scope: v1::Scope) -> Option<RouteScope> {
    match scope {
        v1::Scope::Unspecified => None,
        v1::Scope::Host => Some(RouteScope::Host),
        v1::Scope::KniHost => Some(RouteScope::KniHost),
        v1::Scope::Link => Some(RouteScope::Link),
        v1::Scope::Global | v1::Scope::Site => Some(RouteScope::Global),
    }
}

pub(in crate::api) fn scope_message(scope: RouteScope) -> v1::Scope {
    match scope {
        RouteScope::Host => v1::Scope::Host,
        RouteScope::KniHost => v1::Scope::KniHost,
        RouteScope::Link => v1::Scope::Link,
        RouteScope::Global => v1::Scope::Global,
    }
}

pub(in crate::api) fn address(message: &v1::Address) -> Result<AddressRequest, Status> {
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

pub(in crate::api) fn service_key(message: Option<&v1::ServiceKey>) -> Result<ServiceKey, Status> {
    let message =
        message.ok_or_else(|| Status::invalid_argument("name the service: give its `ServiceKey.protocol`, `ServiceKey.address` and `ServiceKey.port`, or its `ServiceKey.match`"))?;
    let protocol = match known(message.protocol, "protocol")? {
        v1::Protocol::Tcp => Protocol::Tcp,
        v1::Protocol::Udp => Protocol::Udp,
        v1::Protocol::Sctp => Protocol::Sctp,
        v1::Protocol::Icmp if message.r#match.is_some() => Protocol::Icmp,
        v1::Protocol::Icmpv6 if message.r#match.is_some() => Protocol::IcmpV6,
        v1::Protocol::Icmp | v1::Protocol::Icmpv6 => {
            return Err(Status::unimplemented(
                "ICMP services on a VIP are not supported yet: ICMP goes with `ServiceKey.match` (SNAT)",
            ));
        }
        v1::Protocol::Unspecified => {
            return Err(Status::invalid_argument(
                "name the protocol of the service (`ServiceKey.protocol`), such as `PROTOCOL_TCP`",
            ));
        }
    };
    match &message.r#match {
        Some(given) => matcher::service_key(protocol, given),
        None => Ok(ServiceKey::vip(
            protocol,
            ip(message.address.as_ref(), "VIP")?,
            port(message.port, "port")?,
        )),
    }
}

pub(in crate::api) fn optional_service_key(
    message: Option<&v1::ServiceKey>,
) -> Result<Option<ServiceKey>, Status> {
    message.map(|key| service_key(Some(key))).transpose()
}

pub(in crate::api) fn service_key_message(key: &ServiceKey) -> v1::ServiceKey {
    v1::ServiceKey {
        protocol: protocol_message(key.protocol).into(),
        address: Some(ip_message(key.addr)),
        port: key.port.into(),
        r#match: matcher::message(key),
    }
}

pub(in crate::api) const fn protocol_message(protocol: Protocol) -> v1::Protocol {
    match protocol {
        Protocol::Tcp => v1::Protocol::Tcp,
        Protocol::Udp => v1::Protocol::Udp,
        Protocol::Sctp => v1::Protocol::Sctp,
        Protocol::Icmp => v1::Protocol::Icmp,
        Protocol::IcmpV6 => v1::Protocol::Icmpv6,
    }
}

pub(in crate::api) fn service(message: &v1::VirtualService) -> Result<ServiceRequest, Status> {
    let key = service_key(message.key.as_ref())?;
    Ok(ServiceRequest {
        key,
        scheduler: scheduler::scheduler(message)?,
        options: options::options(message, &key)?,
    })
}

pub(in crate::api) fn dest(message: Option<&v1::Dest>) -> Result<DestRequest, Status> {
    let message = message.ok_or_else(|| {
        Status::invalid_argument("name the real server: give its `Dest.address` and `Dest.port`")
    })?;
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
        tunnel_spread: tunnel_spread(message)?,
        drain_s: Some(message.drain_s).filter(|secs| *secs > 0),
    })
}

fn fwdmode(message: &v1::Dest) -> Result<FwdMode, Status> {
    let later = |name| {
        Status::unimplemented(format!(
            "forwarding mode {name} is not supported yet: use `FWD_MODE_FULL_NAT` (FullNAT), `FWD_MODE_DR` (DR), `FWD_MODE_TUNNEL` (tunnel), `FWD_MODE_NAT` (NAT) or `FWD_MODE_SNAT` (SNAT)"
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

fn tunnel_spread(message: &v1::Dest) -> Result<Option<Prefix>, Status> {
    let Some(addr) = optional_ip(message.tunnel_spread.as_ref(), "tunnel spread")? else {
        return Ok(None);
    };
    let len = prefix_len(message.tunnel_spread_len, addr)?;
    Ok(Prefix::new(addr, len))
}

fn encapsulation(message: &v1::Dest) -> Result<Encapsulation, Status> {
    match known(message.tunnel_type, "tunnel_type")? {
        v1::TunnelType::Ipip => Ok(Encapsulation::IpIp),
        v1::TunnelType::Gre => Ok(Encapsulation::Gre),
        v1::TunnelType::Gue => match port(message.tunnel_port, "tunnel port")? {
            0 => Err(Status::invalid_argument(
                "a GUE tunnel needs the port that the real server listens on: `Dest.tunnel_port=6080`",
            )),
            port => Ok(Encapsulation::Gue(port)),
        },
    }
}

/// Mode, type and port of a tunnel, as the API carries them.
pub(in crate::api) const fn tunnel_message(fwdmode: FwdMode) -> (v1::TunnelType, u16) {
    match fwdmode {
        FwdMode::Tunnel(Encapsulation::Gre) => (v1::TunnelType::Gre, 0),
        FwdMode::Tunnel(Encapsulation::Gue(port)) => (v1::TunnelType::Gue, port),
        _ => (v1::TunnelType::Ipip, 0),
    }
}

pub(in crate::api) fn timeouts(message: v1::Timeouts) -> Result<TimeoutsRequest, Status> {
    let wanted = |secs: u32| match secs {
        0 => Ok(None),
        1..=LONGEST_TIMEOUT_S => Ok(Some(secs)),
        _ => Err(Status::invalid_argument(format!(
            "timeout {secs} is out of range: 1 to {LONGEST_TIMEOUT_S} seconds, or 0 to leave it as it is"
        ))),
    };
    Ok(TimeoutsRequest {
        tcp_s: wanted(message.tcp_s)?,
        tcp_fin_s: wanted(message.tcp_fin_s)?,
        udp_s: wanted(message.udp_s)?,
    })
}

pub(in crate::api) const fn timeouts_message(timeouts: &Timeouts) -> v1::Timeouts {
    v1::Timeouts {
        tcp_s: timeouts.tcp_s[TcpState::Established as usize],
        tcp_fin_s: timeouts.tcp_s[TcpState::FinWait as usize],
        udp_s: timeouts.udp_s,
    }
}

pub(in crate::api) const fn fwdmode_message(fwdmode: FwdMode) -> v1::FwdMode {
    match fwdmode {
        FwdMode::FullNat => v1::FwdMode::FullNat,
        FwdMode::Nat => v1::FwdMode::Nat,
        FwdMode::DirectRoute => v1::FwdMode::Dr,
        FwdMode::Tunnel(_) => v1::FwdMode::Tunnel,
        FwdMode::Snat => v1::FwdMode::Snat,
    }
}

pub(in crate::api) const fn counters_message(counts: &Counts) -> v1::Counters {
    v1::Counters {
        conns: counts.conns,
        in_packets: counts.in_packets,
        out_packets: counts.out_packets,
        in_bytes: counts.in_bytes,
        out_bytes: counts.out_bytes,
    }
}

pub(in crate::api) const fn rates_message(counts: &Counts) -> v1::Rates {
    v1::Rates {
        conns: counts.conns,
        in_packets: counts.in_packets,
        out_packets: counts.out_packets,
        in_bytes: counts.in_bytes,
        out_bytes: counts.out_bytes,
    }
}
