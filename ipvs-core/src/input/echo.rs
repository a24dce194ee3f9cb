//! Echo messages that are not for the director.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::ctx::{Forwarder, Miss};
use crate::drop_reason::DropReason;
use crate::input::handoff::PortOwner;
use crate::io::Io;
use crate::wire::{Family, Flow, identifier, tuple};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// An echo request for somebody else, or an echo reply. It belongs to a conn of SNAT, may make
    /// one, belongs to another worker, or goes to the kernel.
    pub(super) fn receive_echo(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        kind: u8,
        io: &mut impl Io<B>,
    ) {
        let icmp = ip.l4(packet.bytes());
        let Some(identifier) = identifier(icmp) else {
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
        match self.shared.port_owner(&packet, ip.dst, identifier) {
            PortOwner::Other(worker) => self.shared.redirect(packet, worker, io),
            _ => self.shared.to_kernel(packet, io),
        }
    }
}
