//! Echo messages of ICMP and ICMPv6: the identifier stands for the port (RFC 3022, 2.2).

use packet::checksum::Delta;
use packet::ip::IpFacts;

use crate::tuple::Tuple;
use crate::wire::family::Family;

/// Where an echo message has its checksum and its identifier: RFC 792, and RFC 4443 alike.
const CHECKSUM: std::ops::Range<usize> = 2..4;
const IDENTIFIER: std::ops::Range<usize> = 4..6;

/// The identifier of an echo message. `None` if the message is cut.
pub(crate) fn identifier(icmp: &[u8]) -> Option<u16> {
    let field = icmp.get(IDENTIFIER)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

/// Replaces the identifier. The checksum changes by that and by `delta`.
pub(crate) fn put_identifier(icmp: &mut [u8], new: u16, delta: Delta) {
    let Some(old) = identifier(icmp) else {
        return;
    };
    icmp[IDENTIFIER].copy_from_slice(&new.to_be_bytes());
    let sum = u16::from_be_bytes([icmp[CHECKSUM.start], icmp[CHECKSUM.start + 1]]);
    let sum = delta.plus(Delta::of_u16(old, new)).apply(sum);
    icmp[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// The tuple of an echo message. The identifier is the port of whoever sent the request; the other
/// port is 0.
pub(crate) fn tuple<A: Family>(ip: &IpFacts<A>, kind: u8, identifier: u16) -> Tuple<A> {
    let (sport, dport) = if kind == A::ECHO_REQUEST {
        (identifier, 0)
    } else {
        (0, identifier)
    };
    Tuple {
        src: ip.src,
        dst: ip.dst,
        sport,
        dport,
        protocol: A::ICMP.number(),
    }
}
