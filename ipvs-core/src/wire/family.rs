//! What differs between IPv4 and IPv6. All other code is written once, for both.

use std::net::IpAddr;

use packet::PacketBuf;
use packet::checksum::{self, Delta};
use packet::eth::{ETHERTYPE_AT, EtherType};
use packet::ip::{IpFacts, NewHeader};
use packet::ipv4::{self, Ipv4Error, L2_LEN};
use packet::ipv6::{self, Ipv6Error};
use packet::nat64::Nat64Prefix;

use crate::config::Protocol;
use crate::drop_reason::DropReason;
use crate::state::Identifications;
use crate::tuple::{Address, Tuple};
use crate::wire::aside::Aside;

pub(super) const ETHERTYPE_IPV4: [u8; 2] = EtherType::IPV4.to_be_bytes();
const ETHERTYPE_IPV6: [u8; 2] = EtherType::IPV6.to_be_bytes();

/// An address family, named by the type of its addresses. The frames given to it were checked
/// before.
///
/// The family state of IPv6 also has the conns of NAT64 and NAT46. Their IPv4 addresses are mapped
/// into IPv6 (RFC 4291, 2.5.5.2), and their frames may be of either family.
pub(crate) trait Family: Address {
    /// Whether the conns of NAT64 are in this family's state.
    const HAS_NAT64: bool;
    /// Offset of the L4 header in a frame whose IP header has neither options nor extensions.
    const PLAIN_L4_AT: usize;
    /// The protocol of echo messages, which SNAT forwards.
    const ICMP: Protocol;
    /// ICMP type of an echo request: RFC 792, RFC 4443.
    const ECHO_REQUEST: u8;
    /// ICMP type of an echo reply: RFC 792, RFC 4443.
    const ECHO_REPLY: u8;

    /// An address of this family, or `None`. IPv6 takes IPv4 addresses too, mapped.
    fn of(addr: IpAddr) -> Option<Self>;
    /// How a checksum changes when one address replaces another.
    fn delta(old: Self, new: Self) -> Delta;
    /// Checks a frame's IP header and reads it.
    ///
    /// # Errors
    ///
    /// The reason to drop the packet.
    fn check<B: PacketBuf>(packet: &mut B) -> Result<IpFacts<Self>, DropReason>;
    /// Reads the header that an ICMP error quotes.
    fn check_quoted(ip: &[u8]) -> Option<IpFacts<Self>>;
    /// Whether an ICMP message of this type is an error.
    fn is_icmp_error(kind: u8) -> bool;
    /// The sum of the pseudo header that the checksum of ICMP covers. 0 for IPv4.
    fn icmp_pseudo_header(src: Self, dst: Self, len: u16) -> u64;
    /// The time to live, or hop limit.
    fn ttl(frame: &[u8]) -> u8;
    /// Decrements the time to live, which must be above 1.
    fn decrement_ttl(frame: &mut [u8]);
    /// Replaces both addresses and decrements the time to live. `l3` is the change of the header
    /// checksum by the addresses.
    ///
    /// A whole packet that may be fragmented gets another identification, too: the sender's own
    /// number may be in use by another one (RFC 6864, 4.3). IPv6 has identifications in fragments
    /// only.
    fn rewrite_whole(
        frame: &mut [u8],
        src: Self,
        dst: Self,
        l3: Delta,
        identifications: &Identifications,
    );
    /// Whether source and destination are possible for a conn. Asked for packets that found no
    /// conn, if classification did not ask before.
    fn check_hosts(src: Self, dst: Self) -> Result<(), Aside>;
    /// Replaces both addresses in an IP header, and nothing else. `ip` begins with the header.
    fn readdress(ip: &mut [u8], src: Self, dst: Self, l3: Delta);
    /// The sum of the pseudo header that the checksums of TCP and UDP cover.
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

    // Inlined into the loop that classifies, so that fields which that loop does not use are not
    // read.
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

    /// Destination unreachable, time exceeded and parameter problem (RFC 792). Source quench is
    /// obsolete (RFC 6633), and redirects are not for hosts behind the director (RFC 1812,
    /// 5.2.7.2).
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

    #[inline(always)]
    fn rewrite_whole(
        frame: &mut [u8],
        src: Self,
        dst: Self,
        l3: Delta,
        identifications: &Identifications,
    ) {
        if let Some(header) = frame.get_mut(L2_LEN..).and_then(<[u8]>::first_chunk_mut) {
            ipv4::rewrite(header, src, dst, l3, || identifications.next_to(dst));
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
    fn rewrite_whole(frame: &mut [u8], src: Self, dst: Self, _: Delta, _: &Identifications) {
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

/// The facts of an IPv4 header, with its addresses mapped into IPv6.
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

/// Gives a fragment another identification.
pub(crate) fn renumber_fragment(frame: &mut [u8], identification: u32) {
    let is_ipv4 = is_ipv4(frame);
    let ip = frame.get_mut(L2_LEN..).unwrap_or_default();
    if is_ipv4 {
        if let Some(header) = ip.first_chunk_mut() {
            ipv4::set_identification(header, identification as u16);
        }
    } else {
        ipv6::set_identification(ip, identification);
    }
}

/// Whether a frame that was checked holds an IPv4 packet, by the IP version.
#[inline]
pub(crate) fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(L2_LEN).is_some_and(|first| first >> 4 == 4)
}

/// Bytes between the start of the fragmentable part and the L4 header: the destination options in a
/// first fragment (RFC 8200, 4.5). Fragment offsets count from the start of the fragmentable part.
pub(crate) fn options_len<A>(frame: &[u8], ip: &IpFacts<A>) -> u16 {
    if is_ipv4(frame) {
        return 0;
    }
    let l4_at = u16::from(ip.l4_at).saturating_sub(L2_LEN as u16);
    let header = frame.get(L2_LEN..).unwrap_or_default();
    ipv6::fragmentable_at(header).map_or(0, |at| l4_at.saturating_sub(at as u16))
}

/// Type of service of IPv4, or traffic class of IPv6. `ip` begins with the header.
pub(crate) fn traffic_class(ip: &[u8]) -> u8 {
    match ip {
        [first, second, ..] if first >> 4 == 4 => *second,
        [first, second, ..] => first << 4 | second >> 4,
        _ => 0,
    }
}

/// Adds `by` bytes to the length of a frame's IP packet.
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

/// Takes `by` bytes off the length of a frame's IP packet.
pub(crate) fn shrink(frame: &mut [u8], by: u16) {
    grow(frame, by.wrapping_neg());
}

/// Replaces UOA that the sender put into the IPv4 options itself: it could claim any address.
#[inline]
pub(crate) fn blank_uoa(frame: &mut [u8]) {
    let ip = frame.get_mut(L2_LEN..).unwrap_or_default();
    // Version 4 and more than five words of header.
    if matches!(ip.first(), Some(0x46..=0x4f)) {
        ipv4::blank_option(ip, packet::uoa::OPTION);
    }
}

/// Length in bytes of the IP header of packets from `src`.
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
    write_ethertype(frame, new.src);
    write_ip_header(frame.get_mut(L2_LEN..).unwrap_or_default(), new);
}

/// Writes the EtherType of packets from `src`.
pub(crate) fn write_ethertype<A: Family>(frame: &mut [u8], src: A) {
    if let Some(place) = frame
        .get_mut(ETHERTYPE_AT..)
        .and_then(<[u8]>::first_chunk_mut)
    {
        *place = if src.to_ip().is_ipv4() {
            ETHERTYPE_IPV4
        } else {
            ETHERTYPE_IPV6
        };
    }
}

/// Writes an IP header at the start of `ip`, which has room for it.
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

/// An address as a host of the family of `seer` sees it: itself, or translated by the prefix.
/// `None` if it has no address in that family.
pub(crate) fn in_family_of<A: Family>(seer: IpAddr, addr: A, prefix: Nat64Prefix) -> Option<A> {
    if !A::HAS_NAT64 {
        return Some(addr);
    }
    match (addr.to_ip(), seer) {
        (IpAddr::V4(addr), IpAddr::V6(_)) => A::of(prefix.embed(addr).into()),
        (IpAddr::V6(addr), IpAddr::V4(_)) => {
            let addr = prefix.extract(addr)?;
            A::of(addr.into()).filter(|_| !ipv4::is_martian_source(addr.octets()))
        }
        _ => Some(addr),
    }
}
