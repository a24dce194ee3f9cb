//! Names of protocols and endpoints.

use std::net::IpAddr;

use proto::v1::Protocol;

use crate::names::PortNames;

/// The name of a protocol in lower case: `tcp`.
pub(super) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::Icmp => "icmp",
        Protocol::Icmpv6 => "icmpv6",
        Protocol::Tcp | Protocol::Unspecified => "tcp",
    }
}

/// An endpoint with the name of its port, if it has one: `10.0.0.100:http`.
pub(super) fn named_endpoint(
    addr: IpAddr,
    protocol: Protocol,
    port: u32,
    names: &PortNames,
) -> String {
    let port = names.show(protocol, port);
    if addr.is_ipv4() {
        format!("{addr}:{port}")
    } else {
        format!("[{addr}]:{port}")
    }
}

/// An endpoint in numbers: `10.0.0.100:80`.
pub(super) fn endpoint(addr: IpAddr, port: u32) -> String {
    named_endpoint(addr, Protocol::Unspecified, port, &PortNames::default())
}
