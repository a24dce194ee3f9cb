//! Which conn gives way when the table is full, and when the ports of a local address are used up.

use super::closing::ClosingQueue;
use super::ring::Ring;
use super::table::ConnTable;
use super::{Conn, ConnFlags, ConnId};
use crate::config::Protocol;
use crate::tcp_state::TcpState;
use crate::time::{Span, Tick};
use crate::tuple::Address;

/// Conns that are looked at in search of a half-open one.
const REACH: u32 = 64;
/// The same if a closing one may give way instead.
const SHORT_REACH: u32 = 8;
/// Half-closed conns that are looked at in search of an idle one.
const HALF_CLOSED_TRIED: u32 = 4;
/// A conn that one end has closed is idle after this time. The other end may go on sending.
const IDLE: Span = Span::from_secs(1);

impl<A: Address> ConnTable<A> {
    /// The conn that a new one replaces in a full table, if there is one: an adopted one, then one
    /// that is half-open or one-way, then one that is closing, the oldest first. A new conn that is
    /// adopted itself replaces none but adopted ones. At most 64 conns are looked at.
    pub fn recyclable(&mut self, now: Tick, is_adopted: bool) -> Option<ConnId> {
        let adopted = self.wheel.first_of(Ring::Adopted);
        if adopted.is_some() || is_adopted {
            return adopted;
        }
        let closing = self.wheel.first_of(Ring::Closing);
        let reach = if closing.is_some() {
            SHORT_REACH
        } else {
            REACH
        };
        self.half_open(reach)
            .or(closing)
            .or_else(|| self.idle_half_closed(now))
    }

    /// The conns of a queue, from the one that closed first.
    pub(crate) fn closing(&self, queue: ClosingQueue) -> impl Iterator<Item = ConnId> {
        self.wheel.of_queue(queue)
    }

    /// Puts a conn at the end of a queue. It must be in none.
    pub(crate) fn enqueue_closing(&mut self, id: ConnId, queue: &mut ClosingQueue) {
        self.wheel.enqueue(id, queue);
    }

    /// Takes a conn out of the queue that it is in.
    pub(crate) fn dequeue_closing(&mut self, id: ConnId, queue: &mut ClosingQueue) {
        self.wheel.dequeue(id, queue);
    }

    fn half_open(&mut self, reach: u32) -> Option<ConnId> {
        let touched = self.wheel.touched();
        for _ in 0..reach.min(touched) {
            let id = ConnId(self.recycle_at);
            self.recycle_at = if self.recycle_at + 1 < touched {
                self.recycle_at + 1
            } else {
                0
            };
            let conn = self.get(id);
            if conn.flags.has(ConnFlags::IN_USE) && is_half_open(conn) {
                return Some(id);
            }
        }
        None
    }

    fn idle_half_closed(&mut self, now: Tick) -> Option<ConnId> {
        for _ in 0..HALF_CLOSED_TRIED {
            let id = self.wheel.first_of(Ring::HalfClosed)?;
            if now.reached(self.get(id).last_packet().after(IDLE)) {
                return Some(id);
            }
            // It moves behind those that have been idle for longer.
            self.reschedule(id);
        }
        None
    }
}

/// Whether the conn has carried no packets in both directions yet.
fn is_half_open<A: Address>(conn: &Conn<A>) -> bool {
    if conn.protocol == Protocol::Tcp.number() {
        matches!(
            conn.tcp_state(),
            TcpState::None | TcpState::SynSent | TcpState::SynRecv
        )
    } else {
        !conn.flags.has(ConnFlags::ANSWERED)
    }
}
