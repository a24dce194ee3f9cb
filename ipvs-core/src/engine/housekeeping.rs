//! What a worker does between bursts.

use packet::PacketBuf;

use crate::config::Event;
use crate::ctx::Engine;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::time::Now;

impl<B: PacketBuf> Engine<B> {
    /// Expires conns, fragments and queued packets, and goes on with the removal of dests and local
    /// addresses. A worker calls it every few loops; each call is short.
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
        self.report_gone_laddrs(io);
    }

    /// Gives control the port pools of removed addresses whose last port is back. If the ring of
    /// events is full, the next call tries again: control waits for it.
    fn report_gone_laddrs(&mut self, io: &mut impl Io<B>) {
        while let Some(mut idle) = self.shared.laddrs.take_idle() {
            if let Err(Event::LaddrGone(_, pool)) = io.event(Event::LaddrGone(idle.id, idle.pool)) {
                idle.pool = pool;
                self.shared.laddrs.keep_idle(idle);
                return;
            }
        }
    }
}
