//! What an ICMP error becomes in the other family: RFC 7915, 4.2 and 5.2.

/// By how much an IPv6 header is longer than an IPv4 header.
const LONGER: u32 = 20;
/// RFC 8200, 5
const LEAST_IPV6_MTU: u32 = 1280;

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

    /// What an error of ICMP says in ICMPv6; `None` if nothing there does: RFC 7915, 4.2.
    pub fn to_v6(self) -> Option<Self> {
        const DEST_UNREACHABLE: u8 = 3;
        const TIME_EXCEEDED: u8 = 11;
        const PARAMETER_PROBLEM: u8 = 12;
        match (self.kind, self.code) {
            (DEST_UNREACHABLE, 0 | 1 | 5..=8 | 11 | 12) => Some(Self::new(1, 0, 0)),
            // The protocol above is what the next header field says.
            (DEST_UNREACHABLE, 2) => Some(Self::new(4, 1, 6)),
            (DEST_UNREACHABLE, 3) => Some(Self::new(1, 4, 0)),
            (DEST_UNREACHABLE, 4) => {
                let mtu = (self.rest & 0xffff) + LONGER;
                Some(Self::new(2, 0, mtu.max(LEAST_IPV6_MTU)))
            }
            (DEST_UNREACHABLE, 9 | 10 | 13 | 15) => Some(Self::new(1, 1, 0)),
            (TIME_EXCEEDED, code) => Some(Self::new(3, code, 0)),
            (PARAMETER_PROBLEM, 0 | 2) => {
                pointer_to_v6(self.rest >> 24).map(|at| Self::new(4, 0, at))
            }
            _ => None,
        }
    }

    /// What an error of ICMPv6 says in ICMP; `None` if nothing there does: RFC 7915, 5.2.
    pub fn to_v4(self) -> Option<Self> {
        const DEST_UNREACHABLE: u8 = 1;
        const PACKET_TOO_BIG: u8 = 2;
        const TIME_EXCEEDED: u8 = 3;
        const PARAMETER_PROBLEM: u8 = 4;
        match (self.kind, self.code) {
            (DEST_UNREACHABLE, 0 | 2 | 3) => Some(Self::new(3, 1, 0)),
            (DEST_UNREACHABLE, 1) => Some(Self::new(3, 10, 0)),
            (DEST_UNREACHABLE, 4) => Some(Self::new(3, 3, 0)),
            (PACKET_TOO_BIG, _) => {
                let mtu = self.rest.saturating_sub(LONGER).min(0xffff);
                Some(Self::new(3, 4, mtu))
            }
            (TIME_EXCEEDED, code) => Some(Self::new(11, code, 0)),
            (PARAMETER_PROBLEM, 0) => pointer_to_v4(self.rest).map(|at| Self::new(12, 0, at << 24)),
            (PARAMETER_PROBLEM, 1) => Some(Self::new(3, 2, 0)),
            _ => None,
        }
    }
}

/// RFC 7915, figure 3
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

/// RFC 7915, figure 6
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
                IcmpError::new(kind, code, rest).to_v6(),
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
                IcmpError::new(kind, code, rest).to_v4(),
                expected,
                "{kind}/{code}"
            );
        }
    }
}
