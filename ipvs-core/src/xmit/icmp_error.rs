//! ICMP errors to the sender of a packet that cannot be forwarded.

use std::net::IpAddr;

use inet::{icmp, icmpv6};
use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::config::Protocol;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::Family;

/// What the sender is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// The next link takes packets of at most this size.
    PacketTooBig {
        /// MTU in bytes
        mtu: u16,
    },
    /// The time to live has run out.
    TimeExceeded,
    /// Nobody serves this port (RFC 1122, 4.1.3.1; RFC 4443, 3.1).
    PortUnreachable,
    /// No conn may be made for it (RFC 5508, REQ-8).
    Prohibited,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Counts the packet as dropped for `reason`, and sends the error to its sender, by the port
    /// it came in by. The error reuses the packet's mbuf.
    #[cold]
    pub(crate) fn refuse(
        &mut self,
        mut packet: B,
        ip: &IpFacts<A>,
        refusal: Refusal,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        self.shared.stats.drops_by(reason).add(1);
        let is_told = self.shared.icmp_limit.allow(self.shared.now.ns / 1_000_000)
            && self
                .error_source(&packet, ip)
                .is_some_and(|from| become_error(&mut packet, from, refusal));
        if is_told {
            self.shared.count_originated();
            self.shared.stats.transmitted.add(1);
            io.transmit(packet.port(), packet);
        }
    }

    /// The address of ours that an error about a packet comes from. A VIP may be an address of the
    /// kernel only, which announces it.
    fn error_source(&self, packet: &B, ip: &IpFacts<A>) -> Option<IpAddr> {
        let services = &self.shared.snapshot.services;
        let protocol = Protocol::from_number(ip.protocol);
        if protocol.is_some_and(|protocol| services.is_vip(protocol, ip.dst.to_ip())) {
            return Some(ip.dst.to_ip());
        }
        let net = &self.shared.snapshot.net;
        let ifindex = net.device_of(packet.port())?.ifindex;
        net.error_source(ifindex, ip.dst.to_ip(), ip.src.to_ip())
    }
}

/// Turns a packet into the error about it. `false` if no error may be sent about it.
fn become_error<B: PacketBuf>(packet: &mut B, from: IpAddr, refusal: Refusal) -> bool {
    match (from, refusal) {
        (IpAddr::V4(from), Refusal::PacketTooBig { mtu }) => icmp::frag_needed(packet, from, mtu),
        (IpAddr::V4(from), Refusal::TimeExceeded) => icmp::time_exceeded(packet, from),
        (IpAddr::V6(from), Refusal::PacketTooBig { mtu }) => {
            icmpv6::packet_too_big(packet, from, mtu.into())
        }
        (IpAddr::V6(from), Refusal::TimeExceeded) => icmpv6::time_exceeded(packet, from),
        (IpAddr::V4(from), Refusal::PortUnreachable) => {
            icmp::dest_unreachable(packet, from, icmp::Unreachable::Port)
        }
        (IpAddr::V6(from), Refusal::PortUnreachable) => {
            icmpv6::dest_unreachable(packet, from, icmpv6::Unreachable::Port)
        }
        (IpAddr::V4(from), Refusal::Prohibited) => {
            icmp::dest_unreachable(packet, from, icmp::Unreachable::Prohibited)
        }
        (IpAddr::V6(from), Refusal::Prohibited) => {
            icmpv6::dest_unreachable(packet, from, icmpv6::Unreachable::Prohibited)
        }
    }
}
