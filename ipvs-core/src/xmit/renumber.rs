//! Fragments whose addresses change get another identification, all of a packet the same one.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::ctx::Forwarder;
use crate::state::Whole;
use crate::tuple::Tuple;
use crate::wire::{Family, family};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Gives a first fragment the identification that its later ones get. The addresses of the
    /// packet are replaced already; `tuple` has those it came with.
    #[cold]
    pub(super) fn renumber_first_fragment(&self, packet: &mut B, tuple: &Tuple<A>) {
        if let Ok(ip) = A::check(packet) {
            let (src, dst) = (tuple.src, tuple.dst);
            self.renumber_fragment(packet, &IpFacts { src, dst, ..ip });
        }
    }

    /// Gives a fragment the identification of its packet. `ip` is the header that it came with.
    pub(super) fn renumber_fragment(&self, packet: &mut B, ip: &IpFacts<A>) {
        let identification = self.identification_of(ip);
        family::renumber_fragment(packet.bytes_mut(), identification);
    }

    /// The identification that all fragments of this one's packet get.
    pub(super) fn identification_of(&self, ip: &IpFacts<A>) -> u32 {
        let now = self.shared.now.tick();
        let first = self.family.fragments.first_of(now, &Whole::of(ip));
        first.map_or(ip.identification, |first| first.identification)
    }
}
