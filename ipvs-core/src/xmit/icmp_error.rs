//! ICMP errors to the sender of a packet that cannot be forwarded.

use std::net::IpAddr;

use inet::{icmp, icmpv6};
use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::Family;

/// What the sender is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// The next link takes packets of at most this size.
    PacketTooBig {
        /// MTU in bytes
        mtu: u16,
    },
    /// The time to live has run out.
    TimeExceeded,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Counts the packet as dropped for `reason`, and sends the error to its sender, from the
    /// address that the packet was for. The error reuses the packet's mbuf.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        mut packet: B,
        ip: &IpFacts<A>,
        refusal: Refusal,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        self.shared.stats.drops_by(reason).add(1);
        let is_told = self.shared.icmp_limit.allow(self.shared.now.ns / 1_000_000)
            && match (ip.dst.to_ip(), refusal) {
                (IpAddr::V4(from), Refusal::PacketTooBig { mtu }) => {
                    icmp::frag_needed(&mut packet, from, mtu)
                }
                (IpAddr::V4(from), Refusal::TimeExceeded) => icmp::time_exceeded(&mut packet, from),
                (IpAddr::V6(from), Refusal::PacketTooBig { mtu }) => {
                    icmpv6::packet_too_big(&mut packet, from, mtu.into())
                }
                (IpAddr::V6(from), Refusal::TimeExceeded) => {
                    icmpv6::time_exceeded(&mut packet, from)
                }
            };
        if is_told {
            self.shared.count_originated();
            self.shared.stats.transmitted.add(1);
            io.transmit(packet.port(), packet);
        }
    }
}
