//! The stages of a batch's packets of one address family.

use packet::PacketBuf;

use crate::ctx::{Batch, Forwarder, Miss, Work};
use crate::io::Io;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Looks up the conns of a batch and forwards each packet. Packets without a conn are left in
    /// `misses`.
    #[inline]
    pub(super) fn run_stages(&mut self, batch: &mut Batch<A, B>, io: &mut impl Io<B>) {
        batch.choose_conns(&self.family.conns);
        for (Work { flow, lookup }, packet) in batch.drain() {
            let Some((found, conn)) = self.family.conns.finish_mut(lookup, &flow.tuple) else {
                let miss = Miss::new(packet, *flow, *lookup);
                self.family.misses.push(miss);
                continue;
            };
            let sent = self
                .shared
                .forward_fast(conn, packet, flow, found.direction, io);
            if let Err(packet) = sent {
                self.forward(packet, flow, found, io);
            }
        }
    }

    /// Notes the first fragments of this batch, so that later ones find their conn.
    #[cold]
    #[inline(never)]
    pub(super) fn note_first_fragments(&mut self, batch: &mut Batch<A, B>, io: &mut impl Io<B>) {
        self.family.has_first_fragments = false;
        for (packet, flow) in batch.iter_mut().filter(|(_, flow)| flow.is_fragment) {
            self.note_fragment(packet, flow);
        }
        let mut at = 0;
        while let Some(flow) = batch.flow(at) {
            if self.needs_last_fragment(flow) {
                let (packet, flow) = batch.remove(at);
                self.await_last_fragment(packet, flow.tuple, io);
            } else {
                at += 1;
            }
        }
    }
}
