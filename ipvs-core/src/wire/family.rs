//! What IPv4 and IPv6 packets of a conn differ in. All other code of the way is written once.

use std::net::IpAddr;

use packet::PacketBuf;
use packet::checksum::{self, Delta};
use packet::ip::{IpFacts, NewHeader};
use packet::ipv4::{self, Ipv4Error, L2_LEN};
use packet::ipv6::{self, Ipv6Error};

use crate::config::Protocol;
use crate::drop_reason::DropReason;
use crate::tuple::{Address, Tuple};
use crate::wire::aside::Aside;

pub(super) const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// An address family, as one of its addresses. Frames are those of packets that were found sound.
///
/// The lane of IPv6 also has the conns whose ends are of both families: their IPv4 addresses are written as
/// IPv6 maps them (RFC 4291, 2.5.5.2), and a frame may be of either.
pub trait Family: Address {
    /// Whether its lane has the conns between both families.
    const HAS_NAT64: bool;
    /// Where what is above IP begins in a frame whose IP header has neither options nor extensions
    const PLAIN_L4_AT: usize;
    /// Echo, which goes with a service's packets through SNAT
    const ICMP: Protocol;
    /// Of an echo request: RFC 792, RFC 4443
    const ECHO_REQUEST: u8;
    /// Of an echo reply
    const ECHO_REPLY: u8;

    /// An address of this family; IPv6 takes IPv4 addresses too.
    fn of(addr: IpAddr) -> Option<Self>;
    /// What replacing one address by another changes in a checksum
    fn delta(old: Self, new: Self) -> Delta;
    /// Checks a frame's IP header and reads it.
    ///
    /// # Errors
    /// Why it is dropped
    fn check<B: PacketBuf>(packet: &mut B) -> Result<IpFacts<Self>, DropReason>;
    /// Reads the header that an ICMP error quotes.
    fn check_quoted(ip: &[u8]) -> Option<IpFacts<Self>>;
    /// Whether an ICMP message is an error
    fn is_icmp_error(kind: u8) -> bool;
    /// What ICMP's checksum covers besides the message
    fn icmp_pseudo_header(src: Self, dst: Self, len: u16) -> u64;
    /// The time to live
    fn ttl(frame: &[u8]) -> u8;
    /// Decrements the time to live, which must be above 1.
    fn decrement_ttl(frame: &mut [u8]);
    /// Puts other addresses in and decrements the time to live. `l3` is what they change in the header's checksum.
    fn rewrite(frame: &mut [u8], src: Self, dst: Self, l3: Delta);
    /// Whether a packet that has no conn may have one, if classification did not ask.
    fn check_hosts(src: Self, dst: Self) -> Result<(), Aside>;
    /// Puts other addresses into a header, which `ip` begins with, and nothing else.
    fn readdress(ip: &mut [u8], src: Self, dst: Self, l3: Delta);
    /// The sum of the pseudo header of TCP and UDP
    fn pseudo_header(tuple: &Tuple<Self>, len: u16) -> u64;
}

impl Family for [u8; 4] {
    const HAS_NAT64: bool = false;
    const PLAIN_L4_AT: usize = L2_LEN + ipv4::HEADER_LEN;
    const ICMP: Protocol = Protocol::Icmp;
    const ECHO_REQUEST: u8 = 8;
    const ECHO_REPLY: u8 = 0;

    #[inline]
    fn of(addr: IpAddr) -> Option<Self> {
        match addr {
            IpAddr::V4(addr) => Some(addr.octets()),
            IpAddr::V6(_) => None,
        }
    }

    #[inline]
    fn delta(old: Self, new: Self) -> Delta {
        Delta::replace(&old, &new)
    }

    // Into the loop that classifies: what it does not ask for is not even read there.
    #[inline(always)]
    fn check<B: PacketBuf>(packet: &mut B) -> Result<IpFacts<Self>, DropReason> {
        ipv4::check(packet).map_err(|error| match error {
            Ipv4Error::Truncated => DropReason::FrameTooShort,
            Ipv4Error::Malformed => DropReason::Ipv4Malformed,
            Ipv4Error::BadChecksum => DropReason::Ipv4BadChecksum,
        })
    }

    fn check_quoted(ip: &[u8]) -> Option<IpFacts<Self>> {
        ipv4::check_quoted(ip)
    }

    /// RFC 792: destination unreachable, time exceeded, parameter problem. Source quench and redirects are
    /// obsolete or not for what is behind (RFC 6633, RFC 1812, 5.2.7.2).
    fn is_icmp_error(kind: u8) -> bool {
        matches!(kind, 3 | 11 | 12)
    }

    fn icmp_pseudo_header(_: Self, _: Self, _: u16) -> u64 {
        0
    }

    #[inline]
    fn ttl(frame: &[u8]) -> u8 {
        ipv4::ttl(frame)
    }

    #[inline]
    fn decrement_ttl(frame: &mut [u8]) {
        if let Some(header) = frame.get_mut(L2_LEN..).and_then(<[u8]>::first_chunk_mut) {
            ipv4::decrement_ttl(header);
        }
    }

    #[inline]
    fn rewrite(frame: &mut [u8], src: Self, dst: Self, l3: Delta) {
        if let Some(header) = frame.get_mut(L2_LEN..).and_then(<[u8]>::first_chunk_mut) {
            ipv4::rewrite(header, src, dst, l3);
        }
    }

    #[inline]
    fn check_hosts(src: Self, dst: Self) -> Result<(), Aside> {
        if ipv4::is_multicast_or_broadcast(dst) {
            Err(Aside::Kernel)
        } else if ipv4::is_martian_source(src) {
            Err(Aside::Drop(DropReason::Ipv4Martian))
        } else if src == dst {
            Err(Aside::Drop(DropReason::LandAttack))
        } else {
            Ok(())
        }
    }

    fn readdress(ip: &mut [u8], src: Self, dst: Self, l3: Delta) {
        if let Some(header) = ip.first_chunk_mut() {
            ipv4::readdress(header, src, dst, l3);
        }
    }

    #[inline]
    fn pseudo_header(tuple: &Tuple<Self>, len: u16) -> u64 {
        checksum::pseudo_header_v4(tuple.src.into(), tuple.dst.into(), tuple.protocol, len)
    }
}

impl Family for [u8; 16] {
    const HAS_NAT64: bool = true;
    const PLAIN_L4_AT: usize = L2_LEN + ipv6::HEADER_LEN;
    const ICMP: Protocol = Protocol::IcmpV6;
    const ECHO_REQUEST: u8 = 128;
    const ECHO_REPLY: u8 = 129;

    #[inline]
    fn of(addr: IpAddr) -> Option<Self> {
        Some(match addr {
            IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
            IpAddr::V6(addr) => addr.octets(),
        })
    }

    #[inline]
    fn delta(old: Self, new: Self) -> Delta {
        Delta::replace(&old, &new)
    }

    #[inline]
    fn check<B: PacketBuf>(packet: &mut B) -> Result<IpFacts<Self>, DropReason> {
        if is_ipv4(packet.bytes()) {
            return <[u8; 4]>::check(packet).map(mapped);
        }
        ipv6::check(packet).map_err(|error| match error {
            Ipv6Error::Truncated => DropReason::FrameTooShort,
            Ipv6Error::Malformed => DropReason::Ipv6Malformed,
            Ipv6Error::TooManyExtensions => DropReason::Ipv6Extensions,
            Ipv6Error::SourceRoute => DropReason::Ipv6SourceRoute,
        })
    }

    fn check_quoted(ip: &[u8]) -> Option<IpFacts<Self>> {
        match ip.first()? >> 4 {
            4 => ipv4::check_quoted(ip).map(mapped),
            _ => ipv6::check_quoted(ip).ok(),
        }
    }

    /// RFC 4443, 2.1: errors are below 128.
    fn is_icmp_error(kind: u8) -> bool {
        kind < 128
    }

    fn icmp_pseudo_header(src: Self, dst: Self, len: u16) -> u64 {
        if src.is_mapped() {
            return 0;
        }
        checksum::pseudo_header_v6(src.into(), dst.into(), Self::ICMP.number(), len.into())
    }

    #[inline]
    fn ttl(frame: &[u8]) -> u8 {
        if is_ipv4(frame) {
            ipv4::ttl(frame)
        } else {
            ipv6::hop_limit(frame)
        }
    }

    #[inline]
    fn decrement_ttl(frame: &mut [u8]) {
        if is_ipv4(frame) {
            <[u8; 4]>::decrement_ttl(frame);
        } else if let Some(header) = frame.get_mut(L2_LEN..).and_then(<[u8]>::first_chunk_mut) {
            ipv6::decrement_hop_limit(header);
        }
    }

    #[inline]
    fn rewrite(frame: &mut [u8], src: Self, dst: Self, _: Delta) {
        if let Some(header) = frame.get_mut(L2_LEN..).and_then(<[u8]>::first_chunk_mut) {
            ipv6::rewrite(header, &src, &dst);
        }
    }

    #[inline]
    fn check_hosts(_: Self, _: Self) -> Result<(), Aside> {
        Ok(())
    }

    fn readdress(ip: &mut [u8], src: Self, dst: Self, _: Delta) {
        if let Some(header) = ip.first_chunk_mut::<{ ipv6::HEADER_LEN }>() {
            header[8..24].copy_from_slice(&src);
            header[24..40].copy_from_slice(&dst);
        }
    }

    #[inline]
    fn pseudo_header(tuple: &Tuple<Self>, len: u16) -> u64 {
        checksum::pseudo_header_v6(
            tuple.src.into(),
            tuple.dst.into(),
            tuple.protocol,
            len.into(),
        )
    }
}

/// What an IPv4 header says, in IPv6's form.
pub(crate) fn mapped(facts: IpFacts<[u8; 4]>) -> IpFacts<[u8; 16]> {
    IpFacts {
        src: facts.src.to_mapped(),
        dst: facts.dst.to_mapped(),
        protocol: facts.protocol,
        ttl: facts.ttl,
        l4_at: facts.l4_at,
        total_len: facts.total_len,
        is_fragment: facts.is_fragment,
        fragment_offset: facts.fragment_offset,
        more_fragments: facts.more_fragments,
        identification: facts.identification,
        dont_fragment: facts.dont_fragment,
    }
}

/// Whether a frame holds an IPv4 packet: its version, since the frame was found sound.
#[inline]
pub(crate) fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(L2_LEN).is_some_and(|first| first >> 4 == 4)
}

/// Bytes between where the offsets of a packet's fragments count from and what is above IP: options for the
/// destination in a first fragment (RFC 8200, 4.5).
pub(crate) fn options_len<A>(frame: &[u8], ip: &IpFacts<A>) -> u16 {
    if is_ipv4(frame) {
        return 0;
    }
    let l4_at = u16::from(ip.l4_at).saturating_sub(L2_LEN as u16);
    let header = frame.get(L2_LEN..).unwrap_or_default();
    ipv6::fragmentable_at(header).map_or(0, |at| l4_at.saturating_sub(at as u16))
}

/// Type of service, or traffic class
pub(crate) fn traffic_class(frame: &[u8]) -> u8 {
    match frame.get(L2_LEN..) {
        Some([first, second, ..]) if first >> 4 == 4 => *second,
        Some([first, second, ..]) => first << 4 | second >> 4,
        _ => 0,
    }
}

/// Makes a frame's IP packet longer by `by` bytes.
pub(crate) fn grow(frame: &mut [u8], by: u16) {
    let is_ipv4 = is_ipv4(frame);
    let header = frame.get_mut(L2_LEN..).unwrap_or_default();
    if is_ipv4 {
        if let Some(header) = header.first_chunk_mut() {
            ipv4::grow(header, by);
        }
    } else if let Some(header) = header.first_chunk_mut() {
        ipv6::grow(header, by);
    }
}

/// Of packets of our own: RFC 1700
pub(crate) const DEFAULT_TTL: u8 = 64;

/// Bytes of the IP header of packets from `src`.
#[inline]
pub(crate) fn header_len<A: Family>(src: A) -> usize {
    if size_of::<A>() == 4 || src.is_mapped() {
        ipv4::HEADER_LEN
    } else {
        ipv6::HEADER_LEN
    }
}

/// Writes the EtherType and an IP header into a frame that has room for them.
pub(crate) fn write_header<A: Family>(frame: &mut [u8], new: &NewHeader<A>) {
    if let Some((ethertype, header)) = frame
        .get_mut(12..)
        .and_then(<[u8]>::split_first_chunk_mut::<2>)
    {
        *ethertype = if new.src.to_ip().is_ipv4() {
            ETHERTYPE_IPV4
        } else {
            ETHERTYPE_IPV6
        };
        write_ip_header(header, new);
    }
}

/// Writes an IP header to where there is room for it.
pub(crate) fn write_ip_header<A: Family>(ip: &mut [u8], new: &NewHeader<A>) {
    if let (IpAddr::V4(src), IpAddr::V4(dst)) = (new.src.to_ip(), new.dst.to_ip()) {
        if let Some(header) = ip.first_chunk_mut() {
            ipv4::write(header, &readdressed(new, src.octets(), dst.octets()));
        }
        return;
    }
    let (src, dst) = (new.src.to_mapped(), new.dst.to_mapped());
    if let Some(header) = ip.first_chunk_mut() {
        ipv6::write(header, &readdressed(new, src, dst));
    }
}

const fn readdressed<A, C>(new: &NewHeader<A>, src: C, dst: C) -> NewHeader<C> {
    NewHeader {
        src,
        dst,
        protocol: new.protocol,
        payload_len: new.payload_len,
        ttl: new.ttl,
        traffic_class: new.traffic_class,
        identification: new.identification,
        dont_fragment: new.dont_fragment,
    }
}
