//! The TCP header (RFC 9293, 3.1): where its fields are, its flags, and views that read and change
//! it.
//!
//! A view checks once that the fixed header is there; after that no accessor can fail. The options
//! behind it are only as long as the header says if that fits, so they are asked for separately.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign};

use crate::checksum::Delta;
use crate::field::{put, u16_at, u32_at};
use crate::ports;

/// Bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Bytes of the longest header: the data offset has four bits and counts words of four bytes.
pub const MAX_HEADER_LEN: usize = 60;

/// Where the header has the source port.
pub const SPORT_AT: usize = 0;
/// Where the header has the destination port.
pub const DPORT_AT: usize = 2;
/// Where the header has the sequence number.
pub const SEQ_AT: usize = 4;
/// Where the header has the acknowledgment number.
pub const ACK_AT: usize = 8;
/// Where the header has the data offset, in the upper four bits.
pub const DATA_OFFSET_AT: usize = 12;
/// Where the header has the flags.
pub const FLAGS_AT: usize = 13;
/// Where the header has the window.
pub const WINDOW_AT: usize = 14;
/// Where the header has the checksum.
pub const CHECKSUM_AT: usize = 16;
/// Where the header has the urgent pointer.
pub const URGENT_AT: usize = 18;

/// The flags of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No flag
    pub const NONE: Self = Self(0);
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers: a conn begins.
    pub const SYN: Self = Self(0x02);
    /// The conn is reset.
    pub const RST: Self = Self(0x04);
    /// Push
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo: RFC 3168, 6.1
    pub const ECE: Self = Self(0x40);
    /// The congestion window was reduced: RFC 3168, 6.1
    pub const CWR: Self = Self(0x80);
    /// The answer to a SYN
    pub const SYN_ACK: Self = Self::SYN.with(Self::ACK);
    /// A reset that also acknowledges
    pub const RST_ACK: Self = Self::RST.with(Self::ACK);

    /// The names in the order of the bits, lowest first.
    const NAMES: [&'static str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The flags of both.
    #[inline]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// Those flags that are also in `mask`. To compare: `flags.among(SYN | ACK) == SYN`.
    #[inline]
    pub const fn among(self, mask: Self) -> Self {
        Self(self.0 & mask.0)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for TcpFlags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = self.with(other);
    }
}

impl BitAnd for TcpFlags {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        self.among(other)
    }
}

impl fmt::Debug for TcpFlags {
    /// `SYN|ACK`, or `-` without any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let mut separator = "";
        for (bit, name) in Self::NAMES.into_iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        Ok(())
    }
}

/// The header of a segment, to be read.
#[derive(Debug, Clone, Copy)]
pub struct TcpHeader<'p> {
    fixed: &'p [u8; MIN_HEADER_LEN],
    /// What follows the fixed header: options, then data.
    rest: &'p [u8],
}

impl<'p> TcpHeader<'p> {
    /// The header that `segment` begins with. `None` if the segment is shorter than a header
    /// without options. Whether the data offset is right is not checked here: see
    /// [`Self::options`].
    #[inline]
    pub const fn new_checked(segment: &'p [u8]) -> Option<Self> {
        match segment.split_first_chunk() {
            Some((fixed, rest)) => Some(Self { fixed, rest }),
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

    /// Sequence number
    #[inline]
    pub const fn seq(self) -> u32 {
        u32_at(self.fixed, SEQ_AT)
    }

    /// Acknowledgment number. It counts only if [`TcpFlags::ACK`] is set.
    #[inline]
    pub const fn ack(self) -> u32 {
        u32_at(self.fixed, ACK_AT)
    }

    /// Bytes of the header with its options, as the data offset says: 0 to 60, whether or not the
    /// segment has as many.
    #[inline]
    pub const fn header_len(self) -> usize {
        (self.fixed[DATA_OFFSET_AT] >> 4) as usize * 4
    }

    /// Flags
    #[inline]
    pub const fn flags(self) -> TcpFlags {
        TcpFlags(self.fixed[FLAGS_AT])
    }

    /// Window, before it is scaled
    #[inline]
    pub const fn window(self) -> u16 {
        u16_at(self.fixed, WINDOW_AT)
    }

    /// Checksum
    #[inline]
    pub const fn checksum(self) -> u16 {
        u16_at(self.fixed, CHECKSUM_AT)
    }

    /// Urgent pointer. It counts only if [`TcpFlags::URG`] is set.
    #[inline]
    pub const fn urgent(self) -> u16 {
        u16_at(self.fixed, URGENT_AT)
    }

    /// The options, with their padding. `None` if the data offset is less than a header without
    /// options, or more than the segment.
    #[inline]
    pub fn options(self) -> Option<&'p [u8]> {
        let len = self.header_len().checked_sub(MIN_HEADER_LEN)?;
        self.rest.get(..len)
    }

    /// The data behind the options. `None` where [`Self::options`] is.
    #[inline]
    pub fn payload(self) -> Option<&'p [u8]> {
        let len = self.header_len().checked_sub(MIN_HEADER_LEN)?;
        self.rest.get(len..)
    }
}

/// The header of a segment, to be changed. Only [`Self::apply`] and `replace_...` care for the
/// checksum.
#[derive(Debug)]
pub struct TcpHeaderMut<'p> {
    fixed: &'p mut [u8; MIN_HEADER_LEN],
    /// What follows the fixed header: options, then data.
    rest: &'p mut [u8],
}

impl<'p> TcpHeaderMut<'p> {
    /// The header that `segment` begins with. `None` if the segment is shorter than a header
    /// without options.
    #[inline]
    pub const fn new_checked(segment: &'p mut [u8]) -> Option<Self> {
        match segment.split_first_chunk_mut() {
            Some((fixed, rest)) => Some(Self { fixed, rest }),
            None => None,
        }
    }

    /// What the header says now.
    #[inline]
    pub const fn as_view(&self) -> TcpHeader<'_> {
        TcpHeader {
            fixed: self.fixed,
            rest: self.rest,
        }
    }

    /// Writes both ports.
    #[inline]
    pub fn set_ports(&mut self, sport: u16, dport: u16) {
        put(self.fixed, SPORT_AT, ports::to_be_bytes(sport, dport));
    }

    /// Writes the sequence number.
    #[inline]
    pub fn set_seq(&mut self, seq: u32) {
        put(self.fixed, SEQ_AT, seq.to_be_bytes());
    }

    /// Writes the acknowledgment number.
    #[inline]
    pub fn set_ack(&mut self, ack: u32) {
        put(self.fixed, ACK_AT, ack.to_be_bytes());
    }

    /// Writes the data offset. `header_len` is in bytes, a multiple of 4 and at most
    /// [`MAX_HEADER_LEN`]. The reserved bits become 0.
    #[inline]
    pub const fn set_header_len(&mut self, header_len: usize) {
        debug_assert!(header_len.is_multiple_of(4) && header_len <= MAX_HEADER_LEN);
        self.fixed[DATA_OFFSET_AT] = ((header_len / 4) as u8) << 4;
    }

    /// Writes the flags.
    #[inline]
    pub const fn set_flags(&mut self, flags: TcpFlags) {
        self.fixed[FLAGS_AT] = flags.0;
    }

    /// Writes the window.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        put(self.fixed, WINDOW_AT, window.to_be_bytes());
    }

    /// Writes the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put(self.fixed, CHECKSUM_AT, checksum.to_be_bytes());
    }

    /// Writes the urgent pointer.
    #[inline]
    pub fn set_urgent(&mut self, urgent: u16) {
        put(self.fixed, URGENT_AT, urgent.to_be_bytes());
    }

    /// Writes another sequence number, and changes the checksum accordingly.
    #[inline]
    pub fn replace_seq(&mut self, seq: u32) {
        let delta = Delta::of_u32(self.as_view().seq(), seq);
        self.set_seq(seq);
        self.apply(delta);
    }

    /// Writes another acknowledgment number, and changes the checksum accordingly.
    #[inline]
    pub fn replace_ack(&mut self, ack: u32) {
        let delta = Delta::of_u32(self.as_view().ack(), ack);
        self.set_ack(ack);
        self.apply(delta);
    }

    /// Writes another window, and changes the checksum accordingly.
    #[inline]
    pub fn replace_window(&mut self, window: u16) {
        let delta = Delta::of_u16(self.as_view().window(), window);
        self.set_window(window);
        self.apply(delta);
    }

    /// Changes the checksum by what changed elsewhere.
    #[inline]
    pub fn apply(&mut self, delta: Delta) {
        self.set_checksum(delta.apply(self.as_view().checksum()));
    }

    /// The options, with their padding. `None` if the data offset is less than a header without
    /// options, or more than the segment.
    #[inline]
    pub fn options_mut(&mut self) -> Option<&mut [u8]> {
        let len = self.as_view().header_len().checked_sub(MIN_HEADER_LEN)?;
        self.rest.get_mut(..len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checksum;

    /// A SYN-ACK from port 80 to 40000 with an MSS option and two bytes of data.
    const SYN_ACK: [u8; 26] = [
        0, 80, 0x9c, 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 0x60, 0x12, 0xff, 0xfe, 0xab, 0xcd, 0, 9, 2, 4,
        5, 0xb4, b'h', b'i',
    ];

    #[test]
    fn every_field_is_read_from_its_place() {
        let header = TcpHeader::new_checked(&SYN_ACK).unwrap();
        assert_eq!((header.sport(), header.dport()), (80, 40_000));
        assert_eq!((header.seq(), header.ack()), (0x0102_0304, 0x0506_0708));
        assert_eq!(
            (header.header_len(), header.flags()),
            (24, TcpFlags::SYN_ACK)
        );
        assert_eq!((header.window(), header.checksum()), (0xfffe, 0xabcd));
        assert_eq!(header.urgent(), 9);
        assert_eq!(header.options(), Some(&[2, 4, 5, 0xb4][..]));
        assert_eq!(header.payload(), Some(&b"hi"[..]));
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let mut segment = [0; 26];
        segment[20..].copy_from_slice(&SYN_ACK[20..]);
        let mut header = TcpHeaderMut::new_checked(&mut segment).unwrap();
        header.set_ports(80, 40_000);
        header.set_seq(0x0102_0304);
        header.set_ack(0x0506_0708);
        header.set_header_len(24);
        header.set_flags(TcpFlags::SYN | TcpFlags::ACK);
        header.set_window(0xfffe);
        header.set_checksum(0xabcd);
        header.set_urgent(9);
        assert_eq!(header.options_mut(), Some(&mut [2, 4, 5, 0xb4][..]));
        assert_eq!(segment, SYN_ACK);
    }

    #[test]
    fn a_data_offset_that_lies_leaves_no_options() {
        for offset in [0, 4, 7, 15] {
            let mut segment = SYN_ACK;
            segment[DATA_OFFSET_AT] = offset << 4;
            let header = TcpHeader::new_checked(&segment).unwrap();
            assert_eq!((header.options(), header.payload()), (None, None));
            let mut header = TcpHeaderMut::new_checked(&mut segment).unwrap();
            assert_eq!(header.options_mut(), None);
        }
    }

    #[test]
    fn flags_are_asked_together_and_named() {
        let flags = TcpFlags::SYN_ACK;
        assert!(flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::SYN | TcpFlags::FIN));
        assert_eq!(flags & (TcpFlags::SYN | TcpFlags::RST), TcpFlags::SYN);
        assert_eq!(format!("{flags:?} {:?}", TcpFlags::NONE), "SYN|ACK -");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_view_panic(mut segment in prop::collection::vec(any::<u8>(), 0..80)) {
            let is_long_enough = segment.len() >= MIN_HEADER_LEN;
            let before = segment.clone();
            let header = TcpHeader::new_checked(&before);
            prop_assert_eq!(header.is_some(), is_long_enough);
            let Some(mut copy) = TcpHeaderMut::new_checked(&mut segment) else {
                return Ok(());
            };
            let header = header.unwrap();
            copy.set_ports(header.sport(), header.dport());
            copy.set_seq(header.seq());
            copy.set_ack(header.ack());
            copy.set_flags(header.flags());
            copy.set_window(header.window());
            copy.set_checksum(header.checksum());
            copy.set_urgent(header.urgent());
            let options_len = copy.options_mut().map(|options| options.len());
            prop_assert_eq!(options_len, header.options().map(<[u8]>::len));
            if let (Some(options), Some(payload)) = (header.options(), header.payload()) {
                prop_assert_eq!(MIN_HEADER_LEN + options.len() + payload.len(), before.len());
            }
            prop_assert_eq!(segment, before);
        }

        #[test]
        fn a_replaced_number_leaves_the_checksum_right(
            mut segment in prop::collection::vec(any::<u8>(), 20..40),
            seq: u32,
            ack: u32,
            window: u16,
        ) {
            // An odd last byte is the upper half of a word.
            let mut header = TcpHeaderMut::new_checked(&mut segment).unwrap();
            header.set_checksum(0);
            let sum = checksum::checksum(&segment);
            let mut header = TcpHeaderMut::new_checked(&mut segment).unwrap();
            header.set_checksum(sum);
            header.replace_seq(seq);
            header.replace_ack(ack);
            header.replace_window(window);
            let view = header.as_view();
            prop_assert_eq!((view.seq(), view.ack(), view.window()), (seq, ack, window));
            prop_assert_eq!(checksum::fold(checksum::sum(&segment)), 0xffff);
        }
    }
}
