//! How long a conn lives: states, timeouts, expiry, and what its end sets free.

use std::sync::Arc;

use packet::PacketBuf;

use crate::config::command::Event;
use crate::config::protocol::Protocol;
use crate::config::service::Service;
use crate::conn::tcp_state::TcpState;
use crate::conn::{Conn, ConnFlags, ConnId, LEAVING_TOGETHER, Leaving};
use crate::ctx::family_state::Forwarder;
use crate::drop_reason::DropReason;
use crate::engine::process::Engine;
use crate::io::Io;
use crate::state::templates;
use crate::time::Now;
use crate::wire::family::Family;

/// Conns and timer slots looked at per call, so that no loop gets long when many expire at once.
const EXPIRY_BUDGET: u32 = 128;

impl<B: PacketBuf> Engine<B> {
    /// Expires conns, gives up packets that waited too long, goes on with what was begun. A worker
    /// calls it every few loops; each call is short.
    pub fn housekeep(&mut self, now: Now, io: &mut impl Io<B>) {
        self.shared.now = now;
        self.v4().give_up(io);
        self.v6().give_up(io);
        while let Some((_, packet)) = self.shared.held.pop_stale(now.tick()) {
            self.shared.stats.held.sub(1);
            self.shared.drop(packet, DropReason::NeighbourUnresolved);
        }
        self.continue_closing(io);
        self.shared.expire_templates();
        self.shared.expire_expected();
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Expires conns, and gives up fragments whose first did not come.
    fn give_up(&mut self, io: &mut impl Io<B>) {
        let now = self.shared.now.tick();
        let mut budget = EXPIRY_BUDGET;
        let mut leaving = std::mem::take(&mut self.lane.leaving);
        loop {
            while leaving.len() < LEAVING_TOGETHER
                && let Some(id) = self.lane.conns.next_due(now, &mut budget)
            {
                leaving.push(self.lane.conns.leave(id));
            }
            if leaving.is_empty() {
                break;
            }
            for conn in leaving.drain(..) {
                self.expire(conn, io);
            }
        }
        self.lane.leaving = leaving;
        while let Some((dst, packet)) = self.lane.fragments.pop_stale(now) {
            self.shared.stats.held.sub(1);
            self.give_up_later_fragment(packet, dst, io);
        }
        while let Some(packet) = self.lane.fragments.pop_stale_first(now) {
            self.shared.stats.held.sub(1);
            self.shared.drop(packet, DropReason::Fragment);
        }
    }

    fn expire(&mut self, leaving: Leaving, io: &mut impl Io<B>) {
        self.reset_if_established(leaving.id(), io);
        let conn = self.lane.conns.release(leaving);
        self.settle_end(&conn, io);
    }

    /// Ends a conn before its time, silently.
    pub(crate) fn end(&mut self, id: ConnId, io: &mut impl Io<B>) {
        let conn = self.lane.conns.remove(id);
        self.settle_end(&conn, io);
    }

    /// Gives back what a conn that is out of the table had.
    pub(crate) fn settle_end(&mut self, conn: &Conn<A>, io: &mut impl Io<B>) {
        self.shared.stats.conns.sub(1);
        let service = self.shared.dest_notes.service(conn.dest());
        self.shared.stats.service(service).conns.sub(1);
        if conn.flags.has(ConnFlags::PERSISTENT) {
            self.release_template(conn);
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
        self.return_port(conn, io);
    }

    /// Gives the local port back; if it was the last of an address that leaves, the pool goes too.
    pub(crate) fn return_port(&mut self, conn: &Conn<A>, io: &mut impl Io<B>) {
        if !conn.flags.has(ConnFlags::LOCAL_PORT) {
            return;
        }
        let ((daddr, dport), (laddr, lport)) = (conn.real_server(), conn.local());
        let class = sapool::class_of(daddr.low_bits(), dport);
        if let Some((id, pool)) = self.shared.laddrs.put_port(laddr.to_ip(), class, lport) {
            self.shared.tell(Event::LaddrGone(id, pool), io);
        }
    }

    /// Enters a TCP state.
    #[inline(never)]
    pub(crate) fn set_tcp_state(&mut self, id: ConnId, state: TcpState) {
        self.lane.conns.get_mut(id).set_tcp_state(state);
        let timeout_s = match state {
            TcpState::Established => self.service_timeout_s(self.lane.conns.get(id)),
            _ => None,
        };
        let timeout_s = timeout_s.unwrap_or(self.shared.snapshot.timeouts.tcp_s[state as usize]);
        self.set_timeout(id, clamp(timeout_s));
        self.set_active(id, state == TcpState::Established);
    }

    /// Changes the timeout from the next packet on; a shorter one also in the wheel.
    pub(crate) fn set_timeout(&mut self, id: ConnId, timeout_s: u16) {
        let conn = self.lane.conns.get_mut(id);
        let is_shorter = timeout_s < conn.timeout_s;
        conn.timeout_s = timeout_s;
        if is_shorter {
            self.lane.conns.reschedule(id);
        }
    }

    /// Moves a conn between the two counters of its dest.
    pub(crate) fn set_active(&mut self, id: ConnId, active: bool) {
        let conn = self.lane.conns.get_mut(id);
        if conn.flags.has(ConnFlags::ACTIVE) == active {
            return;
        }
        conn.flags.put(ConnFlags::ACTIVE, active);
        let dest = conn.dest();
        self.shared.scheduling.conn_changed(dest, active);
        let stats = self.shared.stats.dest(dest);
        let (to, from) = if active {
            (&stats.active_conns, &stats.inactive_conns)
        } else {
            (&stats.inactive_conns, &stats.active_conns)
        };
        to.add(1);
        from.sub(1);
    }

    /// The timeout of a conn of UDP, SCTP or echo.
    pub(crate) fn quiet_timeout_s(&self, conn: &Conn<A>, answered: bool) -> u16 {
        let timeouts = &self.shared.snapshot.timeouts;
        let is_sctp = conn.protocol == Protocol::Sctp.number();
        let usual = match (is_sctp, answered) {
            (false, true) => timeouts.udp_s,
            (false, false) => timeouts.udp_oneway_s,
            (true, true) => timeouts.sctp_s,
            (true, false) => return clamp(timeouts.sctp_init_s),
        };
        clamp(self.service_timeout_s(conn).unwrap_or(usual))
    }

    /// What the service says of the timeout of established conns.
    fn service_timeout_s(&self, conn: &Conn<A>) -> Option<u32> {
        self.service_of(conn)?.options.conn_timeout_s
    }

    /// The service of a conn, if it is still there.
    fn service_of(&self, conn: &Conn<A>) -> Option<&Service> {
        let protocol = Protocol::from_number(conn.protocol)?;
        let (addr, port) = conn.vip();
        let services = &self.shared.snapshot.services;
        let id = self.shared.dest_notes.service(conn.dest());
        let of_vip = services.of_vip(protocol, addr, port);
        of_vip
            .filter(|service| service.id == id)
            .or_else(|| services.matching_by_id(id))
            .map(Arc::as_ref)
    }

    /// The template of a client whose conn has ended may end some time, too.
    fn release_template(&self, conn: &Conn<A>) {
        let now = self.shared.now.tick();
        let Some(service) = self.service_of(conn) else {
            return;
        };
        if let Some(persistence) = service.options.persistence {
            let hash_key = &self.shared.config.keys.conns;
            let (client, _) = conn.client();
            let key = templates::key_of(client, service.id, persistence, hash_key);
            self.shared.stats.templates.release(key, conn.dest(), now);
        }
    }
}

fn clamp(secs: u32) -> u16 {
    u16::try_from(secs).unwrap_or(u16::MAX)
}
