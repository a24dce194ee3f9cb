//! Cuts a packet that is too long for a link into fragments (RFC 791, 3.2; RFC 8200, 4.5).
//!
//! [`Cut::new`] reads the packet, [`Cut::write`] writes each fragment but the last one into a
//! buffer of its own, and [`Cut::keep_last`] makes the packet itself the last one.

use std::ops::Range;

use crate::PacketBuf;
use crate::checksum::checksum;
use crate::ip::ipv4::{self, L2_LEN};
use crate::ip::{ipv6, proto};

/// The longest header of a fragment in bytes: an IPv4 header with all options.
const LONGEST_HEADER: usize = 60;
/// Fragment offsets count in units of 8 bytes: RFC 791, 3.1.
const UNIT: usize = 8;
/// RFC 791, 3.1: only options with this bit are copied into all fragments.
const COPIED: u8 = 0x80;
/// The options that are one byte long: end of the list, no operation.
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

/// A header up to where the payload of a fragment begins.
#[derive(Debug, Clone, Copy)]
struct Header {
    bytes: [u8; LONGEST_HEADER],
    len: usize,
}

impl Header {
    const fn empty() -> Self {
        Self {
            bytes: [0; LONGEST_HEADER],
            len: 0,
        }
    }

    /// Appends bytes. Those beyond the longest header are left out.
    fn push(&mut self, bytes: &[u8]) {
        let places = self.bytes.iter_mut().skip(self.len);
        let copied = places.zip(bytes).map(|(place, byte)| *place = *byte);
        self.len += copied.count();
    }
}

/// How a packet is cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    first: Header,
    later: Header,
    /// Where the payload is in the frame
    payload: (usize, usize),
    /// Bytes of payload in each fragment but the last
    step: usize,
    /// Where the payload begins in the whole packet: the packet may be a fragment itself
    offset: usize,
    /// The packet is a fragment, and not the last one
    more: bool,
}

impl Cut {
    /// How a packet with a sound IP header is cut into fragments of at most `mtu` bytes.
    /// `identification` is what the fragments of an IPv6 packet get in common. An IPv4 packet keeps
    /// its own, and so does an IPv6 packet that is a fragment.
    ///
    /// `None` if the MTU has no room for any payload, if a fragment would end beyond the longest
    /// packet (RFC 791, 3.1), or if an IPv6 packet has extension headers before the place of the
    /// fragment header.
    pub fn new(frame: &[u8], mtu: u16, identification: u32) -> Option<Self> {
        let ip = frame.get(L2_LEN..)?;
        let cut = if ip.first()? >> 4 == 4 {
            Self::of_ipv4(ip)?
        } else {
            Self::of_ipv6(ip, identification)?
        };
        let step = usize::from(mtu).checked_sub(cut.first.len)? / UNIT * UNIT;
        let end = cut.first.len + cut.offset + cut.payload_len();
        (step > 0 && end <= usize::from(u16::MAX)).then_some(Self { step, ..cut })
    }

    fn of_ipv4(ip: &[u8]) -> Option<Self> {
        let facts = ipv4::check_quoted(ip)?;
        let header_len = usize::from(facts.l4_at) - L2_LEN;
        let (mut first, mut later) = (Header::empty(), Header::empty());
        first.push(ip.get(..header_len)?);
        later.push(ip.get(..ipv4::HEADER_LEN)?);
        push_copied_options(&mut later, ip.get(ipv4::HEADER_LEN..header_len)?);
        Some(Self {
            first,
            later,
            payload: (L2_LEN + header_len, L2_LEN + usize::from(facts.total_len)),
            step: 0,
            offset: facts.fragment_offset.into(),
            more: facts.more_fragments,
        })
    }

    fn of_ipv6(ip: &[u8], identification: u32) -> Option<Self> {
        let mut header = Header::empty();
        header.push(ip.get(..ipv6::HEADER_LEN)?);
        let next = *ip.get(6)?;
        let payload_len = usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]));
        let (mut payload_at, mut offset, mut more) = (ipv6::HEADER_LEN, 0, false);
        match next {
            proto::HOP_BY_HOP | proto::ROUTING => return None,
            ipv6::FRAGMENT => {
                let fragment = ip.get(ipv6::HEADER_LEN..)?.first_chunk::<8>()?;
                let field = u16::from_be_bytes([fragment[2], fragment[3]]);
                (offset, more) = (field & 0xfff8, field & 1 != 0);
                payload_at += ipv6::FRAGMENT_HEADER_LEN;
                header.push(fragment);
            }
            _ => {
                header.bytes[6] = ipv6::FRAGMENT;
                header.push(&ipv6::fragment_header(next, 0, false, identification));
            }
        }
        Some(Self {
            first: header,
            later: header,
            payload: (L2_LEN + payload_at, L2_LEN + ipv6::HEADER_LEN + payload_len),
            step: 0,
            offset: offset.into(),
            more,
        })
    }

    const fn payload_len(&self) -> usize {
        self.payload.1.saturating_sub(self.payload.0)
    }

    /// How many fragments there are.
    pub const fn count(&self) -> usize {
        let count = self.payload_len().div_ceil(self.step);
        if count == 0 { 1 } else { count }
    }

    /// Length of the frame of fragment `n`, from 0.
    pub fn len_of(&self, n: usize) -> usize {
        L2_LEN + self.header(n).len + self.part(n).len()
    }

    /// Writes fragment `n`, which has [`Self::len_of`] bytes, from the whole packet. Writes nothing
    /// if either buffer is too short.
    pub fn write(&self, n: usize, whole: &[u8], fragment: &mut [u8]) {
        let at = L2_LEN + self.header(n).len;
        let (Some(ethernet), Some(part)) = (whole.get(..L2_LEN), whole.get(self.part(n))) else {
            return;
        };
        if let Some(place) = fragment.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
            fragment[..L2_LEN].copy_from_slice(ethernet);
            self.write_header(n, fragment);
        }
    }

    /// Makes the packet the last fragment. Called when the others are written.
    pub fn keep_last<B: PacketBuf>(&self, packet: &mut B) {
        let last = self.count() - 1;
        let (part, at) = (self.part(last), L2_LEN + self.header(last).len);
        let len = self.len_of(last);
        // With one fragment only, an IPv6 packet would have to grow by the fragment header.
        if last == 0 || part.end > packet.bytes().len() {
            return;
        }
        packet.bytes_mut().copy_within(part, at);
        packet.truncate(len);
        self.write_header(last, packet.bytes_mut());
    }

    const fn header(&self, n: usize) -> &Header {
        if n == 0 { &self.first } else { &self.later }
    }

    /// Where the payload of fragment `n` is in the frame of the whole packet.
    fn part(&self, n: usize) -> Range<usize> {
        let (start, end) = self.payload;
        let from = (start + n * self.step).min(end);
        from..(from + self.step).min(end)
    }

    fn write_header(&self, n: usize, frame: &mut [u8]) {
        let header = self.header(n);
        let offset = (self.offset + n * self.step) as u16;
        let more = self.more || n + 1 < self.count();
        let part_len = self.part(n).len();
        let Some(ip) = frame.get_mut(L2_LEN..L2_LEN + header.len) else {
            return;
        };
        ip.copy_from_slice(&header.bytes[..header.len]);
        if ip[0] >> 4 == 4 {
            finish_ipv4(ip, offset, more, part_len);
        } else {
            finish_ipv6(ip, offset, more, part_len);
        }
    }
}

/// Appends the options that every fragment has, and fills up the last word of the header.
fn push_copied_options(header: &mut Header, mut options: &[u8]) {
    while let [kind, rest @ ..] = options {
        let len = match (*kind, rest) {
            (END_OF_OPTIONS, _) => break,
            (NO_OPERATION, _) => 1,
            (_, [len, ..]) if (2..=options.len()).contains(&usize::from(*len)) => usize::from(*len),
            _ => break,
        };
        let (option, others) = options.split_at(len);
        if kind & COPIED != 0 {
            header.push(option);
        }
        options = others;
    }
    header.len = header.len.next_multiple_of(4);
}

fn finish_ipv4(header: &mut [u8], offset: u16, more: bool, part_len: usize) {
    let total_len = (header.len() + part_len) as u16;
    header[0] = 0x40 | (header.len() / 4) as u8;
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[6..8].copy_from_slice(&ipv4::fragment_field(offset, more).to_be_bytes());
    header[10..12].fill(0);
    let sum = checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn finish_ipv6(header: &mut [u8], offset: u16, more: bool, part_len: usize) {
    let (ip, fragment) = header.split_at_mut(ipv6::HEADER_LEN);
    let payload_len = (ipv6::FRAGMENT_HEADER_LEN + part_len) as u16;
    ip[4..6].copy_from_slice(&payload_len.to_be_bytes());
    let field = offset & 0xfff8 | u16::from(more);
    fragment[2..4].copy_from_slice(&field.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{fold, sum};

    /// A frame with a record route option, which only the first fragment keeps, a no operation, and
    /// a router alert, which all fragments have (RFC 791, 3.1; RFC 2113, 2.1).
    fn with_options(payload_len: usize) -> Vec<u8> {
        let options = [7, 3, 4, 1, 0x94, 4, 0, 0];
        let mut frame = vec![0xee; L2_LEN];
        let total_len = (28 + payload_len) as u16;
        let [high, low] = total_len.to_be_bytes();
        frame.extend([0x47, 0, high, low, 0x12, 0x34, 0, 0, 9, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(options);
        frame.extend((0..payload_len).map(|at| at as u8));
        frame
    }

    #[test]
    fn only_copied_options_are_in_later_fragments() {
        let frame = with_options(100);
        let cut = Cut::new(&frame, 28 + 48, 0).expect("it can be cut");
        assert_eq!(cut.count(), 3);
        let mut payload = Vec::new();
        for n in 0..3 {
            let mut fragment = vec![0; cut.len_of(n)];
            cut.write(n, &frame, &mut fragment);
            let header_len = if n == 0 { 28 } else { 24 };
            let (header, part) = fragment[L2_LEN..].split_at(header_len);
            assert_eq!(header[0], 0x40 | (header_len / 4) as u8);
            assert_eq!(fold(sum(header)), 0xffff);
            assert_eq!(header[4..6], [0x12, 0x34]);
            let field = u16::from_be_bytes([header[6], header[7]]);
            let more = if n < 2 { 0x2000 } else { 0 };
            assert_eq!(field, (n as u16 * 6) | more);
            let expected = if n == 0 {
                &frame[L2_LEN + 20..L2_LEN + 28]
            } else {
                &[0x94, 4, 0, 0][..]
            };
            assert_eq!(header[20..], *expected);
            payload.extend_from_slice(part);
        }
        assert_eq!(payload, frame[L2_LEN + 28..]);
    }

    #[test]
    fn what_cannot_be_cut_is_left_alone() {
        let frame = with_options(100);
        assert!(Cut::new(&frame, 28 + 7, 0).is_none(), "no room for 8 bytes");
        let mut last = frame;
        last[L2_LEN + 6..L2_LEN + 8].copy_from_slice(&[0x1f, 0xff]);
        assert!(
            Cut::new(&last, 76, 0).is_none(),
            "RFC 791: beyond 65,535 bytes"
        );
        assert!(Cut::new(&[0; 20], 76, 0).is_none());
        let mut hop_by_hop = vec![0; L2_LEN + 40];
        hop_by_hop[L2_LEN] = 0x60;
        assert!(Cut::new(&hop_by_hop, 1280, 0).is_none());
    }
}
