//! ICMP (RFC 792): the reply to an echo request for the director itself, and the errors it sends
//! about packets.
//!
//! Both turn a received packet into what goes back to its sender by the port it came in by.

use std::net::Ipv4Addr;

use packet::checksum::checksum;
use packet::eth::{self, EthHeader, EthHeaderMut};
use packet::icmp::{self, IcmpHeader, IcmpHeaderMut, v4};
use packet::ip::{DEFAULT_TTL, IpFacts, NewHeader, proto};
use packet::{PacketBuf, ipv4};

/// What an error puts in front of the packet it quotes.
const ERROR_LEN: usize = ipv4::HEADER_LEN + icmp::HEADER_LEN;
/// RFC 1812, 4.3.2.3: an error is at most this long.
const MAX_ERROR_LEN: usize = 576;
/// RFC 1812, 4.3.2.5: precedence INTERNETWORK CONTROL.
const ERROR_PRECEDENCE: u8 = 0xc0;
/// RFC 1349, 3: the bits of the type of service that are neither precedence nor reserved.
const TOS_BITS: u8 = 0x1e;
/// Where an IPv4 header has its type of service.
const TOS_AT: usize = eth::HEADER_LEN + 1;

/// Queries and their replies: RFC 792, 950 and 1256. No error may be sent about any other type.
const QUERIES: [u8; 10] = [
    v4::ECHO_REPLY,
    v4::ECHO_REQUEST,
    v4::ROUTER_ADVERTISEMENT,
    v4::ROUTER_SOLICITATION,
    v4::TIMESTAMP_REQUEST,
    v4::TIMESTAMP_REPLY,
    v4::INFORMATION_REQUEST,
    v4::INFORMATION_REPLY,
    v4::ADDRESS_MASK_REQUEST,
    v4::ADDRESS_MASK_REPLY,
];

/// Why a packet does not reach its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unreachable {
    /// No route (RFC 792)
    Net = v4::CODE_NET,
    /// The neighbour does not answer (RFC 792)
    Host = v4::CODE_HOST,
    /// Nobody speaks this protocol (RFC 792)
    Protocol = v4::CODE_PROTOCOL,
    /// Nobody listens (RFC 792)
    Port = v4::CODE_PORT,
    /// Not allowed (RFC 1812, 5.2.7.1)
    Prohibited = v4::CODE_PROHIBITED,
}

/// Turns an echo request into its reply (RFC 1122, 3.2.2.6): addresses swapped, the data kept. The
/// first fragment of a request becomes the first one of the reply, see
/// [`echo_reply_fragment_in_place`].
///
/// Checksums are changed by what changes in the headers (RFC 1624), so that a wrong one stays
/// wrong. Returns `false`, and changes nothing, if the packet is not an echo request from a host
/// that can get a reply.
pub fn echo_reply_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let Some(ip) = read(packet.bytes()) else {
        return false;
    };
    let icmp_at = usize::from(ip.l4_at);
    let end = eth::HEADER_LEN + usize::from(ip.total_len);
    let message = packet.bytes().get(icmp_at..end).unwrap_or_default();
    let is_request = IcmpHeader::new_checked(message)
        .is_some_and(|icmp| icmp.kind() == v4::ECHO_REQUEST && icmp.code() == 0);
    let has_header = ip.protocol == proto::ICMP && ip.fragment_offset == 0;
    if !(is_request && has_header && can_be_answered(&ip, packet.bytes())) {
        return false;
    }
    packet.truncate(end);
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
    ipv4::make_reply(header, DEFAULT_TTL);
    icmp.replace_kind(v4::ECHO_REPLY, 0);
    true
}

/// Turns a later fragment of an echo request into that of its reply. All fragments of a reply have
/// the identification of the request, so whoever sent it reassembles them; nothing has to be
/// reassembled here (RFC 1122, 3.3.2). The caller knows that it is of an echo request.
///
/// Returns `false`, and changes nothing, if it is from no host that can get a reply.
pub fn echo_reply_fragment_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let Some(ip) = read(packet.bytes()) else {
        return false;
    };
    if !can_be_answered(&ip, packet.bytes()) {
        return false;
    }
    packet.truncate(eth::HEADER_LEN + usize::from(ip.total_len));
    let Some((ethernet, header)) = packet.bytes_mut().split_at_mut_checked(eth::HEADER_LEN) else {
        return false;
    };
    let views = (
        EthHeaderMut::new_checked(ethernet),
        header.first_chunk_mut(),
    );
    let (Some(mut ethernet), Some(header)) = views else {
        return false;
    };
    ethernet.swap_addrs();
    ipv4::make_reply(header, DEFAULT_TTL);
    true
}

/// Turns a packet into the error that its time to live ran out here (RFC 792), from this address of
/// ours. Returns `false`, and changes nothing, if no error may be sent about it: RFC 1812, 4.3.2.7.
///
/// Call it, as all that make errors, before the packet is rewritten, and limit how often by a
/// [`crate::RateLimit`].
pub fn time_exceeded<B: PacketBuf>(packet: &mut B, from: Ipv4Addr) -> bool {
    become_error(packet, from, (v4::TIME_EXCEEDED, 0), 0)
}

/// Turns a packet into the error that it cannot reach its destination (RFC 792); see
/// [`time_exceeded`].
pub fn dest_unreachable<B: PacketBuf>(packet: &mut B, from: Ipv4Addr, why: Unreachable) -> bool {
    become_error(packet, from, (v4::DEST_UNREACHABLE, why as u8), 0)
}

/// Turns a packet into the error that it is longer than `mtu` bytes and must not be fragmented
/// (RFC 1191, 4); see [`time_exceeded`]. Returns `false` also for a packet that may be fragmented.
pub fn frag_needed<B: PacketBuf>(packet: &mut B, from: Ipv4Addr, mtu: u16) -> bool {
    let kind = (v4::DEST_UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED);
    read(packet.bytes()).is_some_and(|ip| ip.dont_fragment)
        && become_error(packet, from, kind, u32::from(mtu))
}

fn become_error<B: PacketBuf>(
    packet: &mut B,
    from: Ipv4Addr,
    (kind, code): (u8, u8),
    rest: u32,
) -> bool {
    let bytes = packet.bytes();
    let (Some(ip), Some(ethernet)) = (read(bytes), EthHeader::new_checked(bytes)) else {
        return false;
    };
    let (to, us, ethertype) = (ethernet.src(), ethernet.dst(), ethernet.ethertype());
    let tos = bytes.get(TOS_AT).copied().unwrap_or(0);
    if !may_send_error_about(&ip, bytes) || !packet.prepend(ERROR_LEN) {
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
    let new = NewHeader {
        // RFC 1812, 4.3.2.5: the type of service of the packet it is about.
        traffic_class: ERROR_PRECEDENCE | (tos & TOS_BITS),
        ..NewHeader::of_ours(from.octets(), ip.src, proto::ICMP, message.len() as u16)
    };
    ipv4::write(header, &new);
    write_message(message, kind, code, rest);
    true
}

/// Writes the header of a message, and the checksum of header and data.
fn write_message(message: &mut [u8], kind: u8, code: u8, rest: u32) {
    let Some(mut icmp) = IcmpHeaderMut::new_checked(message) else {
        return;
    };
    icmp.set_kind(kind, code);
    icmp.set_checksum(0);
    icmp.set_rest(rest);
    let sum = checksum(message);
    if let Some(mut icmp) = IcmpHeaderMut::new_checked(message) {
        icmp.set_checksum(sum);
    }
}

/// Never about an error, a later fragment, or what was for many (RFC 1812, 4.3.2.7).
fn may_send_error_about(ip: &IpFacts<[u8; 4]>, frame: &[u8]) -> bool {
    let has_type = usize::from(ip.total_len) > usize::from(ip.l4_at) - eth::HEADER_LEN;
    let is_query = || {
        let kind = frame.get(usize::from(ip.l4_at));
        kind.is_some_and(|kind| QUERIES.contains(kind))
    };
    can_be_answered(ip, frame)
        && ip.fragment_offset == 0
        && (ip.protocol != proto::ICMP || (has_type && is_query()))
}

/// The packet went to one host, and its sender is one (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7).
fn can_be_answered(ip: &IpFacts<[u8; 4]>, frame: &[u8]) -> bool {
    EthHeader::new_checked(frame)
        .is_some_and(|ethernet| !ethernet.dst().is_multicast() && !ethernet.src().is_multicast())
        && !ipv4::is_martian_source(ip.src)
        && !ipv4::is_multicast_or_broadcast(ip.dst)
}

/// Reads the IPv4 header. `None` if it is not sound, or the packet is longer than the frame. The
/// checksum is not looked at.
fn read(frame: &[u8]) -> Option<IpFacts<[u8; 4]>> {
    let packet = frame.get(eth::HEADER_LEN..)?;
    let ip = ipv4::check_quoted(packet)?;
    let total_len = usize::from(ip.total_len);
    let header_len = usize::from(ip.l4_at) - eth::HEADER_LEN;
    (header_len <= total_len && total_len <= packet.len()).then_some(ip)
}

#[cfg(test)]
mod tests;
