//! Rewrites echo messages that go through SNAT. The identifier stands for the port (RFC 3022, 2.2).

use packet::PacketBuf;
use packet::checksum::Delta;

use crate::config::Protocol;
use crate::conn::{ConnFlags, Found};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::wire::{Family, Flow, put_identifier};
use crate::xmit::headers::rewrite_network;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Rewrites an echo message of a conn.
    #[inline(never)]
    pub(super) fn rewrite_echo(&mut self, packet: &mut B, flow: &Flow<A>, found: Found) {
        let conn = self.family.conns.get_mut(found.id);
        conn.touch(self.shared.now.tick());
        let identifications = &self.shared.identifications;
        rewrite_network(packet.bytes_mut(), conn, found.direction, identifications);
        let to = conn.rewritten(found.direction);
        let from = conn.tuple(found.direction);
        // ICMPv6's checksum covers the addresses (RFC 4443, 2.3).
        let addresses = if A::ICMP == Protocol::IcmpV6 {
            A::delta(from.src, to.src).plus(A::delta(from.dst, to.dst))
        } else {
            Delta::ZERO
        };
        let icmp = flow.l4_mut(packet.bytes_mut());
        let new = match found.direction {
            Direction::Inbound => to.sport,
            Direction::Outbound => to.dport,
        };
        put_identifier(icmp, new, addresses);
        if found.direction == Direction::Outbound && !conn.flags.has(ConnFlags::ANSWERED) {
            self.note_answer(found.id);
        }
    }
}
