//! IPv4 addresses inside IPv6 addresses, as NAT64 has them: RFC 6052.

use core::net::{Ipv4Addr, Ipv6Addr};

/// The prefix of IPv6 addresses that have an IPv4 address inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat64Prefix {
    octets: [u8; 16],
    /// Bytes of the prefix: 4, 5, 6, 7, 8 or 12
    len: usize,
}

/// Why a prefix cannot be a NAT64 prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nat64PrefixError {
    /// A length that RFC 6052, 2.2 does not have
    #[error("a NAT64 prefix has 32, 40, 48, 56, 64 or 96 bits (RFC 6052), not {0}")]
    Length(u8),
    /// Bits are set beyond the length, or in the byte that must be zero (RFC 6052, 2.2).
    #[error(
        "{addr} has bits set beyond /{len}, or among bits 64 to 71, \
         which are zero in every NAT64 prefix (RFC 6052)"
    )]
    HostBits {
        /// The address, as it was given
        addr: Ipv6Addr,
        /// Bits of the prefix
        len: u8,
    },
    /// Multicast, or a range that IPv6 reserves
    #[error("{0} cannot be a NAT64 prefix: use 64:ff9b::/96, or a prefix of your own network")]
    NotUnicast(Ipv6Addr),
}

impl Nat64Prefix {
    /// `64:ff9b::/96`: RFC 6052, 2.1.
    pub const WELL_KNOWN: Self = Self {
        octets: [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        len: 12,
    };
    /// The byte that is always zero: RFC 6052, 2.2.
    const RESERVED: usize = 8;

    /// A prefix of `len` bits.
    ///
    /// # Errors
    /// If RFC 6052 does not allow the prefix.
    pub fn new(addr: Ipv6Addr, len: u8) -> Result<Self, Nat64PrefixError> {
        if !matches!(len, 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(Nat64PrefixError::Length(len));
        }
        let prefix = Self {
            octets: addr.octets(),
            len: usize::from(len / 8),
        };
        let is_clear = prefix.octets[prefix.len..].iter().all(|&byte| byte == 0);
        if !is_clear || prefix.octets[Self::RESERVED] != 0 {
            return Err(Nat64PrefixError::HostBits { addr, len });
        }
        // ::/32 has the unspecified address, loopback and the IPv4-mapped addresses.
        if addr.is_multicast() || prefix.octets[..4] == [0; 4] {
            return Err(Nat64PrefixError::NotUnicast(addr));
        }
        Ok(prefix)
    }

    /// The IPv6 address that has this IPv4 address inside.
    pub fn embed(&self, addr: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.octets;
        for (place, byte) in self.places().into_iter().zip(addr.octets()) {
            octets[place] = byte;
        }
        octets.into()
    }

    /// The IPv4 address inside an IPv6 address. `None` if that has another prefix. The bits behind
    /// the IPv4 address are ignored (RFC 6052, 2.2).
    pub fn extract(&self, addr: Ipv6Addr) -> Option<Ipv4Addr> {
        let octets = addr.octets();
        let is_ours = octets[..self.len] == self.octets[..self.len] && octets[Self::RESERVED] == 0;
        is_ours.then(|| self.places().map(|place| octets[place]).into())
    }

    /// Where the four bytes of the IPv4 address are.
    fn places(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|byte| {
            let place = self.len + byte;
            let is_beyond = self.len <= Self::RESERVED && place >= Self::RESERVED;
            place + usize::from(is_beyond)
        })
    }
}

impl Default for Nat64Prefix {
    fn default() -> Self {
        Self::WELL_KNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// The tables of RFC 6052, 2.4.
    #[test]
    fn addresses_stand_where_rfc_6052_puts_them() {
        let table = [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::", 96, "64:ff9b::192.0.2.33"),
        ];
        let addr = Ipv4Addr::new(192, 0, 2, 33);
        for (prefix, len, embedded) in table {
            let prefix = Nat64Prefix::new(v6(prefix), len).unwrap();
            assert_eq!(prefix.embed(addr), v6(embedded));
            assert_eq!(prefix.extract(v6(embedded)), Some(addr));
        }
        assert_eq!(
            Nat64Prefix::default(),
            Nat64Prefix::new(v6("64:ff9b::"), 96).unwrap()
        );
    }

    #[test]
    fn others_addresses_are_not_taken_apart() {
        let prefix = Nat64Prefix::new(v6("2001:db8:122::"), 48).unwrap();
        assert_eq!(prefix.extract(v6("2001:db8:123:c000:2:2100::")), None);
        assert_eq!(prefix.extract(v6("2001:db8:122:c000:102:2100::")), None);
        let suffixed = v6("2001:db8:122:c000:2:2100:0:1");
        assert_eq!(prefix.extract(suffixed), Some(Ipv4Addr::new(192, 0, 2, 33)));
        assert_eq!(
            Nat64Prefix::default().extract(v6("64:ff9b:1::1.2.3.4")),
            None
        );
    }

    #[test]
    fn what_rfc_6052_does_not_allow_is_refused() {
        let new = |addr, len| Nat64Prefix::new(v6(addr), len).unwrap_err();
        assert_eq!(new("64:ff9b::", 80), Nat64PrefixError::Length(80));
        for (addr, len) in [
            ("2001:db8::1", 96),
            ("2001:db8:0:0:100::", 96),
            ("2001:db8:1::", 32),
        ] {
            let addr_of = v6(addr);
            assert_eq!(
                new(addr, len),
                Nat64PrefixError::HostBits { addr: addr_of, len }
            );
        }
        for addr in ["::", "ff0e::", "::ffff:0:0"] {
            assert_eq!(new(addr, 96), Nat64PrefixError::NotUnicast(v6(addr)));
        }
    }
}
