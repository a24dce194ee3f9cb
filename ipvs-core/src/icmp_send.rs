//! ICMP errors about packets that the director cannot forward.

use std::net::Ipv4Addr;

use inet::{RateLimit, icmp};
use packet::PacketBuf;

use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::io::Io;
use crate::time::Now;
use packet::ipv4::Ipv4Facts;

/// Errors per second and worker, and at once: RFC 1812, 4.3.2.8 asks for a limit.
pub(crate) const ERROR_LIMIT: RateLimit = RateLimit::new(1000, 100);

/// Which error.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// The next link takes this many bytes
    FragmentationNeeded {
        /// Its MTU
        mtu: u16,
    },
    /// The time to live ran out
    TimeExceeded,
}

impl<B: PacketBuf> Engine<B> {
    /// Ends a packet with its reason and sends its sender the error, from the address that the
    /// packet was for. The error takes the packet's place in memory.
    #[cold]
    pub(crate) fn refuse(
        &mut self,
        now: Now,
        mut packet: B,
        ip: &Ipv4Facts,
        refusal: Refusal,
        reason: DropReason,
        io: &mut impl Io<B>,
    ) {
        self.stats.drops_by(reason).add(1);
        let from = Ipv4Addr::from(ip.dst);
        let is_told = self.icmp_limit.allow(now.ns / 1_000_000)
            && match refusal {
                Refusal::FragmentationNeeded { mtu } => icmp::frag_needed(&mut packet, from, mtu),
                Refusal::TimeExceeded => icmp::time_exceeded(&mut packet, from),
            };
        if is_told {
            self.stats.received.add(1);
            self.stats.originated.add(1);
            self.stats.transmitted.add(1);
            io.transmit(packet.port(), packet);
        }
    }
}
