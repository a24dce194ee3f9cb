//! When a local address has no port left towards a dest, closing conns give theirs to new ones.

use packet::PacketBuf;
use rss::{Owners, WorkerId};

use crate::config::LaddrId;
use crate::conn::{Conn, ConnId, ConnTable};
use crate::ctx::{Forwarder, Shared};
use crate::direction::Direction;
use crate::state::Laddrs;
use crate::wire::{Family, Segment};

/// Conns of a queue that are looked at. One suits at once if there is one worker, or one dest of
/// its class.
const CLOSING_TRIED: usize = 32;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Ends a closing conn whose local port a new conn has. The dest may remember the old conn in
    /// TIME_WAIT. It takes a SYN beyond the numbers of that one (RFC 9293, 3.10.7.4; RFC 6191).
    #[cold]
    #[inline(never)]
    pub(super) fn take_over_port(
        &mut self,
        old: ConnId,
        opening: Option<Segment>,
        conn: &mut Conn<A>,
    ) {
        let old = self.end_but_keep_port(old);
        let is_known_to_dest =
            old.protocol == conn.protocol && old.real_server() == conn.real_server();
        if let Some(segment) = opening.filter(|_| is_known_to_dest) {
            let acknowledged = old.acks[Direction::Outbound as usize];
            let isn = self.sequence_beyond(conn, acknowledged);
            conn.seq_delta = isn.wrapping_sub(segment.seq);
        }
    }

    /// Ends a closing conn with a port of a local address whose replies from a dest come to this
    /// worker. Returns the port, which remains taken. For a dest that is to open the conn itself.
    pub(crate) fn take_port_of_closing(
        &mut self,
        laddr: (LaddrId, A),
        remote: (A, u16),
    ) -> Option<u16> {
        let Shared { laddrs, config, .. } = &*self.shared;
        let owners = (&*config.owners, config.worker);
        let old = closing_towards(&self.family.conns, laddrs, owners, laddr, remote)?;
        let (_, port) = self.end_but_keep_port(old).local();
        Some(port)
    }

    fn end_but_keep_port(&mut self, id: ConnId) -> Conn<A> {
        self.shared.stats.conns_recycled.add(1);
        let conn = self.family.conns.remove(id);
        self.give_back(id, &conn);
        if let Some((laddr, class)) = self.shared.laddrs.pool_of(&conn) {
            self.dequeue_closing(id, laddr, class);
        }
        conn
    }
}

/// The conn that closed first of those with a port of a local address whose replies from a dest
/// come to this worker. A few conns are looked at: where there are several workers, a port that was
/// taken towards another dest need not suit.
pub(super) fn closing_towards<A: Family>(
    conns: &ConnTable<A>,
    laddrs: &Laddrs,
    (owners, worker): (&Owners, WorkerId),
    (id, laddr): (LaddrId, A),
    (remote, rport): (A, u16),
) -> Option<ConnId> {
    let suits = |conn: &ConnId| {
        let (_, port) = conns.get(*conn).local();
        let is_alone = owners.workers() == 1;
        is_alone || A::rss_owner(owners, (remote, rport), (laddr, port)) == worker
    };
    let class = sapool::class_of(remote.low_bits(), rport);
    let mut queues = laddrs.closing_queues::<A>(id, class);
    queues.find_map(|queue| conns.closing(queue).take(CLOSING_TRIED).find(suits))
}
