//! Addresses: from and to the messages of the API.

use std::net::IpAddr;

use proto::v1;

/// An address as a message of the API.
pub fn ip_message(addr: IpAddr) -> v1::IpAddress {
    let bytes = match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    v1::IpAddress { bytes }
}

/// The address in a message of the API; `None` if it has neither 4 nor 16 bytes.
pub fn ip(message: Option<&v1::IpAddress>) -> Option<IpAddr> {
    let bytes = message?.bytes.as_slice();
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// The address in a message of the API, or 0.0.0.0 if there is none.
pub fn ip_or_zero(message: Option<&v1::IpAddress>) -> IpAddr {
    ip(message).unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// The prefix length of a single host: 32 or 128.
pub const fn host_prefix_len(addr: IpAddr) -> u32 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// A MAC address with colons.
pub fn mac(bytes: &[u8]) -> String {
    let parts: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_they_went() {
        for text in ["10.0.0.100", "2001:db8::1"] {
            let addr: IpAddr = text.parse().unwrap();
            assert_eq!(ip(Some(&ip_message(addr))), Some(addr));
        }
        let bytes = vec![1, 2, 3];
        assert_eq!(ip(Some(&v1::IpAddress { bytes })), None);
        assert_eq!(ip_or_zero(None).to_string(), "0.0.0.0");
    }

    #[test]
    fn macs_have_colons() {
        assert_eq!(mac(&[2, 0, 0, 0, 0xab, 1]), "02:00:00:00:ab:01");
    }
}
