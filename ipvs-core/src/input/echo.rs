//! Echo messages, whole and in fragments.
//!
//! The director answers requests for itself. Others belong to conns of SNAT, or go to the kernel.

use inet::{icmp, icmpv6};
use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::ctx::{Forwarder, Miss};
use crate::drop_reason::DropReason;
use crate::input::handoff::PortOwner;
use crate::io::Io;
use crate::wire::{Family, Flow, family, identifier, tuple};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// An echo request for the director: it becomes the reply. So does the first fragment of one.
    pub(super) fn answer_echo(&self, mut packet: B, io: &mut impl Io<B>) {
        let is_answered = if family::is_ipv4(packet.bytes()) {
            icmp::echo_reply_in_place(&mut packet)
        } else {
            icmpv6::echo_reply_in_place(&mut packet)
        };
        self.send_back(packet, is_answered, io);
    }

    /// A later fragment of an echo request for the director: it becomes that of the reply.
    pub(super) fn answer_echo_fragment(&self, mut packet: B, io: &mut impl Io<B>) {
        let is_answered = if family::is_ipv4(packet.bytes()) {
            icmp::echo_reply_fragment_in_place(&mut packet)
        } else {
            icmpv6::echo_reply_fragment_in_place(&mut packet)
        };
        self.send_back(packet, is_answered, io);
    }

    fn send_back(&self, packet: B, is_answered: bool, io: &mut impl Io<B>) {
        if is_answered {
            self.shared.stats.transmitted.add(1);
            io.transmit(packet.port(), packet);
        } else {
            self.shared.drop(packet, DropReason::IcmpMalformed);
        }
    }

    /// The first fragment of an ICMP message. Only those of echo messages are ours. The checksum
    /// covers the whole message, so it is not looked at.
    pub(super) fn receive_first_icmp_fragment(
        &mut self,
        mut packet: B,
        ip: &IpFacts<A>,
        io: &mut impl Io<B>,
    ) {
        let icmp = ip.l4(packet.bytes());
        let (Some(kind), Some(identifier)) = (icmp.first().copied(), identifier(icmp)) else {
            return self.shared.drop(packet, DropReason::IcmpMalformed);
        };
        let (is_request, is_to_us) = (kind == A::ECHO_REQUEST, self.is_local(ip.dst));
        let has_snat = self.shared.snapshot.services.has_match_services();
        let is_answered = is_request && is_to_us;
        // The director's own identifiers are ports of WAN addresses, never 0. A reply with
        // 0 would leave the same note as a request, and its later fragments would be answered.
        let is_reply = kind == A::ECHO_REPLY && !(is_to_us && identifier == 0);
        let is_forwarded = has_snat && (is_request || is_reply);
        // The later fragments of a reply to the kernel's ping need not wait.
        let is_to_kernel = is_reply && is_to_us;
        if is_answered || is_forwarded || is_to_kernel {
            self.note_fragment(&mut packet, &echo_flow(ip, kind, identifier));
        }
        if is_answered {
            self.answer_echo(packet, io);
        } else if is_forwarded {
            self.receive_echo(packet, ip, kind, io);
        } else {
            self.give_up_later_fragment(packet, ip.dst, io);
        }
    }

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
        let flow = echo_flow(ip, kind, identifier);
        if let Some(found) = self.family.conns.find(&flow.tuple) {
            return self.forward(packet, &flow, found, io);
        }
        if kind == A::ECHO_REQUEST {
            let lookup = self.family.conns.begin(&flow.tuple);
            return self.handle_miss(Miss::new(packet, flow, lookup), io);
        }
        match self.shared.port_owner(&packet, &flow.tuple) {
            PortOwner::Other(worker) => self.shared.redirect(packet, worker, io),
            _ => self.shared.to_kernel(packet, io),
        }
    }
}

fn echo_flow<A: Family>(ip: &IpFacts<A>, kind: u8, identifier: u16) -> Flow<A> {
    Flow {
        tuple: tuple(ip, kind, identifier),
        l4_at: ip.l4_at,
        is_fragment: ip.is_fragment,
        total_len: ip.total_len,
    }
}
