//! ICMPv6 (RFC 4443): echo to the director itself, and the errors it sends about packets.
//!
//! Both turn a received packet into what goes back to its sender by the port it came in by.

use std::net::Ipv6Addr;

use packet::checksum::{self, Delta, pseudo_header_v6};
use packet::ip::{IpFacts, NewHeader};
use packet::{PacketBuf, ipv6};

const ETHERNET_LEN: usize = 14;
const PROTOCOL: u8 = 58;
/// Type, code, checksum, and four bytes by type: that of every message we handle.
const ICMP_HEADER_LEN: usize = 8;
/// What an error puts in front of the packet it quotes.
const ERROR_LEN: usize = ipv6::HEADER_LEN + ICMP_HEADER_LEN;
/// RFC 4443, 2.4 (c): an error is at most as long as every link can carry.
const LONGEST_ERROR: usize = 1280;
const HOP_LIMIT: u8 = 64;

const DEST_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const REDIRECT: u8 = 137;

/// Why a packet does not reach its destination: RFC 4443, 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unreachable {
    /// No route
    Route = 0,
    /// Not allowed
    Prohibited = 1,
    /// The neighbour does not answer
    Address = 3,
    /// Nobody listens
    Port = 4,
}

/// Turns an echo request into its reply (RFC 4443, 4.2): addresses swapped, the data kept.
///
/// The checksum is changed by what changes (RFC 1624), so that a wrong one stays wrong. `false`, and nothing changed,
/// if it is no whole echo request from a host that can get a reply.
pub fn echo_reply_in_place<B: PacketBuf>(packet: &mut B) -> bool {
    let Ok(ip) = ipv6::check(packet) else {
        return false;
    };
    let icmp_at = usize::from(ip.l4_at);
    let is_request = packet.bytes().get(icmp_at..icmp_at + 2) == Some(&[ECHO_REQUEST, 0]);
    let is_whole = ip.protocol == PROTOCOL
        && !ip.is_fragment
        && packet.bytes().len() >= icmp_at + ICMP_HEADER_LEN;
    if !(is_request && is_whole && is_host(&ip.src) && !ipv6::is_multicast(&ip.dst)) {
        return false;
    }
    let (ethernet_ip, icmp) = packet.bytes_mut().split_at_mut(icmp_at);
    let (ethernet, header) = ethernet_ip.split_at_mut(ETHERNET_LEN);
    ethernet[..12].rotate_left(6);
    header[7] = HOP_LIMIT;
    header[8..40].rotate_left(16);
    icmp[0] = ECHO_REPLY;
    let old = u16::from_be_bytes([icmp[2], icmp[3]]);
    let change = Delta::of_u16(u16::from(ECHO_REQUEST) << 8, u16::from(ECHO_REPLY) << 8);
    icmp[2..4].copy_from_slice(&change.apply(old).to_be_bytes());
    true
}

/// Turns a packet into the error that its hop limit ran out here (RFC 4443, 3.3), from this address of ours. `false`,
/// and nothing changed, if no error may be sent about it: RFC 4443, 2.4 (e). Like all errors to be made before the
/// packet is rewritten, and to be limited by a [`crate::RateLimit`].
pub fn time_exceeded<B: PacketBuf>(packet: &mut B, from: Ipv6Addr) -> bool {
    become_error(packet, from, [TIME_EXCEEDED, 0], 0)
}

/// Turns a packet into the error that it cannot reach its destination (RFC 4443, 3.1); see [`time_exceeded`].
pub fn dest_unreachable<B: PacketBuf>(packet: &mut B, from: Ipv6Addr, why: Unreachable) -> bool {
    become_error(packet, from, [DEST_UNREACHABLE, why as u8], 0)
}

/// Turns a packet into the error that it is longer than `mtu` bytes (RFC 4443, 3.2); see [`time_exceeded`].
pub fn packet_too_big<B: PacketBuf>(packet: &mut B, from: Ipv6Addr, mtu: u32) -> bool {
    become_error(packet, from, [PACKET_TOO_BIG, 0], mtu)
}

fn become_error<B: PacketBuf>(
    packet: &mut B,
    from: Ipv6Addr,
    type_code: [u8; 2],
    rest: u32,
) -> bool {
    let Ok(ip) = ipv6::check(packet) else {
        return false;
    };
    let bytes = packet.bytes();
    let Some(ethernet) = bytes.first_chunk::<ETHERNET_LEN>().copied() else {
        return false;
    };
    let may_be_told = may_be_told(&ip, bytes, type_code[0] == PACKET_TOO_BIG);
    if !may_be_told || !packet.prepend(ERROR_LEN) {
        return false;
    }
    let quoted = usize::from(ip.total_len).min(LONGEST_ERROR - ERROR_LEN);
    packet.truncate(ETHERNET_LEN + ERROR_LEN + quoted);
    let (head, icmp) = packet
        .bytes_mut()
        .split_at_mut(ETHERNET_LEN + ipv6::HEADER_LEN);
    head[..6].copy_from_slice(&ethernet[6..12]);
    head[6..12].copy_from_slice(&ethernet[..6]);
    head[12..14].copy_from_slice(&ethernet[12..]);
    let len = (ICMP_HEADER_LEN + quoted) as u16;
    if let Some(header) = head[ETHERNET_LEN..].first_chunk_mut() {
        ipv6::write(
            header,
            &NewHeader::of_ours(from.octets(), ip.src, PROTOCOL, len),
        );
    }
    icmp[..2].copy_from_slice(&type_code);
    icmp[2..4].fill(0);
    icmp[4..8].copy_from_slice(&rest.to_be_bytes());
    let pseudo = pseudo_header_v6(from, ip.src.into(), PROTOCOL, len.into());
    let sum = !checksum::fold(checksum::sum(icmp) + pseudo);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    true
}

/// RFC 4443, 2.4 (e): never about an error or a redirect, nor about what was for many, except that it was too big.
fn may_be_told(ip: &IpFacts<[u8; 16]>, frame: &[u8], is_too_big: bool) -> bool {
    let is_for_many = ipv6::is_multicast(&ip.dst) || frame[0] & 1 == 1;
    let is_error = || {
        let kind = frame.get(usize::from(ip.l4_at));
        kind.is_none_or(|kind| *kind < 128 || *kind == REDIRECT)
    };
    is_host(&ip.src)
        && frame[6] & 1 == 0
        && (!is_for_many || is_too_big)
        && ip.fragment_offset == 0
        && (ip.protocol != PROTOCOL || !is_error())
}

/// Not an address that no single host has.
const fn is_host(addr: &[u8; 16]) -> bool {
    !ipv6::is_martian_source(addr)
}

#[cfg(test)]
mod tests;
