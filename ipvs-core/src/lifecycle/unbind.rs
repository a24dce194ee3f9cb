//! Gives back what a conn held: counters, its persistence template, its local port.

use packet::PacketBuf;

use crate::config::LaddrId;
use crate::conn::{Conn, ConnFlags, ConnId, is_queued};
use crate::ctx::Forwarder;
use crate::state::templates;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Removes a conn. Its ends are not told.
    pub(crate) fn end(&mut self, id: ConnId) {
        let conn = self.family.conns.remove(id);
        self.unbind(id, &conn);
    }

    /// Gives back what a conn held that is already out of the table.
    pub(crate) fn unbind(&mut self, id: ConnId, conn: &Conn<A>) {
        self.give_back(id, conn);
        let Some((laddr, class)) = self.pool_of(conn) else {
            return;
        };
        if is_queued(conn) {
            self.dequeue_closing(id, laddr, class);
        }
        let (_, port) = conn.local();
        self.shared.laddrs.put_port(laddr, class, port);
    }

    /// Gives back all but the local port.
    pub(super) fn give_back(&mut self, id: ConnId, conn: &Conn<A>) {
        self.shared.stats.conns.sub(1);
        let service = self.shared.dest_cache.service(conn.dest());
        self.shared.stats.service(service).conns.sub(1);
        if conn.flags.has(ConnFlags::PERSISTENT) {
            self.release_template(id, conn);
        }
        let stats = self.shared.stats.dest(conn.dest());
        let was_active = conn.flags.has(ConnFlags::ACTIVE);
        let was = if was_active {
            &stats.active_conns
        } else {
            &stats.inactive_conns
        };
        was.sub(1);
        self.shared.scheduling.conn_closed(conn.dest(), was_active);
        if self.shared.scheduling.is_limited(conn.dest()) {
            let (now, load) = (self.shared.now.tick(), self.shared.load_of(conn.dest()));
            let scheduling = &self.shared.scheduling;
            scheduling.limited_conn_closed(conn.dest(), now, load);
        }
        if conn.flags.has(ConnFlags::LOCAL_PORT) {
            self.end_laddr_use(id);
        }
    }

    /// Gives back the local port of a conn that is in no table.
    pub(crate) fn return_port(&mut self, conn: &Conn<A>) {
        if let Some((laddr, class)) = self.pool_of(conn) {
            let (_, port) = conn.local();
            self.shared.laddrs.put_port(laddr, class, port);
        }
    }

    /// The local address whose port a conn has, and the class of its dest.
    #[inline]
    fn pool_of(&self, conn: &Conn<A>) -> Option<(LaddrId, usize)> {
        let has_port = conn.flags.has(ConnFlags::LOCAL_PORT);
        has_port.then(|| self.shared.laddrs.pool_of(conn))?
    }

    /// The conn no longer holds its client's template, which may expire now. Nothing here asks the
    /// service: it may be gone, or persistent in another way.
    fn release_template(&self, id: ConnId, conn: &Conn<A>) {
        let (client, _) = conn.client();
        let service = self.shared.dest_cache.service(conn.dest());
        let prefix_len = self.family.exts.template_prefix_len(id);
        let hash_key = &self.shared.config.keys.conns;
        let key = templates::key_of(client, service, prefix_len, hash_key);
        let now = self.shared.now.tick();
        self.shared.state.templates.release(key, conn.dest(), now);
    }
}
