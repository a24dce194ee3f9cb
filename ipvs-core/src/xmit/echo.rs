//! Echo through SNAT: the identifier stands for the port (RFC 3022, 2.2).

use packet::PacketBuf;
use packet::checksum::Delta;
use packet::ip::IpFacts;

use crate::config::protocol::Protocol;
use crate::conn::{ConnFlags, Direction, Found};
use crate::ctx::family_state::Forwarder;
use crate::ctx::miss::Miss;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::tuple::Tuple;
use crate::wire::family::Family;
use crate::wire::flow::Flow;
use crate::xmit::rewrite::rewrite_network;

/// Where the checksum and the identifier are: RFC 792, and the same in RFC 4443.
const CHECKSUM: std::ops::Range<usize> = 2..4;
const IDENTIFIER: std::ops::Range<usize> = 4..6;

/// The identifier of an echo message; `None` if it is cut.
pub(crate) fn identifier(icmp: &[u8]) -> Option<u16> {
    let field = icmp.get(IDENTIFIER)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

/// Replaces the identifier, and changes the checksum by that and by what else `delta` says.
pub(crate) fn put_identifier(icmp: &mut [u8], new: u16, delta: Delta) {
    let Some(old) = identifier(icmp) else {
        return;
    };
    icmp[IDENTIFIER].copy_from_slice(&new.to_be_bytes());
    let sum = u16::from_be_bytes([icmp[CHECKSUM.start], icmp[CHECKSUM.start + 1]]);
    let sum = delta.plus(Delta::of_u16(old, new)).apply(sum);
    icmp[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// The tuple of an echo message: what a request's sender chose is its port, the other port is 0.
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

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A request that is not for the director, or a reply: a conn's, or what may become one, or the kernel's.
    pub(crate) fn receive_echo(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        kind: u8,
        io: &mut impl Io<B>,
    ) {
        let icmp = packet.bytes().get(usize::from(ip.l4_at)..);
        let Some(identifier) = icmp.and_then(identifier) else {
            return self.shared.drop(packet, DropReason::IcmpMalformed);
        };
        let flow = Flow {
            tuple: tuple(ip, kind, identifier),
            l4_at: ip.l4_at,
            is_fragment: false,
            total_len: ip.total_len,
        };
        if let Some(found) = self.lane.conns.find(&flow.tuple) {
            return self.forward(packet, &flow, found, io);
        }
        if kind == A::ECHO_REQUEST {
            let lookup = self.lane.conns.begin(&flow.tuple);
            return self.connect(Miss::new(packet, flow, lookup), io);
        }
        let owner = sapool::owner_of(identifier, self.shared.config.workers);
        let local = self.shared.snapshot.net.local_addr(ip.dst.to_ip());
        let is_others = owner != self.shared.config.worker && self.shared.hand_overs(&packet) == 0;
        if is_others && local.is_some_and(|local| local.sapool) {
            self.shared.redirect(packet, owner, io);
        } else {
            self.shared.to_kernel(packet, io);
        }
    }

    /// Rewrites an echo message of a conn.
    #[inline(never)]
    pub(crate) fn rewrite_echo(&mut self, packet: &mut B, flow: &Flow<A>, found: Found) {
        let conn = self.lane.conns.get_mut(found.id);
        conn.touch(self.shared.now.tick());
        rewrite_network(packet.bytes_mut(), conn, found.direction);
        let to = conn.rewritten(found.direction);
        let from = conn.tuple(found.direction);
        // ICMPv6's checksum covers the addresses (RFC 4443, 2.3).
        let addresses = if A::ICMP == Protocol::IcmpV6 {
            A::delta(from.src, to.src).plus(A::delta(from.dst, to.dst))
        } else {
            Delta::ZERO
        };
        let icmp = packet.bytes_mut().get_mut(usize::from(flow.l4_at)..);
        let new = match found.direction {
            Direction::Inbound => to.sport,
            Direction::Outbound => to.dport,
        };
        put_identifier(icmp.unwrap_or_default(), new, addresses);
        if found.direction == Direction::Outbound && !conn.flags.has(ConnFlags::ANSWERED) {
            self.note_answer(found.id);
        }
    }
}
