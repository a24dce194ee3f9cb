//! What a worker does between bursts.

use packet::PacketBuf;

use crate::ctx::Engine;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::time::Now;

impl<B: PacketBuf> Engine<B> {
    /// Expires conns, fragments and queued packets, and goes on with the removal of dests. A worker
    /// calls it every few loops; each call is short.
    pub fn housekeep(&mut self, now: Now, io: &mut impl Io<B>) {
        self.shared.now = now;
        self.v4().expire_conns(io);
        self.v4().expire_fragments(io);
        self.v6().expire_conns(io);
        self.v6().expire_fragments(io);
        while let Some((_, packet)) = self.shared.neigh_queue.pop_stale(now.tick()) {
            self.shared.stats.held.sub(1);
            self.shared.drop(packet, DropReason::NeighbourUnresolved);
        }
        self.continue_dest_removals(io);
        self.shared.expire_templates();
        self.shared.expire_expectations();
    }
}
