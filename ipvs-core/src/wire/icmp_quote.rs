//! The packet that an ICMP error quotes, and how our rewrite of it is undone.

use packet::PacketBuf;
use packet::checksum::{self, Delta};
use packet::ip::IpFacts;
use packet::ipv4::L2_LEN;
use packet::nat64::Nat64Prefix;

use crate::config::Protocol;
use crate::conn::Conn;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::tuple::Tuple;
use crate::wire::family::{self, Family, in_family_of};
use crate::wire::{echo, tcp};

/// Bytes of an ICMP header, in front of the quoted packet.
pub(crate) const ICMP_HEADER_LEN: usize = packet::icmp::HEADER_LEN;
/// Bytes of the L4 header that an error quotes at least: RFC 792.
const QUOTED_L4_LEN: usize = 8;

/// The packet that an ICMP error quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoted<A> {
    /// The facts of its IP header.
    pub(crate) ip: IpFacts<A>,
    /// Offset of its L4 header, from the start of the ICMP header.
    pub(crate) l4_at: usize,
    /// Its tuple where the error arose, so after our rewrite.
    pub(crate) tuple: Tuple<A>,
}

/// Longest ICMP error in bytes of the IP packet (RFC 1812, 4.3.2.3), and longest ICMPv6 error (RFC
/// 4443, 2.4 (c)).
pub(crate) const LONGEST_ICMP_ERROR: usize = 576;
pub(crate) const LONGEST_ICMPV6_ERROR: usize = 1280;

/// Reads what an error quotes. `None` if that is a packet of a protocol that has no conns.
pub(crate) fn read_quoted<A: Family>(icmp: &[u8]) -> Result<Option<Quoted<A>>, DropReason> {
    let quoted = icmp.get(ICMP_HEADER_LEN..).unwrap_or_default();
    let ip = A::check_quoted(quoted).ok_or(DropReason::IcmpMalformed)?;
    if Protocol::from_number(ip.protocol).is_none() || ip.fragment_offset != 0 {
        return Ok(None);
    }
    let l4_at = usize::from(ip.l4_at) - L2_LEN;
    let l4 = quoted
        .get(l4_at..)
        .and_then(<[u8]>::first_chunk::<QUOTED_L4_LEN>)
        .ok_or(DropReason::IcmpMalformed)?;
    let tuple = if ip.protocol == A::ICMP.number() {
        match (l4[0], echo::identifier(l4)) {
            (kind, Some(identifier)) if kind == A::ECHO_REQUEST || kind == A::ECHO_REPLY => {
                echo::tuple(&ip, kind, identifier)
            }
            _ => return Ok(None),
        }
    } else {
        Tuple {
            src: ip.src,
            dst: ip.dst,
            sport: u16::from_be_bytes([l4[0], l4[1]]),
            dport: u16::from_be_bytes([l4[2], l4[3]]),
            protocol: ip.protocol,
        }
    };
    Ok(Some(Quoted {
        ip,
        l4_at: ICMP_HEADER_LEN + l4_at,
        tuple,
    }))
}

/// Cuts an error that its way does not take down to the longest that one may be. The checksum is
/// computed anew: it was right before. Extensions behind the quoted packet are lost, and so is the
/// length by which they are found (RFC 4884, 3 and 5).
pub(crate) fn trim<A: Family, B: PacketBuf>(packet: &mut B, ip: &IpFacts<A>) {
    // All errors of ICMP have the length at byte 5, two of ICMPv6 at byte 4.
    let (longest, length_at) = if family::is_ipv4(packet.bytes()) {
        (LONGEST_ICMP_ERROR, 5)
    } else {
        (LONGEST_ICMPV6_ERROR, 4)
    };
    let Some(by) = ip.total_len.checked_sub(longest as u16) else {
        return;
    };
    packet.truncate(L2_LEN + longest);
    family::shrink(packet.bytes_mut(), by);
    let icmp = ip.l4_mut(packet.bytes_mut());
    let has_length = length_at == 5 || icmp.first().is_some_and(|kind| *kind == 1 || *kind == 3);
    if let Some(length) = icmp.get_mut(length_at).filter(|_| has_length) {
        *length = 0;
    }
    write_checksum(icmp, ip.src, ip.dst);
}

/// Writes the checksum of an ICMP message between these addresses.
pub(crate) fn write_checksum<A: Family>(icmp: &mut [u8], src: A, dst: A) {
    if icmp.len() < ICMP_HEADER_LEN {
        return;
    }
    icmp[2..4].fill(0);
    let pseudo = A::icmp_pseudo_header(src, dst, icmp.len() as u16);
    let sum = !checksum::fold(checksum::sum(icmp) + pseudo);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// The tuple that the receiver of an error sent its packet with. An error that goes outbound is
/// about a packet that went inbound, and the other way round.
pub(crate) const fn as_sent<A: Family>(conn: &Conn<A>, direction: Direction) -> Tuple<A> {
    match direction {
        Direction::Outbound => conn.tuple(Direction::Inbound),
        Direction::Inbound => conn.tuple(Direction::Outbound),
    }
}

/// Source and destination that an error leaves with.
///
/// Where the other end keeps its address through the director, so does `sender`, and only the
/// destination changes: the receiver sees which router speaks (RFC 5508, REQ-4). Where the director
/// hides the other end, it hides the routers on the way to it too (RFC 5508, REQ-5 (d)).
pub(crate) fn ends_of_error<A: Family>(
    conn: &Conn<A>,
    direction: Direction,
    sender: A,
    prefix: Nat64Prefix,
) -> (A, A) {
    let to = conn.rewritten(direction);
    let seen_from = |addr| in_family_of(to.dst.to_ip(), addr, prefix);
    let is_shown = seen_from(conn.tuple(direction).src) == Some(to.src);
    let sender = seen_from(sender).filter(|_| is_shown);
    (sender.unwrap_or(to.src), to.dst)
}

/// Undoes our rewrite of the L4 header of a quoted packet, of which at least 8 bytes are there.
/// `dest_delta` was added to the dest's sequence numbers.
pub(crate) fn restore_l4<A: Family>(
    l4: &mut [u8],
    quoted: &Quoted<A>,
    conn: &Conn<A>,
    direction: Direction,
    dest_delta: u32,
) {
    let sent = as_sent(conn, direction);
    if l4.len() < QUOTED_L4_LEN {
        return;
    }
    if conn.protocol == A::ICMP.number() {
        // One of both ports is 0: the other one is the identifier.
        let addresses =
            A::delta(quoted.tuple.src, sent.src).plus(A::delta(quoted.tuple.dst, sent.dst));
        let delta = if A::ICMP == Protocol::IcmpV6 {
            addresses
        } else {
            Delta::ZERO
        };
        return echo::put_identifier(l4, sent.sport | sent.dport, delta);
    }
    l4[0..2].copy_from_slice(&sent.sport.to_be_bytes());
    l4[2..4].copy_from_slice(&sent.dport.to_be_bytes());
    let mut delta = conn.l4_delta(direction);
    let is_tcp = conn.protocol == Protocol::Tcp.number();
    if is_tcp {
        let [at_seq, at_ack] = [tcp::SEQ, tcp::ACK_NUMBER];
        // A quoted segment has the numbers that the other end saw. They become those that the
        // receiver of the error had sent.
        let numbers = match direction {
            Direction::Inbound => [
                (at_seq, dest_delta.wrapping_neg()),
                (at_ack, conn.seq_delta),
            ],
            Direction::Outbound => [
                (at_seq, conn.seq_delta.wrapping_neg()),
                (at_ack, dest_delta),
            ],
        };
        for (at, back) in numbers {
            delta = delta.plus(add_to_number(l4, at, back));
        }
    }
    let checksum_at = if is_tcp { 16 } else { 6 };
    if let Some(field) = l4.get_mut(checksum_at..checksum_at + 2) {
        let old = u16::from_be_bytes([field[0], field[1]]);
        if is_tcp || old != 0 {
            field.copy_from_slice(&delta.apply(old).to_be_bytes());
        }
    }
}

/// Undoes our rewrite of a quoted packet.
pub(crate) fn restore_quoted<A: Family>(
    icmp: &mut [u8],
    quoted: &Quoted<A>,
    conn: &Conn<A>,
    direction: Direction,
    dest_delta: u32,
) {
    let sent = as_sent(conn, direction);
    let ip = icmp.get_mut(ICMP_HEADER_LEN..).unwrap_or_default();
    A::readdress(ip, sent.src, sent.dst, conn.l3_delta(direction));
    let l4 = icmp.get_mut(quoted.l4_at..).unwrap_or_default();
    restore_l4(l4, quoted, conn, direction, dest_delta);
}

/// Adds `back` to a number in a TCP header, if that part of the header is quoted. Returns
/// the change of the checksum.
fn add_to_number(l4: &mut [u8], at: usize, back: u32) -> Delta {
    let Some(field) = l4.get_mut(at..at + 4) else {
        return Delta::ZERO;
    };
    let old = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
    let new = old.wrapping_add(back);
    field.copy_from_slice(&new.to_be_bytes());
    Delta::of_u32(old, new)
}
