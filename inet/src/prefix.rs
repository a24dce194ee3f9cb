//! Prefixes: a network of IPv4 or IPv6.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::str::FromStr;

/// An address and how many of its leading bits count. The other bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

impl Prefix {
    /// `len` leading bits of `addr`; `None` if `len` is longer than the address.
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        let addr = match addr {
            IpAddr::V4(addr) if len <= 32 => IpAddr::V4(addr.to_bits().leading(len).into()),
            IpAddr::V6(addr) if len <= 128 => IpAddr::V6(addr.to_bits().leading(len).into()),
            _ => return None,
        };
        Some(Self { addr, len })
    }

    /// The prefix of this address alone.
    pub const fn host(addr: IpAddr) -> Self {
        Self {
            addr,
            len: if addr.is_ipv4() { 32 } else { 128 },
        }
    }

    /// The first address.
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The address within whose other bits are the lowest bits of `bits`.
    pub fn address_at(&self, bits: u64) -> IpAddr {
        match self.addr {
            IpAddr::V4(addr) => {
                let mask = u32::MAX.checked_shr(self.len.into()).unwrap_or(0);
                IpAddr::V4((addr.to_bits() | bits as u32 & mask).into())
            }
            IpAddr::V6(addr) => {
                let mask = u128::MAX.checked_shr(self.len.into()).unwrap_or(0);
                IpAddr::V6((addr.to_bits() | u128::from(bits) & mask).into())
            }
        }
    }

    /// Leading bits that count.
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }

    /// Whether `addr` is within.
    pub fn contains(&self, addr: IpAddr) -> bool {
        Self::new(addr, self.len).is_some_and(|prefix| prefix == *self)
    }
}

/// The text is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid prefix '{0}': expected e.g. 10.0.0.0/8")]
pub struct InvalidPrefix(pub String);

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    /// `10.0.0.0/8`, or an address alone, which is the prefix of that host. As with `ip route`,
    /// bits beyond the length do not count.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| InvalidPrefix(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Prefix> {
    let Some((addr, len)) = text.split_once('/') else {
        return text.parse().ok().map(Prefix::host);
    };
    // An integer's own parser would also take a sign.
    let has_only_digits = len.bytes().all(|digit| digit.is_ascii_digit());
    let len = len.parse().ok().filter(|_| has_only_digits)?;
    Prefix::new(addr.parse().ok()?, len)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// An address as a number, so that what is done for IPv4 and IPv6 is written once.
pub(crate) trait Bits: Copy + Eq + Hash {
    /// The first `len` bits; the others are zero.
    fn leading(self, len: u8) -> Self;
}

impl Bits for u32 {
    #[inline]
    fn leading(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
    }
}

impl Bits for u128 {
    #[inline]
    fn leading(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_keeps_its_leading_bits_only() {
        let prefix = Prefix::new("10.1.2.3".parse().unwrap(), 16).unwrap();
        assert_eq!(prefix.to_string(), "10.1.0.0/16");
        assert!(prefix.contains("10.1.255.255".parse().unwrap()));
        assert!(!prefix.contains("10.2.0.0".parse().unwrap()));
        assert_eq!(Prefix::new("10.0.0.0".parse().unwrap(), 33), None);
    }

    #[test]
    fn a_prefix_comes_back_from_its_text() {
        for text in [
            "10.1.0.0/16",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "::1/128",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        let parsed = |text: &str| text.parse::<Prefix>().unwrap().to_string();
        assert_eq!(parsed("10.1.2.3/16"), "10.1.0.0/16");
        assert_eq!(parsed("10.1.2.3"), "10.1.2.3/32");
        assert_eq!(parsed("2001:db8::1"), "2001:db8::1/128");
    }

    #[test]
    fn what_is_not_a_prefix_is_refused_with_an_example() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "a/8",
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(InvalidPrefix(text.to_owned())));
        }
        assert_eq!(
            "x".parse::<Prefix>().unwrap_err().to_string(),
            "invalid prefix 'x': expected e.g. 10.0.0.0/8"
        );
    }
}
