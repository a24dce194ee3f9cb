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

/// Why a word is not an address with or without a prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The address is wrong.
    #[error("invalid IP address '{0}': expected e.g. 10.0.0.1 or 2001:db8::1")]
    Addr(String),
    /// The length is not a number, or too long for the address.
    #[error("invalid prefix length in '{word}': expected 0 to {most}")]
    Len {
        /// The whole word
        word: String,
        /// Length of a host's prefix
        most: u32,
    },
}

/// Parses an address.
///
/// # Errors
///
/// If it is not one.
pub fn parse_addr(word: &str) -> Result<IpAddr, PrefixError> {
    word.parse().map_err(|_| PrefixError::Addr(word.to_owned()))
}

/// Parses an address with or without a prefix length. Without one it is the length of a host.
///
/// # Errors
///
/// If the address is wrong, or the length is not one of its family.
pub fn parse_prefix(word: &str) -> Result<(IpAddr, u32), PrefixError> {
    let (addr, len) = match word.split_once('/') {
        Some((addr, len)) => (parse_addr(addr)?, Some(len)),
        None => (parse_addr(word)?, None),
    };
    let most = host_prefix_len(addr);
    let Some(len) = len else {
        return Ok((addr, most));
    };
    let in_range = len.parse().ok().filter(|len| *len <= most);
    let too_long = || PrefixError::Len {
        word: word.to_owned(),
        most,
    };
    Ok((addr, in_range.ok_or_else(too_long)?))
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
    fn prefixes_have_a_length_in_range() {
        let text = |word| parse_prefix(word).map(|(addr, len)| format!("{addr}/{len}"));
        assert_eq!(text("10.0.0.1").unwrap(), "10.0.0.1/32");
        assert_eq!(text("2001:db8::1").unwrap(), "2001:db8::1/128");
        assert_eq!(text("0.0.0.0/0").unwrap(), "0.0.0.0/0");
        for wrong in [
            "10.0.0.1/33",
            "10.0.0.1/-1",
            "10.0.0.1/",
            "10.0.0/8",
            "10.0.0.256",
            "::1/129",
            "/24",
        ] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn macs_have_colons() {
        assert_eq!(mac(&[2, 0, 0, 0, 0xab, 1]), "02:00:00:00:ab:01");
    }
}
