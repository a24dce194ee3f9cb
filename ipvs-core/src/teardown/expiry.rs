//! Ends conns whose timeout has passed.

use packet::PacketBuf;

use crate::conn::{LEAVING_TOGETHER, Leaving};
use crate::ctx::Forwarder;
use crate::io::Io;
use crate::wire::Family;

/// Conns and timer slots that are looked at per call. It bounds the loop when many expire at once.
const EXPIRY_BUDGET: u32 = 128;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Ends conns whose timeout has passed, a few per call.
    pub(crate) fn expire_conns(&mut self, io: &mut impl Io<B>) {
        let now = self.shared.now.tick();
        let mut budget = EXPIRY_BUDGET;
        let mut leaving = std::mem::take(&mut self.family.leaving);
        loop {
            while leaving.len() < LEAVING_TOGETHER
                && let Some(id) = self.family.conns.next_due(now, &mut budget)
            {
                leaving.push(self.family.conns.leave(id));
                self.family.exts.fetch_laddr_use(id);
            }
            if leaving.is_empty() {
                break;
            }
            for conn in leaving.drain(..) {
                self.expire(conn, io);
            }
        }
        self.family.leaving = leaving;
    }

    fn expire(&mut self, leaving: Leaving, io: &mut impl Io<B>) {
        self.reset_if_established(leaving.id(), io);
        let conn = self.family.conns.release(leaving);
        self.unbind(leaving.id(), &conn);
    }
}
