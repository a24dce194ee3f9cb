//! ICMP errors translated into ICMPv6 and back: RFC 7915, 4.2 and 5.2.

use crate::icmp::{v4, v6};
use crate::ip::ipv6;

/// Bytes by which an IPv6 header is longer than an IPv4 header.
const LONGER: u32 = 20;
/// Where an IPv6 header has the number of the next header: RFC 8200, 3.
const NEXT_HEADER_AT: u32 = 6;

/// Type, code and the four bytes after the checksum of an ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Type
    pub kind: u8,
    /// Code
    pub code: u8,
    /// MTU, pointer, or nothing
    pub rest: u32,
}

impl IcmpError {
    const fn new(kind: u8, code: u8, rest: u32) -> Self {
        Self { kind, code, rest }
    }

    /// What an error of ICMP says in ICMPv6. `None` if nothing there says it: RFC 7915, 4.2.
    /// `quoted_len` is the length of the packet that it is about. `mtus` are those of the links to
    /// the IPv4 and to the IPv6 side.
    pub fn to_v6(self, quoted_len: u16, mtus: (u16, u16)) -> Option<Self> {
        match (self.kind, self.code) {
            // Codes 6 to 8, 11 and 12 are other ways to say that there is no route: RFC 1122,
            // 3.2.2.1.
            (
                v4::DEST_UNREACHABLE,
                v4::CODE_NET | v4::CODE_HOST | v4::CODE_SOURCE_ROUTE_FAILED | 6..=8 | 11 | 12,
            ) => Some(Self::new(v6::DEST_UNREACHABLE, v6::CODE_NO_ROUTE, 0)),
            // The protocol above is what the next header field says.
            (v4::DEST_UNREACHABLE, v4::CODE_PROTOCOL) => Some(Self::new(
                v6::PARAMETER_PROBLEM,
                v6::CODE_UNKNOWN_NEXT_HEADER,
                NEXT_HEADER_AT,
            )),
            (v4::DEST_UNREACHABLE, v4::CODE_PORT) => {
                Some(Self::new(v6::DEST_UNREACHABLE, v6::CODE_PORT, 0))
            }
            (v4::DEST_UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED) => {
                let told = match self.rest & 0xffff {
                    0 => plateau_below(quoted_len),
                    mtu => mtu,
                };
                let mtu = (told + LONGER)
                    .min(u32::from(mtus.0) + LONGER)
                    .min(mtus.1.into());
                Some(Self::new(
                    v6::PACKET_TOO_BIG,
                    0,
                    mtu.max(ipv6::LEAST_MTU.into()),
                ))
            }
            // Code 15 says that the precedence is too low: RFC 1812, 5.2.7.1.
            (
                v4::DEST_UNREACHABLE,
                v4::CODE_NET_PROHIBITED | v4::CODE_HOST_PROHIBITED | v4::CODE_PROHIBITED | 15,
            ) => Some(Self::new(v6::DEST_UNREACHABLE, v6::CODE_PROHIBITED, 0)),
            (v4::TIME_EXCEEDED, code) => Some(Self::new(v6::TIME_EXCEEDED, code, 0)),
            (v4::PARAMETER_PROBLEM, 0 | 2) => pointer_to_v6(self.rest >> 24)
                .map(|at| Self::new(v6::PARAMETER_PROBLEM, v6::CODE_ERRONEOUS_FIELD, at)),
            _ => None,
        }
    }

    /// What an error of ICMPv6 says in ICMP. `None` if nothing there says it: RFC 7915, 5.2. `mtus`
    /// are those of the links to the IPv6 and to the IPv4 side.
    pub fn to_v4(self, mtus: (u16, u16)) -> Option<Self> {
        let unreachable = |code| Some(Self::new(v4::DEST_UNREACHABLE, code, 0));
        match (self.kind, self.code) {
            // Code 2 says beyond the scope of the source address: RFC 4443, 3.1.
            (v6::DEST_UNREACHABLE, v6::CODE_NO_ROUTE | 2 | v6::CODE_ADDRESS) => {
                unreachable(v4::CODE_HOST)
            }
            (v6::DEST_UNREACHABLE, v6::CODE_PROHIBITED) => unreachable(v4::CODE_HOST_PROHIBITED),
            (v6::DEST_UNREACHABLE, v6::CODE_PORT) => unreachable(v4::CODE_PORT),
            (v6::PACKET_TOO_BIG, _) => {
                let mtu = self
                    .rest
                    .min(mtus.0.into())
                    .saturating_sub(LONGER)
                    .min(mtus.1.into());
                let code = v4::CODE_FRAGMENTATION_NEEDED;
                Some(Self::new(v4::DEST_UNREACHABLE, code, mtu))
            }
            (v6::TIME_EXCEEDED, code) => Some(Self::new(v4::TIME_EXCEEDED, code, 0)),
            (v6::PARAMETER_PROBLEM, v6::CODE_ERRONEOUS_FIELD) => {
                pointer_to_v4(self.rest).map(|at| Self::new(v4::PARAMETER_PROBLEM, 0, at << 24))
            }
            (v6::PARAMETER_PROBLEM, v6::CODE_UNKNOWN_NEXT_HEADER) => unreachable(v4::CODE_PROTOCOL),
            _ => None,
        }
    }
}

/// The MTU of a link that did not take a packet of this length, from a router that did not tell it:
/// the next lower plateau of RFC 1191, 7.1.
fn plateau_below(len: u16) -> u32 {
    const PLATEAUS: [u16; 10] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];
    let below = PLATEAUS.into_iter().find(|plateau| *plateau < len);
    below.unwrap_or(68).into()
}

/// Offset of a field of the IPv4 header, in the IPv6 header: RFC 7915, figure 3.
const fn pointer_to_v6(at: u32) -> Option<u32> {
    match at {
        0 | 1 => Some(at),
        2 | 3 => Some(4),
        8 => Some(7),
        9 => Some(6),
        12..=15 => Some(8),
        16..=19 => Some(24),
        _ => None,
    }
}

/// Offset of a field of the IPv6 header, in the IPv4 header: RFC 7915, figure 6.
const fn pointer_to_v4(at: u32) -> Option<u32> {
    match at {
        0 | 1 => Some(at),
        4 | 5 => Some(2),
        6 => Some(9),
        7 => Some(8),
        8..=23 => Some(12),
        24..=39 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The links on both sides.
    const LINKS: (u16, u16) = (1500, 1500);

    /// RFC 7915, 4.2: the least of what the router says, the IPv6 link, and the IPv4 link, each in
    /// bytes of IPv6. A router that says nothing (RFC 1191, 5) means the next lower plateau.
    #[test]
    fn the_mtu_is_the_least_on_the_way() {
        let mtu = |told, quoted_len, links| {
            let error = IcmpError::new(3, 4, told).to_v6(quoted_len, links);
            error.map(|error| error.rest)
        };
        assert_eq!(mtu(1500, 1500, (9000, 1500)), Some(1500));
        assert_eq!(mtu(1480, 1500, (1300, 1500)), Some(1320));
        assert_eq!(mtu(0, 1500, LINKS), Some(1500), "1492 and 20");
        assert_eq!(mtu(0, 1492, LINKS), Some(1280), "1006 and 20 are too few");
        assert_eq!(mtu(0, 9000, (9000, 9000)), Some(8186));
        let to_v4 = |told, links| {
            IcmpError::new(2, 0, told)
                .to_v4(links)
                .map(|error| error.rest)
        };
        assert_eq!(to_v4(1500, (1500, 1500)), Some(1480));
        assert_eq!(to_v4(9000, (1400, 9000)), Some(1380));
        assert_eq!(to_v4(9000, (9000, 1300)), Some(1300));
    }

    /// RFC 7915, 4.2, row by row
    #[test]
    fn from_icmp() {
        for ((kind, code, rest), expected) in [
            ((3, 0, 0), Some((1, 0, 0))),
            ((3, 1, 0), Some((1, 0, 0))),
            ((3, 2, 0), Some((4, 1, 6))),
            ((3, 3, 0), Some((1, 4, 0))),
            ((3, 4, 1400), Some((2, 0, 1420))),
            ((3, 4, 576), Some((2, 0, 1280))),
            ((3, 5, 0), Some((1, 0, 0))),
            ((3, 8, 0), Some((1, 0, 0))),
            ((3, 9, 0), Some((1, 1, 0))),
            ((3, 10, 0), Some((1, 1, 0))),
            ((3, 12, 0), Some((1, 0, 0))),
            ((3, 13, 0), Some((1, 1, 0))),
            ((3, 14, 0), None),
            ((3, 15, 0), Some((1, 1, 0))),
            ((11, 1, 0), Some((3, 1, 0))),
            ((12, 0, 9 << 24), Some((4, 0, 6))),
            ((12, 2, 16 << 24), Some((4, 0, 24))),
            ((12, 0, 4 << 24), None),
            ((12, 1, 0), None),
            ((5, 0, 0), None),
            ((4, 0, 0), None),
        ] {
            let expected = expected.map(|(kind, code, rest)| IcmpError::new(kind, code, rest));
            assert_eq!(
                IcmpError::new(kind, code, rest).to_v6(1500, LINKS),
                expected,
                "{kind}/{code}"
            );
        }
    }

    /// RFC 7915, 5.2, row by row
    #[test]
    fn from_icmpv6() {
        for ((kind, code, rest), expected) in [
            ((1, 0, 0), Some((3, 1, 0))),
            ((1, 1, 0), Some((3, 10, 0))),
            ((1, 2, 0), Some((3, 1, 0))),
            ((1, 3, 0), Some((3, 1, 0))),
            ((1, 4, 0), Some((3, 3, 0))),
            ((2, 0, 1420), Some((3, 4, 1400))),
            ((3, 0, 0), Some((11, 0, 0))),
            ((4, 0, 6), Some((12, 0, 9 << 24))),
            ((4, 0, 30), Some((12, 0, 16 << 24))),
            ((4, 0, 2), None),
            ((4, 1, 0), Some((3, 2, 0))),
            ((4, 2, 0), None),
            ((100, 0, 0), None),
        ] {
            let expected = expected.map(|(kind, code, rest)| IcmpError::new(kind, code, rest));
            assert_eq!(
                IcmpError::new(kind, code, rest).to_v4(LINKS),
                expected,
                "{kind}/{code}"
            );
        }
    }
}
