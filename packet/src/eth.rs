//! Ethernet: MAC addresses, EtherTypes and the header (IEEE 802.3, without a VLAN tag).

use core::fmt;
use core::str::FromStr;

/// Bytes of an Ethernet header: destination, source, EtherType.
pub const HEADER_LEN: usize = 14;
/// Where the header has the destination address.
pub const DST_AT: usize = 0;
/// Where the header has the source address.
pub const SRC_AT: usize = 6;
/// Where the header has the EtherType.
pub const ETHERTYPE_AT: usize = 12;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// 00:00:00:00:00:00
    pub const ZERO: Self = Self([0; 6]);

    /// True for multicast addresses, of which broadcast is one.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address '{0}': expected e.g. 02:00:00:00:00:01")]
pub struct InvalidMacAddr(pub String);

impl FromStr for MacAddr {
    type Err = InvalidMacAddr;

    /// Six numbers of one or two hexadecimal digits, with colons between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_mac(text).ok_or_else(|| InvalidMacAddr(text.to_owned()))
    }
}

fn parse_mac(text: &str) -> Option<MacAddr> {
    let mut parts = text.split(':');
    let mut bytes = [0; 6];
    for byte in &mut bytes {
        let digits = parts.next()?;
        // from_str_radix alone would also take a sign.
        let has_only_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if digits.len() > 2 || !has_only_digits {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    parts.next().is_none().then_some(MacAddr(bytes))
}

/// What an Ethernet frame carries. The numbers are IANA's registry "IEEE 802 Numbers".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4: RFC 894
    pub const IPV4: Self = Self(0x0800);
    /// ARP: RFC 826
    pub const ARP: Self = Self(0x0806);
    /// A customer VLAN tag, with another EtherType behind it: IEEE 802.1Q
    pub const VLAN: Self = Self(0x8100);
    /// IPv6: RFC 2464, 3
    pub const IPV6: Self = Self(0x86dd);

    /// From the two bytes of a header.
    #[inline]
    pub const fn from_be_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// The two bytes of a header.
    #[inline]
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4 => f.write_str("IPv4"),
            Self::ARP => f.write_str("ARP"),
            Self::VLAN => f.write_str("VLAN"),
            Self::IPV6 => f.write_str("IPv6"),
            Self(other) => write!(f, "{other:#06x}"),
        }
    }
}

/// The Ethernet header of a frame, to be read.
#[derive(Debug, Clone, Copy)]
pub struct EthHeader<'p> {
    bytes: &'p [u8; HEADER_LEN],
}

impl<'p> EthHeader<'p> {
    /// The header that `frame` begins with. `None` if the frame is shorter than a header.
    #[inline]
    pub const fn new_checked(frame: &'p [u8]) -> Option<Self> {
        match frame.first_chunk() {
            Some(bytes) => Some(Self { bytes }),
            None => None,
        }
    }

    /// Destination address
    #[inline]
    pub const fn dst(self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = *self.bytes;
        MacAddr([a, b, c, d, e, f])
    }

    /// Source address
    #[inline]
    pub const fn src(self) -> MacAddr {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.bytes;
        MacAddr([a, b, c, d, e, f])
    }

    /// What the frame carries.
    #[inline]
    pub const fn ethertype(self) -> EtherType {
        let [.., high, low] = *self.bytes;
        EtherType::from_be_bytes([high, low])
    }
}

/// The Ethernet header of a frame, to be changed.
#[derive(Debug)]
pub struct EthHeaderMut<'p> {
    bytes: &'p mut [u8; HEADER_LEN],
}

impl<'p> EthHeaderMut<'p> {
    /// The header that `frame` begins with. `None` if the frame is shorter than a header.
    #[inline]
    pub const fn new_checked(frame: &'p mut [u8]) -> Option<Self> {
        match frame.first_chunk_mut() {
            Some(bytes) => Some(Self { bytes }),
            None => None,
        }
    }

    /// What the header says now.
    #[inline]
    pub const fn as_view(&self) -> EthHeader<'_> {
        EthHeader { bytes: self.bytes }
    }

    /// Writes the destination address.
    #[inline]
    pub fn set_dst(&mut self, dst: MacAddr) {
        self.bytes[DST_AT..DST_AT + 6].copy_from_slice(&dst.0);
    }

    /// Writes the source address.
    #[inline]
    pub fn set_src(&mut self, src: MacAddr) {
        self.bytes[SRC_AT..SRC_AT + 6].copy_from_slice(&src.0);
    }

    /// Writes what the frame carries.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        self.bytes[ETHERTYPE_AT..].copy_from_slice(&ethertype.to_be_bytes());
    }

    /// Sends the frame back: destination and source change places.
    #[inline]
    pub fn swap_addrs(&mut self) {
        self.bytes[..ETHERTYPE_AT].rotate_left(SRC_AT);
    }
}

/// Writes a whole header.
#[inline]
pub fn write(header: &mut [u8; HEADER_LEN], dst: MacAddr, src: MacAddr, ethertype: EtherType) {
    let mut view = EthHeaderMut { bytes: header };
    view.set_dst(dst);
    view.set_src(src);
    view.set_ethertype(ethertype);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mac_address_is_parsed_as_it_is_written() {
        let mac = MacAddr([0x02, 0, 0, 0, 0xab, 0x01]);
        assert_eq!("02:00:00:00:ab:01".parse(), Ok(mac));
        assert_eq!("2:0:0:0:AB:1".parse(), Ok(mac));
    }

    #[test]
    fn what_is_not_a_mac_address_is_refused_with_an_example() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "02:00:00:00:00:",
            "02:00:00:00:00:001",
            "+2:00:00:00:00:01",
            "02:00:00:00:00:0g",
            "02-00-00-00-00-01",
        ] {
            assert_eq!(
                text.parse::<MacAddr>(),
                Err(InvalidMacAddr(text.to_owned()))
            );
        }
        assert_eq!(
            "x".parse::<MacAddr>().unwrap_err().to_string(),
            "invalid MAC address 'x': expected e.g. 02:00:00:00:00:01"
        );
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let (dst, src) = (MacAddr([1, 2, 3, 4, 5, 6]), MacAddr([7, 8, 9, 10, 11, 12]));
        let mut frame = [0; HEADER_LEN];
        write(&mut frame, dst, src, EtherType::IPV6);
        assert_eq!(frame, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x86, 0xdd]);
        let mut header = EthHeaderMut::new_checked(&mut frame).unwrap();
        header.swap_addrs();
        header.set_ethertype(EtherType::ARP);
        let header = header.as_view();
        assert_eq!((header.dst(), header.src()), (src, dst));
        assert_eq!(header.ethertype(), EtherType::ARP);
    }

    proptest! {
        #[test]
        fn every_mac_address_comes_back_from_its_text(bytes: [u8; 6]) {
            let mac = MacAddr(bytes);
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        }

        #[test]
        fn no_bytes_make_the_view_panic(mut frame in prop::collection::vec(any::<u8>(), 0..40)) {
            let is_long_enough = frame.len() >= HEADER_LEN;
            let read = EthHeader::new_checked(&frame).map(|header| {
                (header.dst(), header.src(), header.ethertype())
            });
            prop_assert_eq!(read.is_some(), is_long_enough);
            let before = frame.clone();
            if let (Some(mut header), Some((dst, src, ethertype))) =
                (EthHeaderMut::new_checked(&mut frame), read)
            {
                header.set_dst(dst);
                header.set_src(src);
                header.set_ethertype(ethertype);
            }
            prop_assert_eq!(frame, before);
        }
    }
}
