//! Echo through SNAT: the identifier stands for the port (RFC 3022, 2.2).

use std::net::IpAddr;

use packet::PacketBuf;
use packet::checksum::Delta;
use packet::ipv4::Ipv4Facts;

use crate::classify::Flow;
use crate::conn::{ConnFlags, Direction, Found};
use crate::connect::Unknown;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::forward::rewrite_network;
use crate::io::Io;
use crate::service::Protocol;
use crate::time::Now;
use crate::tuple::Tuple;

/// RFC 792
pub(crate) const ECHO_REPLY: u8 = 0;
/// RFC 792
pub(crate) const ECHO_REQUEST: u8 = 8;
/// Where the checksum and the identifier are: RFC 792.
const CHECKSUM: std::ops::Range<usize> = 2..4;
const IDENTIFIER: std::ops::Range<usize> = 4..6;

/// The identifier of an echo message; `None` if it is cut.
pub(crate) fn identifier(icmp: &[u8]) -> Option<u16> {
    let field = icmp.get(IDENTIFIER)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

/// Replaces the identifier, and changes the checksum by that.
pub(crate) fn put_identifier(icmp: &mut [u8], new: u16) {
    let Some(old) = identifier(icmp) else {
        return;
    };
    icmp[IDENTIFIER].copy_from_slice(&new.to_be_bytes());
    let sum = u16::from_be_bytes([icmp[CHECKSUM.start], icmp[CHECKSUM.start + 1]]);
    let sum = Delta::of_u16(old, new).apply(sum);
    icmp[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// The tuple of an echo message: what a request's sender chose is its port, the other port is 0.
pub(crate) fn tuple(ip: &Ipv4Facts, kind: u8, identifier: u16) -> Tuple<[u8; 4]> {
    let (sport, dport) = if kind == ECHO_REQUEST {
        (identifier, 0)
    } else {
        (0, identifier)
    };
    Tuple {
        src: ip.src,
        dst: ip.dst,
        sport,
        dport,
        protocol: Protocol::Icmp.number(),
    }
}

impl<B: PacketBuf> Engine<B> {
    /// A request that is not for the director, or a reply: a conn's, or what may become one, or the kernel's.
    pub(crate) fn receive_echo(
        &mut self,
        now: Now,
        packet: B,
        ip: &Ipv4Facts,
        kind: u8,
        io: &mut impl Io<B>,
    ) {
        let icmp = packet.bytes().get(usize::from(ip.l4_at)..);
        let Some(identifier) = icmp.and_then(identifier) else {
            return self.drop(packet, DropReason::IcmpMalformed);
        };
        let flow = Flow {
            tuple: tuple(ip, kind, identifier),
            protocol: Protocol::Icmp,
            l4_at: ip.l4_at,
            is_fragment: false,
            total_len: ip.total_len,
        };
        if let Some(found) = self.conns.find(&flow.tuple) {
            return self.forward(now, packet, &flow, found, io);
        }
        if kind == ECHO_REQUEST {
            let lookup = self.conns.begin(&flow.tuple);
            return self.connect(
                now,
                Unknown {
                    packet,
                    flow,
                    lookup,
                },
                io,
            );
        }
        let owner = sapool::owner_of(identifier, self.config.workers);
        let local = self.snapshot.net.local_addr(IpAddr::from(ip.dst));
        let is_others = owner != self.config.worker && self.hand_overs(&packet) == 0;
        if is_others && local.is_some_and(|local| local.sapool) {
            self.redirect(packet, owner, io);
        } else {
            self.to_kernel(packet, io);
        }
    }

    /// Rewrites an echo message of a conn.
    #[inline(never)]
    pub(crate) fn rewrite_echo(&mut self, now: Now, packet: &mut B, flow: &Flow, found: Found) {
        let conn = self.conns.get_mut(found.id);
        conn.touch(now.tick());
        rewrite_network(packet.bytes_mut(), conn, found.direction);
        let to = conn.rewritten(found.direction);
        let icmp = packet.bytes_mut().get_mut(usize::from(flow.l4_at)..);
        let new = match found.direction {
            Direction::Inbound => to.sport,
            Direction::Outbound => to.dport,
        };
        put_identifier(icmp.unwrap_or_default(), new);
        if found.direction == Direction::Outbound && !conn.flags.has(ConnFlags::ANSWERED) {
            self.answer_udp(found.id);
        }
    }
}
