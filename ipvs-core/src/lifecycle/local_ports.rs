//! When a local address has no port left towards a dest, closing conns give theirs to new ones.

use std::net::IpAddr;

use packet::PacketBuf;
use sapool::Towards;

use crate::config::LaddrId;
use crate::conn::{Conn, ConnId};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::wire::{Family, Segment};

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

    /// Ends the conn that closed first of those with a port of a local address towards dests of a
    /// class, if packets to that port come to this worker. Returns the port, which remains taken. For
    /// a dest that is to open the conn itself.
    pub(crate) fn take_port_of_closing(
        &mut self,
        (id, addr): (LaddrId, IpAddr),
        towards: Towards,
    ) -> Option<u16> {
        let old = self.shared.laddrs.first_closing::<A>(id, towards.class)?;
        let (_, port) = self.family.conns.get(old).local();
        let config = &self.shared.config;
        let owner = config.owners.of_base(towards.base, port, addr.is_ipv6());
        if owner != config.worker {
            return None;
        }
        self.end_but_keep_port(old);
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
