//! ICMP (RFC 792): echo to the director itself, and the errors it sends about packets.
//!
//! Both turn a received packet into what goes back to its sender by the port it came in by.

use std::net::Ipv4Addr;

use packet::PacketBuf;
use packet::checksum::{Delta, checksum};

const ETHERNET_LEN: usize = 14;
const IP_HEADER_LEN: usize = 20;
/// Type, code, checksum, and four bytes by type: that of every message we handle.
const ICMP_HEADER_LEN: usize = 8;
/// What an error puts in front of the packet it quotes.
const ERROR_LEN: usize = IP_HEADER_LEN + ICMP_HEADER_LEN;
/// RFC 1812, 4.3.2.3: an error is at most this long.
const LONGEST_ERROR: usize = 576;
/// RFC 1700's recommended default.
const TTL: u8 = 64;
const PROTOCOL: u8 = 1;
/// RFC 1812, 4.3.2.5: precedence INTERNETWORK CONTROL.
const ERROR_PRECEDENCE: u8 = 0xc0;

const ECHO_REPLY: u8 = 0;
const DEST_UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
/// RFC 1191, 4: a code of [`DEST_UNREACHABLE`].
const FRAGMENTATION_NEEDED: u8 = 4;
/// Queries and their replies, RFC 792, 950 and 1256. Of all other types no error may be sent.
const QUERIES: [u8; 10] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];

/// Why a packet does not reach its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unreachable {
    /// No route (RFC 792)
    Net = 0,
    /// The neighbour does not answer (RFC 792)
    Host = 1,
    /// Nobody speaks this protocol (RFC 792)
    Protocol = 2,
    /// Nobody listens (RFC 792)
    Port = 3,
    /// Not allowed (RFC 1812, 5.2.7.1)
    Prohibited = 13,
}

/// Turns an echo request into its reply (RFC 1122, 3.2.2.6): addresses swapped, the data kept.
///
/// Checksums are changed by what changes in the headers (RFC 1624), so that a wrong one stays wrong.
/// `false`, and nothing changed, if it is no whole echo request from a host that can get a reply.
pub fn echo_reply_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let Some(ip) = Ipv4::read(packet.bytes()) else {
        return false;
    };
    let icmp_at = ETHERNET_LEN + ip.header_len;
    let is_request = packet.bytes().get(icmp_at..icmp_at + 2) == Some(&[ECHO_REQUEST, 0]);
    let is_whole = ip.protocol == PROTOCOL
        && !ip.is_fragment
        && ip.total_len >= ip.header_len + ICMP_HEADER_LEN;
    if !(is_request && is_whole && ip.can_be_answered) {
        return false;
    }
    packet.truncate(ETHERNET_LEN + ip.total_len);
    let (ethernet_ip, icmp) = packet.bytes_mut().split_at_mut(icmp_at);
    let (ethernet, header) = ethernet_ip.split_at_mut(ETHERNET_LEN);
    ethernet[..12].rotate_left(6);
    let ttl_delta = Delta::of_u16(u16::from(header[8]) << 8, u16::from(TTL) << 8);
    header[8] = TTL;
    header[12..20].rotate_left(4);
    adjust(&mut header[10..12], ttl_delta);
    icmp[0] = ECHO_REPLY;
    adjust(
        &mut icmp[2..4],
        Delta::of_u16(u16::from(ECHO_REQUEST) << 8, u16::from(ECHO_REPLY) << 8),
    );
    true
}

fn adjust(field: &mut [u8], delta: Delta) {
    let old = u16::from_be_bytes([field[0], field[1]]);
    field.copy_from_slice(&delta.apply(old).to_be_bytes());
}

/// Turns a packet into the error that its time to live ran out here (RFC 792), from this address of
/// ours. `false`, and nothing changed, if no error may be sent about it: RFC 1812, 4.3.2.7. Like all
/// errors to be made before the packet is rewritten, and to be limited by a [`crate::RateLimit`].
pub fn time_exceeded<B: PacketBuf>(packet: &mut B, from: Ipv4Addr) -> bool {
    become_error(packet, from, [TIME_EXCEEDED, 0], 0)
}

/// Turns a packet into the error that it cannot reach its destination (RFC 792); see
/// [`time_exceeded`].
pub fn dest_unreachable<B: PacketBuf>(packet: &mut B, from: Ipv4Addr, why: Unreachable) -> bool {
    become_error(packet, from, [DEST_UNREACHABLE, why as u8], 0)
}

/// Turns a packet into the error that it is longer than `mtu` bytes and must not be fragmented
/// (RFC 1191, 4); see [`time_exceeded`]. `false` also for a packet that may be fragmented.
pub fn frag_needed<B: PacketBuf>(packet: &mut B, from: Ipv4Addr, mtu: u16) -> bool {
    Ipv4::read(packet.bytes()).is_some_and(|ip| ip.dont_fragment)
        && become_error(packet, from, [DEST_UNREACHABLE, FRAGMENTATION_NEEDED], mtu)
}

fn become_error<B: PacketBuf>(
    packet: &mut B,
    from: Ipv4Addr,
    type_code: [u8; 2],
    mtu: u16,
) -> bool {
    let bytes = packet.bytes();
    let (Some(ip), Some(ethernet)) = (
        Ipv4::read(bytes),
        bytes.first_chunk::<ETHERNET_LEN>().copied(),
    ) else {
        return false;
    };
    if !may_be_told(&ip, bytes) || !packet.prepend(ERROR_LEN) {
        return false;
    }
    let quoted = ip.total_len.min(LONGEST_ERROR - ERROR_LEN);
    packet.truncate(ETHERNET_LEN + ERROR_LEN + quoted);
    let (head, _) = packet
        .bytes_mut()
        .split_at_mut(ETHERNET_LEN + IP_HEADER_LEN);
    head[..6].copy_from_slice(&ethernet[6..12]);
    head[6..12].copy_from_slice(&ethernet[..6]);
    head[12..14].copy_from_slice(&ethernet[12..]);
    head[ETHERNET_LEN..].copy_from_slice(&error_ip_header(&ip, from, (ERROR_LEN + quoted) as u16));
    let icmp = &mut packet.bytes_mut()[ETHERNET_LEN + IP_HEADER_LEN..];
    icmp[..2].copy_from_slice(&type_code);
    icmp[2..6].fill(0);
    icmp[6..8].copy_from_slice(&mtu.to_be_bytes());
    let sum = checksum(icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Never about an error, a later fragment, or what was for many (RFC 1812, 4.3.2.7).
fn may_be_told(ip: &Ipv4, bytes: &[u8]) -> bool {
    let is_query = || {
        bytes
            .get(ETHERNET_LEN + ip.header_len)
            .is_some_and(|kind| QUERIES.contains(kind))
    };
    let has_type = ip.total_len > ip.header_len;
    ip.can_be_answered
        && !ip.is_later_fragment
        && (ip.protocol != PROTOCOL || (has_type && is_query()))
}

/// Don't-fragment with identification 0: an atomic datagram (RFC 6864, 4.1).
fn error_ip_header(about: &Ipv4, from: Ipv4Addr, total_len: u16) -> [u8; IP_HEADER_LEN] {
    let mut header = [0; IP_HEADER_LEN];
    header[0] = 0x45;
    // RFC 1812, 4.3.2.5: the type of service of the packet it is about.
    header[1] = ERROR_PRECEDENCE | (about.tos & 0x1e);
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[6] = 0x40;
    header[8] = TTL;
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&about.src.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// What of an IPv4 header answers go by. Its lengths are within the frame.
#[derive(Debug, Clone, Copy)]
struct Ipv4 {
    header_len: usize,
    total_len: usize,
    tos: u8,
    protocol: u8,
    src: Ipv4Addr,
    is_fragment: bool,
    is_later_fragment: bool,
    dont_fragment: bool,
    /// It went to one host, and its sender is one (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7).
    can_be_answered: bool,
}

impl Ipv4 {
    fn read(frame: &[u8]) -> Option<Self> {
        let ethernet = frame.first_chunk::<ETHERNET_LEN>()?;
        let header = frame.get(ETHERNET_LEN..)?.first_chunk::<IP_HEADER_LEN>()?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let total_len = u16::from_be_bytes([header[2], header[3]]);
        let is_sound = header[0] >> 4 == 4
            && header_len >= IP_HEADER_LEN
            && usize::from(total_len) >= header_len
            && ETHERNET_LEN + usize::from(total_len) <= frame.len();
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        let src = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
        let dst = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
        let is_frame_for_many = (ethernet[0] | ethernet[6]) & 1 == 1;
        is_sound.then_some(Self {
            header_len,
            total_len: usize::from(total_len),
            tos: header[1],
            protocol: header[9],
            src,
            is_fragment: fragment & 0x3fff != 0,
            is_later_fragment: fragment & 0x1fff != 0,
            dont_fragment: fragment & 0x4000 != 0,
            can_be_answered: !is_frame_for_many
                && is_host(src)
                && !dst.is_multicast()
                && !dst.is_broadcast(),
        })
    }
}

/// Not an address that no host has: RFC 1812, 5.3.7.
const fn is_host(addr: Ipv4Addr) -> bool {
    let [first, ..] = addr.octets();
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
mod tests;
