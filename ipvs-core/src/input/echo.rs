//! Echo messages that are not for the director: a conn's, or another worker's, or the kernel's.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::ctx::{Forwarder, Miss};
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::{Family, Flow, identifier, tuple};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A request that is not for the director, or a reply: a conn's, or what may become one, or the kernel's.
    pub(super) fn receive_echo(
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
        if let Some(found) = self.family.conns.find(&flow.tuple) {
            return self.forward(packet, &flow, found, io);
        }
        if kind == A::ECHO_REQUEST {
            let lookup = self.family.conns.begin(&flow.tuple);
            return self.handle_miss(Miss::new(packet, flow, lookup), io);
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
}
