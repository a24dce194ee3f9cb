//! Closing conns with a local port line up, in case their local address has no other one left.

use packet::PacketBuf;

use crate::config::LaddrId;
use crate::conn::{ConnId, IdleTimeout, is_queued};
use crate::ctx::Forwarder;
use crate::tcp_state::TcpState;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Changes the state and the timeout of a conn. One that closes lines up to give its local port
    /// to a new conn.
    pub(crate) fn change_state(&mut self, id: ConnId, state: TcpState, timeout: IdleTimeout) {
        let was_queued = is_queued(self.family.conns.get(id));
        self.family.conns.change_state(id, state, timeout);
        let conn = self.family.conns.get(id);
        let is_queued = is_queued(conn);
        if is_queued == was_queued {
            return;
        }
        let Some((laddr, class)) = self.shared.laddrs.pool_of(conn) else {
            return;
        };
        if !is_queued {
            self.dequeue_closing(id, laddr, class);
        } else if let Some(queue) = self.shared.laddrs.closing_queue::<A>(laddr, class) {
            self.family.conns.enqueue_closing(id, queue);
        }
    }

    /// Takes a conn out of the queue of its local address and the class of its dest.
    #[inline]
    pub(super) fn dequeue_closing(&mut self, id: ConnId, laddr: LaddrId, class: usize) {
        if let Some(queue) = self.shared.laddrs.closing_queue::<A>(laddr, class) {
            self.family.conns.dequeue_closing(id, queue);
        }
    }
}
