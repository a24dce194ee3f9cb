//! Single fields of messages to our own types and back: addresses, ports, prefixes, enums.

use std::net::IpAddr;

use inet::Prefix;
use packet::MacAddr;
use proto::v1;
use tonic::Status;

pub(in crate::api) fn ip(message: Option<&v1::IpAddress>, what: &str) -> Result<IpAddr, Status> {
    let bytes = message
        .map(|message| message.bytes.as_slice())
        .unwrap_or_default();
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map_err(|_| Status::invalid_argument(format!("{what}: give an IPv4 or IPv6 address")))
}

pub(in crate::api) fn optional_ip(
    message: Option<&v1::IpAddress>,
    what: &str,
) -> Result<Option<IpAddr>, Status> {
    message.map(|message| ip(Some(message), what)).transpose()
}

pub(in crate::api) fn ip_message(addr: IpAddr) -> v1::IpAddress {
    let bytes = match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    v1::IpAddress { bytes }
}

pub(in crate::api) fn mac(bytes: &[u8]) -> Result<MacAddr, Status> {
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

pub(in crate::api) fn port(port: u32, what: &str) -> Result<u16, Status> {
    u16::try_from(port)
        .map_err(|_| Status::invalid_argument(format!("{what} {port} is out of range: 0 to 65535")))
}

pub(in crate::api) fn prefix_len(len: u32, addr: IpAddr) -> Result<u8, Status> {
    let most = if addr.is_ipv4() { 32 } else { 128 };
    u8::try_from(len)
        .ok()
        .filter(|len| *len <= most)
        .ok_or_else(|| {
            Status::invalid_argument(format!("prefix length {len} is out of range: 0 to {most}"))
        })
}

/// The prefix of an address. Without a length it is the address alone, but for 0.0.0.0 and `::`,
/// which then stand for all addresses.
pub(in crate::api) fn prefix(addr: IpAddr, len: Option<u32>) -> Result<Prefix, Status> {
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
pub(in crate::api) fn known<E: TryFrom<i32>>(number: i32, field: &str) -> Result<E, Status> {
    E::try_from(number).map_err(|_| {
        Status::invalid_argument(format!(
            "unknown {field} {number}: expected one of the values in dpvsd's .proto files"
        ))
    })
}

/// Whether an address is of the family that was asked for.
pub(in crate::api) const fn is_of(family: v1::Family, addr: IpAddr) -> bool {
    match family {
        v1::Family::Any => true,
        v1::Family::Inet => addr.is_ipv4(),
        v1::Family::Inet6 => addr.is_ipv6(),
    }
}
