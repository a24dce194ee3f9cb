//! The IPv6 header (RFC 8200). One check walks the extension headers, of which it takes a limited
//! number. After that the header is read and rewritten at constant offsets.

use crate::PacketBuf;
use crate::ip::header::{IpFacts, NewHeader};
use crate::ip::ipv4::L2_LEN;
pub use crate::ip::proto::{DEST_OPTIONS, FRAGMENT};
use crate::ip::proto::{HOP_BY_HOP, ROUTING};

/// Bytes of an IPv6 header without extensions: RFC 8200, 3.
pub const HEADER_LEN: usize = 40;
/// Bytes of a fragment header: RFC 8200, 4.5.
pub const FRAGMENT_HEADER_LEN: usize = 8;
/// Every link takes IPv6 packets of this many bytes: RFC 8200, 5.
pub const LEAST_MTU: u16 = 1280;
/// Most extension headers that are walked. RFC 8504, 5.3 lets a node set such limits.
const MOST_EXTENSIONS: usize = 8;
/// The L4 header must begin within the first 256 bytes of the frame, so that its offset fits a
/// byte.
const DEEPEST_L4: usize = u8::MAX as usize;

/// Why a frame does not hold a sound IPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Error {
    /// The frame ends before the header does.
    Truncated,
    /// The version is not 6, or a length does not fit the frame.
    Malformed,
    /// There are more extension headers than are walked, or longer ones.
    TooManyExtensions,
    /// A routing header has segments left. RFC 5095 forbids to follow the common type of it.
    SourceRoute,
}

/// Checks the header and its extensions, cuts off padding of the frame, and reads them.
///
/// # Errors
/// If the frame is too short, a length or the version is wrong, or the extension headers are more
/// than are walked.
#[inline]
pub fn check<B: PacketBuf>(packet: &mut B) -> Result<IpFacts<[u8; 16]>, Ipv6Error> {
    let bytes = packet.bytes();
    let mut facts = read(bytes.get(L2_LEN..).unwrap_or_default())?;
    let frame_len = L2_LEN + usize::from(facts.total_len);
    if frame_len > bytes.len() {
        return Err(Ipv6Error::Malformed);
    }
    if is_extension(facts.protocol) {
        walk_extensions(&bytes[L2_LEN..frame_len], &mut facts)?;
    }
    if frame_len < bytes.len() {
        packet.truncate(frame_len);
    }
    Ok(facts)
}

/// Reads the header that an ICMPv6 error quotes, and its extension headers. Most of the quoted
/// packet may be cut off.
///
/// # Errors
/// Those of [`check`], except that the packet may be longer than what is there.
pub fn check_quoted(ip: &[u8]) -> Result<IpFacts<[u8; 16]>, Ipv6Error> {
    let mut facts = read(ip)?;
    if is_extension(facts.protocol) {
        walk_extensions(ip, &mut facts)?;
    }
    Ok(facts)
}

#[inline(always)]
fn read(ip: &[u8]) -> Result<IpFacts<[u8; 16]>, Ipv6Error> {
    let header = ip.first_chunk::<HEADER_LEN>().ok_or(Ipv6Error::Truncated)?;
    let payload_len = u16::from_be_bytes([header[4], header[5]]);
    // Longer ones are jumbograms (RFC 2675), which no Ethernet carries.
    let total_len = payload_len.checked_add(HEADER_LEN as u16);
    let (6, Some(total_len)) = (header[0] >> 4, total_len) else {
        return Err(Ipv6Error::Malformed);
    };
    Ok(IpFacts {
        src: address(header, 8),
        dst: address(header, 24),
        protocol: header[6],
        ttl: header[7],
        l4_at: (L2_LEN + HEADER_LEN) as u8,
        total_len,
        is_fragment: false,
        fragment_offset: 0,
        more_fragments: false,
        identification: 0,
        dont_fragment: true,
    })
}

const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DEST_OPTIONS)
}

/// Goes from header to header up to the first that is not an extension header, or to the fragment
/// header of a later fragment.
#[cold]
fn walk_extensions(ip: &[u8], facts: &mut IpFacts<[u8; 16]>) -> Result<(), Ipv6Error> {
    let mut at = HEADER_LEN;
    for number in 0.. {
        if !is_extension(facts.protocol) || facts.fragment_offset != 0 {
            break;
        }
        // RFC 8200, 4.1: hop-by-hop options come first or not at all.
        if facts.protocol == HOP_BY_HOP && number != 0 {
            return Err(Ipv6Error::Malformed);
        }
        let header = ip.get(at..).and_then(<[u8]>::first_chunk::<8>);
        let header = header.ok_or(Ipv6Error::Malformed)?;
        match facts.protocol {
            FRAGMENT => read_fragment(header, facts),
            ROUTING if header[3] != 0 => return Err(Ipv6Error::SourceRoute),
            _ => at += usize::from(header[1]) * 8,
        }
        at += 8;
        facts.protocol = header[0];
        if number + 1 >= MOST_EXTENSIONS || at + L2_LEN > DEEPEST_L4 {
            return Err(Ipv6Error::TooManyExtensions);
        }
    }
    if at > ip.len() {
        return Err(Ipv6Error::Malformed);
    }
    facts.l4_at = (L2_LEN + at) as u8;
    Ok(())
}

/// Where the fragmentable part begins, behind the fragment header: offsets of fragments count from
/// there. `ip` begins with a header that [`check`] found sound.
pub fn fragmentable_at(ip: &[u8]) -> Option<usize> {
    let mut next = *ip.get(6)?;
    let mut at = HEADER_LEN;
    while is_extension(next) {
        let header = ip.get(at..)?.first_chunk::<8>()?;
        at += 8;
        if next == FRAGMENT {
            return Some(at);
        }
        at += usize::from(header[1]) * 8;
        next = header[0];
    }
    None
}

/// Reads a fragment header: RFC 8200, 4.5. A fragment that is both the first and the last is a
/// whole packet (RFC 6946).
const fn read_fragment(header: &[u8; FRAGMENT_HEADER_LEN], facts: &mut IpFacts<[u8; 16]>) {
    let field = u16::from_be_bytes([header[2], header[3]]);
    facts.fragment_offset = field & 0xfff8;
    facts.more_fragments = field & 1 != 0;
    facts.is_fragment = field & 0xfff9 != 0;
    facts.identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
}

/// Sixteen bytes of a header in one load.
#[inline(always)]
fn address(header: &[u8; HEADER_LEN], at: usize) -> [u8; 16] {
    let mut address = [0; 16];
    address.copy_from_slice(&header[at..at + 16]);
    address
}

/// Replaces the identification of a fragment. `ip` begins with a header that [`check`] found sound.
/// A packet without a fragment header stays as it is.
pub fn set_identification(ip: &mut [u8], identification: u32) {
    let place = fragmentable_at(ip).and_then(|end| ip.get_mut(end - 4..end));
    if let Some(place) = place {
        place.copy_from_slice(&identification.to_be_bytes());
    }
}

/// The hop limit of a packet that [`check`] found sound. 0 if the frame is too short.
#[inline]
pub fn hop_limit(frame: &[u8]) -> u8 {
    frame.get(L2_LEN + 7).copied().unwrap_or(0)
}

/// Writes other addresses and decrements the hop limit, which must be above 1.
#[inline]
pub fn rewrite(header: &mut [u8; HEADER_LEN], src: &[u8; 16], dst: &[u8; 16]) {
    decrement_hop_limit(header);
    header[8..24].copy_from_slice(src);
    header[24..40].copy_from_slice(dst);
}

/// Decrements the hop limit, which must be above 1.
#[inline]
pub const fn decrement_hop_limit(header: &mut [u8; HEADER_LEN]) {
    header[7] = header[7].wrapping_sub(1);
}

/// Makes the header that of a reply to its sender: addresses change places, and the hop limit is a
/// new one.
pub fn make_reply(header: &mut [u8; HEADER_LEN], hop_limit: u8) {
    header[7] = hop_limit;
    header[8..40].rotate_left(16);
}

/// Writes a header without extensions.
pub fn write(header: &mut [u8; HEADER_LEN], new: &NewHeader<[u8; 16]>) {
    let first = 6 << 28 | u32::from(new.traffic_class) << 20;
    header[0..4].copy_from_slice(&first.to_be_bytes());
    header[4..6].copy_from_slice(&new.payload_len.to_be_bytes());
    header[6] = new.protocol;
    header[7] = new.ttl;
    header[8..24].copy_from_slice(&new.src);
    header[24..40].copy_from_slice(&new.dst);
}

/// Makes the packet longer by `by` bytes.
pub fn grow(header: &mut [u8; HEADER_LEN], by: u16) {
    let new = u16::from_be_bytes([header[4], header[5]]).wrapping_add(by);
    header[4..6].copy_from_slice(&new.to_be_bytes());
}

/// A fragment header (RFC 8200, 4.5). `protocol` is the next header, `offset` is where the payload
/// was in the whole packet, in bytes, `more` says that it is not the last fragment, and all
/// fragments of a packet have the same `identification`.
pub const fn fragment_header(
    protocol: u8,
    offset: u16,
    more: bool,
    identification: u32,
) -> [u8; FRAGMENT_HEADER_LEN] {
    let [high, low] = (offset & 0xfff8 | more as u16).to_be_bytes();
    let [a, b, c, d] = identification.to_be_bytes();
    [protocol, 0, high, low, a, b, c, d]
}

/// Whether no host can have this source address: multicast, unspecified, loopback, or an
/// IPv4-mapped address (RFC 4291, 2.5 and 2.7; RFC 6890, table 20).
#[inline]
pub const fn is_martian_source(src: &[u8; 16]) -> bool {
    let bits = u128::from_be_bytes(*src);
    src[0] == 0xff || bits <= 1 || bits >> 32 == 0xffff
}

/// Multicast: RFC 4291, 2.7.
#[inline]
pub const fn is_multicast(dst: &[u8; 16]) -> bool {
    dst[0] == 0xff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::proto::UDP;
    use crate::{ChecksumState, EtherType, MacAddr, PortId};

    struct Frame(Vec<u8>);

    impl PacketBuf for Frame {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
        fn bytes_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
        fn prepend(&mut self, _: usize) -> bool {
            false
        }
        fn append(&mut self, _: usize) -> bool {
            false
        }
        fn trim_front(&mut self, len: usize) {
            self.0.drain(..len);
        }
        fn truncate(&mut self, len: usize) {
            self.0.truncate(len);
        }
        fn port(&self) -> PortId {
            PortId(0)
        }
        fn ip_checksum(&self) -> ChecksumState {
            ChecksumState::Unknown
        }
        fn l4_checksum(&self) -> ChecksumState {
            ChecksumState::Unknown
        }
        fn set_l4_checksum(&mut self, _: ChecksumState) {}
        fn mark(&self) -> u32 {
            0
        }
        fn set_mark(&mut self, _: u32) {}
    }

    /// An IPv6 packet whose header has this next header, with these bytes behind it.
    fn frame(next: u8, rest: &[u8]) -> Frame {
        let mut bytes = [MacAddr::ZERO.0, MacAddr::ZERO.0].concat();
        bytes.extend(EtherType::IPV6.to_be_bytes());
        bytes.extend([0x60, 0, 0, 0]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend([next, 64]);
        bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend(rest);
        Frame(bytes)
    }

    #[test]
    fn a_plain_header_is_read_and_the_frame_s_padding_cut() {
        let mut packet = frame(UDP, &[7; 8]);
        packet.0.extend([0; 5]);
        let facts = check(&mut packet).unwrap();
        assert_eq!((facts.protocol, facts.ttl, facts.l4_at), (UDP, 64, 54));
        assert_eq!((facts.total_len, packet.0.len()), (48, 62));
        assert_eq!((facts.src[15], facts.dst[15]), (1, 2));
        assert!(!facts.is_fragment);
    }

    /// RFC 8200, 4.1: hop-by-hop, destination options, routing, fragment.
    #[test]
    fn extensions_are_walked_to_the_header_above() {
        let mut rest = vec![DEST_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        rest.extend([ROUTING, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        rest.extend([FRAGMENT, 0, 4, 0, 0, 0, 0, 0]);
        rest.extend([UDP, 0, 0, 1, 0, 0, 0x12, 0x34]);
        rest.extend([9; 8]);
        let facts = check(&mut frame(HOP_BY_HOP, &rest)).unwrap();
        assert_eq!((facts.protocol, facts.l4_at), (UDP, 54 + 40));
        assert!(facts.is_fragment && facts.fragment_offset == 0);
        assert_eq!(facts.identification, 0x1234);
    }

    #[test]
    fn a_later_fragment_has_no_header_above() {
        let rest = [DEST_OPTIONS, 0, 0, 0x18, 0, 0, 0, 9, 1, 2, 3, 4];
        let facts = check(&mut frame(FRAGMENT, &rest)).unwrap();
        assert_eq!((facts.fragment_offset, facts.l4_at), (24, 62));
        assert!(facts.is_fragment);
    }

    /// RFC 8200, 4.1 and 4.5: destination options behind the fragment header are fragmented like
    /// data.
    #[test]
    fn offsets_count_from_behind_the_fragment_header() {
        let mut rest = vec![FRAGMENT, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        rest.extend([DEST_OPTIONS, 0, 0, 1, 0, 0, 0x12, 0x34]);
        rest.extend([UDP, 0, 1, 4, 0, 0, 0, 0]);
        rest.extend([9; 8]);
        let mut first = frame(HOP_BY_HOP, &rest);
        assert_eq!(check(&mut first).unwrap().l4_at, 54 + 32);
        assert_eq!(fragmentable_at(&first.0[L2_LEN..]), Some(40 + 24));
        assert_eq!(fragmentable_at(&first.0[L2_LEN..L2_LEN + 60]), None);
        assert_eq!(fragmentable_at(&frame(UDP, &[0; 8]).0[L2_LEN..]), None);
    }

    /// RFC 6946
    #[test]
    fn an_atomic_fragment_is_whole() {
        let rest = [UDP, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8];
        let facts = check(&mut frame(FRAGMENT, &rest)).unwrap();
        assert!(!facts.is_fragment);
        assert_eq!(facts.protocol, UDP);
    }

    #[test]
    fn lies_and_excess_are_refused() {
        let refused = |mut packet: Frame| check(&mut packet).unwrap_err();
        assert_eq!(refused(Frame(vec![0; 50])), Ipv6Error::Truncated);
        let mut long = frame(UDP, &[0; 8]);
        long.0[L2_LEN + 5] = 9;
        assert_eq!(refused(long), Ipv6Error::Malformed);
        let mut version = frame(UDP, &[0; 8]);
        version.0[L2_LEN] = 0x40;
        assert_eq!(refused(version), Ipv6Error::Malformed);
        // An extension that ends behind the packet, and one that is cut
        assert_eq!(
            refused(frame(DEST_OPTIONS, &[UDP, 1, 0, 0, 0, 0, 0, 0])),
            Ipv6Error::Malformed
        );
        assert_eq!(
            refused(frame(DEST_OPTIONS, &[UDP, 0, 0])),
            Ipv6Error::Malformed
        );
        // Hop-by-hop options that are not first
        let rest = [HOP_BY_HOP, 0, 0, 0, 0, 0, 0, 0, UDP, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(refused(frame(DEST_OPTIONS, &rest)), Ipv6Error::Malformed);
        let many = [DEST_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(9);
        assert_eq!(
            refused(frame(DEST_OPTIONS, &many)),
            Ipv6Error::TooManyExtensions
        );
        let long = [&[UDP, 31][..], &[0; 254]].concat();
        assert_eq!(
            refused(frame(DEST_OPTIONS, &long)),
            Ipv6Error::TooManyExtensions
        );
        // RFC 5095: segments left
        let routed = [UDP, 2, 0, 1, 0, 0, 0, 0].to_vec();
        assert_eq!(
            refused(frame(ROUTING, &[routed, vec![0; 24]].concat())),
            Ipv6Error::SourceRoute
        );
    }

    #[test]
    fn a_rewritten_header_has_one_hop_less_and_its_length_follows() {
        let mut packet = frame(UDP, &[0; 8]);
        let header = packet.0[L2_LEN..].first_chunk_mut().unwrap();
        rewrite(header, &[3; 16], &[4; 16]);
        grow(header, 20);
        assert_eq!(
            (header[7], &header[8..24], &header[24..]),
            (63, &[3; 16][..], &[4; 16][..])
        );
        assert_eq!(header[4..6], [0, 28]);
    }

    #[test]
    fn the_header_of_a_reply_goes_back() {
        let mut packet = frame(UDP, &[0; 8]);
        make_reply(packet.0[L2_LEN..].first_chunk_mut().unwrap(), 255);
        let facts = check(&mut packet).unwrap();
        assert_eq!((facts.src[15], facts.dst[15], facts.ttl), (2, 1, 255));
    }

    #[test]
    fn sources_that_nobody_has() {
        let martian =
            |text: &str| is_martian_source(&text.parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert!(
            martian("::") && martian("::1") && martian("ff02::1") && martian("::ffff:10.0.0.1")
        );
        assert!(!martian("fe80::1") && !martian("2001:db8::1") && !martian("64:ff9b::1"));
    }
}
