//! The UDP header (RFC 768), and views that read and change it.

use crate::checksum::Delta;
use crate::field::{put, u16_at};
use crate::ports;

/// Bytes of a UDP header. No header with ports is shorter.
pub const HEADER_LEN: usize = 8;

/// Where the header has the source port.
pub const SPORT_AT: usize = 0;
/// Where the header has the destination port.
pub const DPORT_AT: usize = 2;
/// Where the header has the length of header and data.
pub const LEN_AT: usize = 4;
/// Where the header has the checksum.
pub const CHECKSUM_AT: usize = 6;

/// The header of a datagram, to be read.
#[derive(Debug, Clone, Copy)]
pub struct UdpHeader<'p> {
    fixed: &'p [u8; HEADER_LEN],
}

impl<'p> UdpHeader<'p> {
    /// The header that `datagram` begins with. `None` if the datagram is shorter than a header.
    #[inline]
    pub const fn new_checked(datagram: &'p [u8]) -> Option<Self> {
        match datagram.first_chunk() {
            Some(fixed) => Some(Self { fixed }),
            None => None,
        }
    }

    /// Source port
    #[inline]
    pub const fn sport(self) -> u16 {
        u16_at(self.fixed, SPORT_AT)
    }

    /// Destination port
    #[inline]
    pub const fn dport(self) -> u16 {
        u16_at(self.fixed, DPORT_AT)
    }

    /// Bytes of header and data, as the header says
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a field of the header, not a container's"
    )]
    pub const fn len(self) -> u16 {
        u16_at(self.fixed, LEN_AT)
    }

    /// Checksum. 0 means that the sender made none.
    #[inline]
    pub const fn checksum(self) -> u16 {
        u16_at(self.fixed, CHECKSUM_AT)
    }
}

/// The header of a datagram, to be changed. Only [`Self::apply`] cares for the checksum.
#[derive(Debug)]
pub struct UdpHeaderMut<'p> {
    fixed: &'p mut [u8; HEADER_LEN],
}

impl<'p> UdpHeaderMut<'p> {
    /// The header that `datagram` begins with. `None` if the datagram is shorter than a header.
    #[inline]
    pub const fn new_checked(datagram: &'p mut [u8]) -> Option<Self> {
        match datagram.first_chunk_mut() {
            Some(fixed) => Some(Self { fixed }),
            None => None,
        }
    }

    /// What the header says now.
    #[inline]
    pub const fn as_view(&self) -> UdpHeader<'_> {
        UdpHeader { fixed: self.fixed }
    }

    /// Writes both ports.
    #[inline]
    pub fn set_ports(&mut self, sport: u16, dport: u16) {
        put(self.fixed, SPORT_AT, ports::to_be_bytes(sport, dport));
    }

    /// Writes the length of header and data in bytes.
    #[inline]
    pub fn set_len(&mut self, len: u16) {
        put(self.fixed, LEN_AT, len.to_be_bytes());
    }

    /// Writes the checksum. 0 means that there is none: see [`to_send`].
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put(self.fixed, CHECKSUM_AT, checksum.to_be_bytes());
    }

    /// Changes the checksum by what changed elsewhere. A datagram without one stays without.
    #[inline]
    pub fn apply(&mut self, delta: Delta) {
        let checksum = self.as_view().checksum();
        if checksum != 0 {
            self.set_checksum(to_send(delta.apply(checksum)));
        }
    }
}

/// Writes a whole header of a datagram without a checksum. `len` is that of header and data.
#[inline]
pub fn write(header: &mut [u8; HEADER_LEN], sport: u16, dport: u16, len: u16) {
    let mut view = UdpHeaderMut { fixed: header };
    view.set_ports(sport, dport);
    view.set_len(len);
    view.set_checksum(0);
}

/// The checksum to send: one that comes out as 0 is sent as all ones, since 0 means that the sender
/// made none (RFC 768). In one's complement both are the same number.
#[inline]
pub const fn to_send(checksum: u16) -> u16 {
    match checksum {
        0 => u16::MAX,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written() {
        let mut header = [0xee; HEADER_LEN];
        write(&mut header, 40_000, 53, 20);
        assert_eq!(header, [0x9c, 0x40, 0, 53, 0, 20, 0, 0]);
        let view = UdpHeader::new_checked(&header).unwrap();
        assert_eq!((view.sport(), view.dport()), (40_000, 53));
        assert_eq!((view.len(), view.checksum()), (20, 0));
    }

    /// RFC 768
    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones_and_none_stays_none() {
        let mut datagram = [0, 1, 0, 2, 0, 8, 0x12, 0x34];
        let mut header = UdpHeaderMut::new_checked(&mut datagram).unwrap();
        // ~(~0x1234 + 0x1234) is 0.
        header.apply(Delta::of_u16(0, 0x1234));
        assert_eq!(header.as_view().checksum(), 0xffff);
        header.set_checksum(0);
        header.apply(Delta::of_u16(0, 0x1234));
        assert_eq!(header.as_view().checksum(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_view_panic(mut datagram in prop::collection::vec(any::<u8>(), 0..30)) {
            let is_long_enough = datagram.len() >= HEADER_LEN;
            let before = datagram.clone();
            let header = UdpHeader::new_checked(&before);
            prop_assert_eq!(header.is_some(), is_long_enough);
            let copy = UdpHeaderMut::new_checked(&mut datagram);
            if let (Some(header), Some(mut copy)) = (header, copy) {
                copy.set_ports(header.sport(), header.dport());
                copy.set_len(header.len());
                copy.set_checksum(header.checksum());
                copy.apply(Delta::ZERO);
            }
            prop_assert_eq!(datagram, before);
        }
    }
}
