//! The header that all messages of ICMP (RFC 792) and ICMPv6 (RFC 4443) have, and the types and
//! codes of those messages that the director knows.

use crate::checksum::Delta;
use crate::field::{put, u16_at};

/// Bytes of the header: type, code, checksum, and four bytes whose meaning the type decides.
pub const HEADER_LEN: usize = 8;

/// Where the header has the type.
pub const TYPE_AT: usize = 0;
/// Where the header has the code.
pub const CODE_AT: usize = 1;
/// Where the header has the checksum.
pub const CHECKSUM_AT: usize = 2;
/// Where the header has the four bytes whose meaning the type decides.
pub const REST_AT: usize = 4;
/// Where an echo message has its identifier.
pub const IDENTIFIER_AT: usize = REST_AT;

/// Types and codes of ICMP. The numbers are IANA's registry "ICMP Parameters".
pub mod v4 {
    /// RFC 792
    pub const ECHO_REPLY: u8 = 0;
    /// RFC 792. Its codes begin with `CODE_`.
    pub const DEST_UNREACHABLE: u8 = 3;
    /// Source quench: RFC 792. RFC 6633 deprecates it.
    pub const SOURCE_QUENCH: u8 = 4;
    /// RFC 792
    pub const REDIRECT: u8 = 5;
    /// RFC 792
    pub const ECHO_REQUEST: u8 = 8;
    /// RFC 1256, 3
    pub const ROUTER_ADVERTISEMENT: u8 = 9;
    /// RFC 1256, 3
    pub const ROUTER_SOLICITATION: u8 = 10;
    /// RFC 792
    pub const TIME_EXCEEDED: u8 = 11;
    /// RFC 792
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// RFC 792
    pub const TIMESTAMP_REQUEST: u8 = 13;
    /// RFC 792
    pub const TIMESTAMP_REPLY: u8 = 14;
    /// RFC 792
    pub const INFORMATION_REQUEST: u8 = 15;
    /// RFC 792
    pub const INFORMATION_REPLY: u8 = 16;
    /// RFC 950, appendix I
    pub const ADDRESS_MASK_REQUEST: u8 = 17;
    /// RFC 950, appendix I
    pub const ADDRESS_MASK_REPLY: u8 = 18;

    /// Destination unreachable, no route: RFC 792
    pub const CODE_NET: u8 = 0;
    /// Destination unreachable, the host does not answer: RFC 792
    pub const CODE_HOST: u8 = 1;
    /// Destination unreachable, nobody speaks this protocol: RFC 792
    pub const CODE_PROTOCOL: u8 = 2;
    /// Destination unreachable, nobody listens at this port: RFC 792
    pub const CODE_PORT: u8 = 3;
    /// Destination unreachable, the packet is too long and must not be fragmented: RFC 792. The
    /// next MTU is in the last two bytes of the header (RFC 1191, 4).
    pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;
    /// Destination unreachable, the source route failed: RFC 792
    pub const CODE_SOURCE_ROUTE_FAILED: u8 = 5;
    /// Destination unreachable, communication with the net is prohibited: RFC 1122, 3.2.2.1
    pub const CODE_NET_PROHIBITED: u8 = 9;
    /// Destination unreachable, communication with the host is prohibited: RFC 1122, 3.2.2.1
    pub const CODE_HOST_PROHIBITED: u8 = 10;
    /// Destination unreachable, communication is prohibited: RFC 1812, 5.2.7.1
    pub const CODE_PROHIBITED: u8 = 13;
}

/// Types and codes of ICMPv6. The numbers are IANA's registry "ICMPv6 Parameters".
pub mod v6 {
    /// RFC 4443, 3.1. Its codes begin with `CODE_`.
    pub const DEST_UNREACHABLE: u8 = 1;
    /// RFC 4443, 3.2. The MTU is in the last four bytes of the header.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// RFC 4443, 3.3
    pub const TIME_EXCEEDED: u8 = 3;
    /// RFC 4443, 3.4
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Types below this one are errors, all others are informational: RFC 4443, 2.1.
    pub const FIRST_INFORMATIONAL: u8 = 128;
    /// RFC 4443, 4.1
    pub const ECHO_REQUEST: u8 = 128;
    /// RFC 4443, 4.2
    pub const ECHO_REPLY: u8 = 129;
    /// RFC 4861, 4.1
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// RFC 4861, 4.2
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// RFC 4861, 4.3
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// RFC 4861, 4.4
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// RFC 4861, 4.5
    pub const REDIRECT: u8 = 137;

    /// Destination unreachable, no route: RFC 4443, 3.1
    pub const CODE_NO_ROUTE: u8 = 0;
    /// Destination unreachable, communication is prohibited: RFC 4443, 3.1
    pub const CODE_PROHIBITED: u8 = 1;
    /// Destination unreachable, the address does not answer: RFC 4443, 3.1
    pub const CODE_ADDRESS: u8 = 3;
    /// Destination unreachable, nobody listens at this port: RFC 4443, 3.1
    pub const CODE_PORT: u8 = 4;
    /// Parameter problem, a field of a header is wrong: RFC 4443, 3.4
    pub const CODE_ERRONEOUS_FIELD: u8 = 0;
    /// Parameter problem, nobody speaks the protocol of this next header: RFC 4443, 3.4
    pub const CODE_UNKNOWN_NEXT_HEADER: u8 = 1;

    /// Whether a message of this type is an error: RFC 4443, 2.1.
    #[inline]
    pub const fn is_error(kind: u8) -> bool {
        kind < FIRST_INFORMATIONAL
    }

    /// Whether a message of this type is one of neighbour discovery: solicitations and
    /// advertisements of routers and neighbours, and redirects (RFC 4861, 4).
    #[inline]
    pub const fn is_neighbour_discovery(kind: u8) -> bool {
        matches!(kind, ROUTER_SOLICITATION..=REDIRECT)
    }
}

/// The header of a message, to be read.
#[derive(Debug, Clone, Copy)]
pub struct IcmpHeader<'p> {
    fixed: &'p [u8; HEADER_LEN],
}

impl<'p> IcmpHeader<'p> {
    /// The header that `message` begins with. `None` if the message is shorter than a header.
    #[inline]
    pub const fn new_checked(message: &'p [u8]) -> Option<Self> {
        match message.first_chunk() {
            Some(fixed) => Some(Self { fixed }),
            None => None,
        }
    }

    /// Type, see [`v4`] and [`v6`]
    #[inline]
    pub const fn kind(self) -> u8 {
        self.fixed[TYPE_AT]
    }

    /// Code
    #[inline]
    pub const fn code(self) -> u8 {
        self.fixed[CODE_AT]
    }

    /// Checksum
    #[inline]
    pub const fn checksum(self) -> u16 {
        u16_at(self.fixed, CHECKSUM_AT)
    }

    /// The four bytes whose meaning the type decides
    #[inline]
    pub const fn rest(self) -> u32 {
        let [.., a, b, c, d] = *self.fixed;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Identifier of an echo message
    #[inline]
    pub const fn identifier(self) -> u16 {
        u16_at(self.fixed, IDENTIFIER_AT)
    }
}

/// The header of a message, to be changed. Only [`Self::apply`] and `replace_...` care for the
/// checksum.
#[derive(Debug)]
pub struct IcmpHeaderMut<'p> {
    fixed: &'p mut [u8; HEADER_LEN],
}

impl<'p> IcmpHeaderMut<'p> {
    /// The header that `message` begins with. `None` if the message is shorter than a header.
    #[inline]
    pub const fn new_checked(message: &'p mut [u8]) -> Option<Self> {
        match message.first_chunk_mut() {
            Some(fixed) => Some(Self { fixed }),
            None => None,
        }
    }

    /// What the header says now.
    #[inline]
    pub const fn as_view(&self) -> IcmpHeader<'_> {
        IcmpHeader { fixed: self.fixed }
    }

    /// Writes type and code.
    #[inline]
    pub const fn set_kind(&mut self, kind: u8, code: u8) {
        self.fixed[TYPE_AT] = kind;
        self.fixed[CODE_AT] = code;
    }

    /// Writes the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put(self.fixed, CHECKSUM_AT, checksum.to_be_bytes());
    }

    /// Writes the four bytes whose meaning the type decides.
    #[inline]
    pub fn set_rest(&mut self, rest: u32) {
        put(self.fixed, REST_AT, rest.to_be_bytes());
    }

    /// Writes another type and code, and changes the checksum accordingly.
    #[inline]
    pub fn replace_kind(&mut self, kind: u8, code: u8) {
        let old = u16_at(self.fixed, TYPE_AT);
        self.set_kind(kind, code);
        self.apply(Delta::of_u16(old, u16_at(self.fixed, TYPE_AT)));
    }

    /// Writes another identifier of an echo message, and changes the checksum accordingly.
    #[inline]
    pub fn replace_identifier(&mut self, identifier: u16) {
        let delta = Delta::of_u16(self.as_view().identifier(), identifier);
        put(self.fixed, IDENTIFIER_AT, identifier.to_be_bytes());
        self.apply(delta);
    }

    /// Changes the checksum by what changed elsewhere.
    #[inline]
    pub fn apply(&mut self, delta: Delta) {
        self.set_checksum(delta.apply(self.as_view().checksum()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checksum;

    #[test]
    fn a_header_reads_as_it_was_written() {
        let mut message = [0; 10];
        let mut header = IcmpHeaderMut::new_checked(&mut message).unwrap();
        header.set_kind(v4::DEST_UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED);
        header.set_checksum(0xabcd);
        header.set_rest(1400);
        let header = header.as_view();
        assert_eq!((header.kind(), header.code()), (3, 4));
        assert_eq!((header.checksum(), header.rest()), (0xabcd, 1400));
        assert_eq!(message, [3, 4, 0xab, 0xcd, 0, 0, 5, 0x78, 0, 0]);
    }

    /// RFC 4443, 2.1; RFC 4861, 4
    #[test]
    fn types_of_icmpv6_are_told_apart() {
        assert!(v6::is_error(v6::PARAMETER_PROBLEM) && v6::is_error(127));
        assert!(!v6::is_error(v6::ECHO_REQUEST));
        let discovery: Vec<u8> = (0..=255)
            .filter(|kind| v6::is_neighbour_discovery(*kind))
            .collect();
        assert_eq!(discovery, [133, 134, 135, 136, 137]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_view_panic(mut message in prop::collection::vec(any::<u8>(), 0..30)) {
            let is_long_enough = message.len() >= HEADER_LEN;
            let before = message.clone();
            let header = IcmpHeader::new_checked(&before);
            prop_assert_eq!(header.is_some(), is_long_enough);
            let copy = IcmpHeaderMut::new_checked(&mut message);
            if let (Some(header), Some(mut copy)) = (header, copy) {
                copy.set_kind(header.kind(), header.code());
                copy.set_checksum(header.checksum());
                copy.set_rest(header.rest());
                prop_assert_eq!(header.identifier(), (header.rest() >> 16) as u16);
            }
            prop_assert_eq!(message, before);
        }

        #[test]
        fn what_is_replaced_leaves_the_checksum_right(
            mut message in prop::collection::vec(any::<u8>(), 8..40),
            kind: u8,
            code: u8,
            identifier: u16,
        ) {
            IcmpHeaderMut::new_checked(&mut message).unwrap().set_checksum(0);
            let sum = checksum::checksum(&message);
            let mut header = IcmpHeaderMut::new_checked(&mut message).unwrap();
            header.set_checksum(sum);
            header.replace_kind(kind, code);
            header.replace_identifier(identifier);
            let view = header.as_view();
            prop_assert_eq!((view.kind(), view.code()), (kind, code));
            prop_assert_eq!(view.identifier(), identifier);
            prop_assert_eq!(checksum::fold(checksum::sum(&message)), 0xffff);
        }
    }
}
