//! Names of protocols and endpoints.

use std::net::IpAddr;

use proto::v1::Protocol;

use crate::names::PortNames;

/// `tcp`
pub const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
        Protocol::Icmp => "icmp",
        Protocol::Icmpv6 => "icmpv6",
        Protocol::Tcp | Protocol::Unspecified => "tcp",
    }
}

/// `10.0.0.100:http`
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

/// `10.0.0.100:80`
pub fn endpoint(addr: IpAddr, port: u32) -> String {
    named_endpoint(addr, Protocol::Unspecified, port, &PortNames::default())
}
