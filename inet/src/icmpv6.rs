//! ICMPv6 (RFC 4443): the reply to an echo request for the director itself, and the errors it sends
//! about packets.
//!
//! Both turn a received packet into what goes back to its sender by the port it came in by.

use std::net::Ipv6Addr;

use packet::checksum::{self, pseudo_header_v6};
use packet::eth::{self, EthHeader, EthHeaderMut};
use packet::icmp::{self, IcmpHeader, IcmpHeaderMut, v6};
use packet::ip::{DEFAULT_TTL, IpFacts, NewHeader, proto};
use packet::{PacketBuf, ipv6};

/// What an error puts in front of the packet it quotes.
const ERROR_LEN: usize = ipv6::HEADER_LEN + icmp::HEADER_LEN;
/// RFC 4443, 2.4 (c): an error is at most as long as every link can carry.
const MAX_ERROR_LEN: usize = 1280;

/// Why a packet does not reach its destination: RFC 4443, 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unreachable {
    /// No route
    Route = v6::CODE_NO_ROUTE,
    /// Not allowed
    Prohibited = v6::CODE_PROHIBITED,
    /// The neighbour does not answer
    Address = v6::CODE_ADDRESS,
    /// Nobody listens
    Port = v6::CODE_PORT,
}

/// Turns an echo request into its reply (RFC 4443, 4.2): addresses swapped, the data kept.
///
/// The checksum is changed by what changes (RFC 1624), so that a wrong one stays wrong. Returns
/// `false`, and changes nothing, if the packet is not a whole echo request from a host that can get
/// a reply.
pub fn echo_reply_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let Ok(ip) = ipv6::check(packet) else {
        return false;
    };
    let icmp_at = usize::from(ip.l4_at);
    let message = packet.bytes().get(icmp_at..).unwrap_or_default();
    let is_request = IcmpHeader::new_checked(message)
        .is_some_and(|icmp| icmp.kind() == v6::ECHO_REQUEST && icmp.code() == 0);
    let has_header = ip.protocol == proto::ICMPV6 && ip.fragment_offset == 0;
    if !(is_request && has_header && is_host(&ip.src) && !ipv6::is_multicast(&ip.dst)) {
        return false;
    }
    let (headers, message) = packet.bytes_mut().split_at_mut(icmp_at);
    let (ethernet, header) = headers.split_at_mut(eth::HEADER_LEN);
    let views = (
        EthHeaderMut::new_checked(ethernet),
        header.first_chunk_mut(),
        IcmpHeaderMut::new_checked(message),
    );
    let (Some(mut ethernet), Some(header), Some(mut icmp)) = views else {
        return false;
    };
    ethernet.swap_addrs();
    ipv6::make_reply(header, DEFAULT_TTL);
    icmp.replace_kind(v6::ECHO_REPLY, 0);
    true
}

/// Turns a later fragment of an echo request into that of its reply, see
/// [`crate::icmp::echo_reply_fragment_in_place`].
///
/// Returns `false`, and changes nothing, if it is from no host that can get a reply.
pub fn echo_reply_fragment_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let Ok(ip) = ipv6::check(packet) else {
        return false;
    };
    if !is_host(&ip.src) || ipv6::is_multicast(&ip.dst) {
        return false;
    }
    let (ethernet, header) = packet.bytes_mut().split_at_mut(eth::HEADER_LEN);
    let views = (
        EthHeaderMut::new_checked(ethernet),
        header.first_chunk_mut(),
    );
    let (Some(mut ethernet), Some(header)) = views else {
        return false;
    };
    ethernet.swap_addrs();
    ipv6::make_reply(header, DEFAULT_TTL);
    true
}

/// Turns a packet into the error that its hop limit ran out here (RFC 4443, 3.3), from this address
/// of ours. Returns `false`, and changes nothing, if no error may be sent about it: RFC 4443, 2.4
/// (e).
///
/// Call it, as all that make errors, before the packet is rewritten, and limit how often by a
/// [`crate::RateLimit`].
pub fn time_exceeded<B: PacketBuf>(packet: &mut B, from: Ipv6Addr) -> bool {
    become_error(packet, from, (v6::TIME_EXCEEDED, 0), 0)
}

/// Turns a packet into the error that it cannot reach its destination (RFC 4443, 3.1); see
/// [`time_exceeded`].
pub fn dest_unreachable<B: PacketBuf>(packet: &mut B, from: Ipv6Addr, why: Unreachable) -> bool {
    become_error(packet, from, (v6::DEST_UNREACHABLE, why as u8), 0)
}

/// Turns a packet into the error that it is longer than `mtu` bytes (RFC 4443, 3.2); see
/// [`time_exceeded`].
pub fn packet_too_big<B: PacketBuf>(packet: &mut B, from: Ipv6Addr, mtu: u32) -> bool {
    become_error(packet, from, (v6::PACKET_TOO_BIG, 0), mtu)
}

fn become_error<B: PacketBuf>(
    packet: &mut B,
    from: Ipv6Addr,
    (kind, code): (u8, u8),
    rest: u32,
) -> bool {
    let Ok(ip) = ipv6::check(packet) else {
        return false;
    };
    let bytes = packet.bytes();
    let Some(ethernet) = EthHeader::new_checked(bytes) else {
        return false;
    };
    let (to, us, ethertype) = (ethernet.src(), ethernet.dst(), ethernet.ethertype());
    let may_send = may_send_error_about(&ip, ethernet, bytes, kind == v6::PACKET_TOO_BIG);
    if !may_send || !packet.prepend(ERROR_LEN) {
        return false;
    }
    let quoted = usize::from(ip.total_len).min(MAX_ERROR_LEN - ERROR_LEN);
    packet.truncate(eth::HEADER_LEN + ERROR_LEN + quoted);
    let Some((ethernet, rest_of_frame)) = packet.bytes_mut().split_first_chunk_mut() else {
        return false;
    };
    eth::write(ethernet, to, us, ethertype);
    let Some((header, message)) = rest_of_frame.split_first_chunk_mut() else {
        return false;
    };
    let len = message.len() as u16;
    let new = NewHeader::of_ours(from.octets(), ip.src, proto::ICMPV6, len);
    ipv6::write(header, &new);
    if let Some(mut icmp) = IcmpHeaderMut::new_checked(message) {
        icmp.set_kind(kind, code);
        icmp.set_rest(rest);
    }
    write_checksum(message, from, ip.src.into());
    true
}

/// Writes the checksum of a message between these addresses, which it covers: RFC 4443, 2.3.
pub(crate) fn write_checksum(message: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) {
    if let Some(mut icmp) = IcmpHeaderMut::new_checked(message) {
        icmp.set_checksum(0);
    }
    let pseudo = pseudo_header_v6(src, dst, proto::ICMPV6, message.len() as u32);
    let sum = !checksum::fold(checksum::sum(message) + pseudo);
    if let Some(mut icmp) = IcmpHeaderMut::new_checked(message) {
        icmp.set_checksum(sum);
    }
}

/// RFC 4443, 2.4 (e): never about an error or a redirect, nor about what was for many, except that
/// it was too big.
fn may_send_error_about(
    ip: &IpFacts<[u8; 16]>,
    ethernet: EthHeader<'_>,
    frame: &[u8],
    is_too_big: bool,
) -> bool {
    let is_for_many = ipv6::is_multicast(&ip.dst) || ethernet.dst().is_multicast();
    let is_error = || {
        let kind = frame.get(usize::from(ip.l4_at));
        kind.is_none_or(|kind| v6::is_error(*kind) || *kind == v6::REDIRECT)
    };
    is_host(&ip.src)
        && !ethernet.src().is_multicast()
        && (!is_for_many || is_too_big)
        && ip.fragment_offset == 0
        && (ip.protocol != proto::ICMPV6 || !is_error())
}

/// Whether a single host can have this address.
const fn is_host(addr: &[u8; 16]) -> bool {
    !ipv6::is_martian_source(addr)
}

#[cfg(test)]
mod tests;
