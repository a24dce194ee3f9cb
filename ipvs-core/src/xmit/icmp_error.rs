//! ICMP errors about packets that the director cannot forward.

use std::net::IpAddr;

use inet::{icmp, icmpv6};
use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::Family;

/// Which error.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// The next link takes this many bytes
    PacketTooBig {
        /// Its MTU
        mtu: u16,
    },
    /// The time to live ran out
    TimeExceeded,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Ends a packet with its reason and sends its sender the error, from the address that the
    /// packet was for. The error takes the packet's place in memory.
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
