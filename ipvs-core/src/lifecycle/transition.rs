//! What a packet changes about its conn: the state, the timeout, the dest's count of active conns.

use std::sync::Arc;

use packet::PacketBuf;

use crate::config::{FTP_CONTROL_PORT, Protocol, Service};
use crate::conn::{Conn, ConnFlags, ConnId, Found, IdleTimeout};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::tcp_state::TcpState;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Enters a TCP state.
    #[inline(never)]
    pub(crate) fn set_tcp_state(&mut self, id: ConnId, state: TcpState) {
        let conn = self.family.conns.get_mut(id);
        conn.flags.put(ConnFlags::GOES_ON, false);
        let timeout = self.tcp_timeout(self.family.conns.get(id), state);
        self.change_state(id, state, timeout);
        self.set_active(id, state == TcpState::Established);
    }

    /// One end has closed, and the other one goes on: as long as it sends, the conn is as good as
    /// an established one (RFC 9293, 3.6), and so is its timeout.
    #[cold]
    pub(crate) fn keep_half_closed(&mut self, id: ConnId) {
        let conn = self.family.conns.get_mut(id);
        conn.flags.put(ConnFlags::GOES_ON, true);
        let timeout = self.tcp_timeout(self.family.conns.get(id), TcpState::Established);
        self.set_timeout(id, timeout);
    }

    /// Changes the timeout. A shorter one counts at once, a longer one from the next packet on.
    pub(crate) fn set_timeout(&mut self, id: ConnId, timeout: IdleTimeout) {
        self.family.conns.change_timeout(id, timeout);
    }

    /// Gives a conn the timeout that its state has now: that of the protocol or of the service may
    /// have changed since it came into that state.
    pub(crate) fn renew_timeout(&mut self, id: ConnId) {
        let conn = self.family.conns.get(id);
        let state = conn.tcp_state();
        let timeout = match Protocol::from_number(conn.protocol) {
            // What has just begun, or awaits an FTP data conn, has a timeout of its own.
            Some(Protocol::Tcp) if matches!(state, TcpState::None | TcpState::Listen) => return,
            Some(Protocol::Tcp) if conn.flags.has(ConnFlags::GOES_ON) => {
                self.tcp_timeout(conn, TcpState::Established)
            }
            Some(Protocol::Tcp) => self.tcp_timeout(conn, state),
            Some(Protocol::Sctp) if state == TcpState::Close => {
                IdleTimeout::from_secs(self.shared.snapshot.timeouts.sctp_closed_s)
            }
            _ => self.quiet_timeout(conn, conn.flags.has(ConnFlags::ANSWERED)),
        };
        self.set_timeout(id, timeout);
    }

    /// The time without a packet until a TCP conn in this state expires.
    fn tcp_timeout(&self, conn: &Conn<A>, state: TcpState) -> IdleTimeout {
        let of_service = match state {
            TcpState::Established => self.service_timeout_s(conn),
            _ => None,
        };
        let usual = self.shared.snapshot.timeouts.tcp_s[state as usize];
        IdleTimeout::from_secs(of_service.unwrap_or(usual))
    }

    /// Moves a conn between the dest's active and inactive conns.
    pub(crate) fn set_active(&mut self, id: ConnId, active: bool) {
        let conn = self.family.conns.get_mut(id);
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

    /// The time without a packet until a conn of UDP, SCTP or echo expires.
    pub(crate) fn quiet_timeout(&self, conn: &Conn<A>, answered: bool) -> IdleTimeout {
        let timeouts = &self.shared.snapshot.timeouts;
        let is_sctp = conn.protocol == Protocol::Sctp.number();
        let usual = match (is_sctp, answered) {
            (false, true) => timeouts.udp_s,
            (false, false) => timeouts.udp_oneway_s,
            (true, true) => timeouts.sctp_s,
            (true, false) => return IdleTimeout::from_secs(timeouts.sctp_init_s),
        };
        IdleTimeout::from_secs(self.service_timeout_s(conn).unwrap_or(usual))
    }

    /// The service's own timeout for established conns.
    fn service_timeout_s(&self, conn: &Conn<A>) -> Option<u32> {
        self.service_of(conn)?.options.conn_timeout_s
    }

    /// Checks whether the client of a conn may still have it.
    ///
    /// # Errors
    /// The reason to drop its packets.
    pub(crate) fn check_access(&self, conn: &Conn<A>) -> Result<(), DropReason> {
        let (client, _) = conn.client();
        match self.service_of(conn) {
            Some(service) => service.access.check(client),
            None => Ok(()),
        }
    }

    /// The service of a conn, if it is still there.
    pub(super) fn service_of(&self, conn: &Conn<A>) -> Option<&Service> {
        let protocol = Protocol::from_number(conn.protocol)?;
        let (addr, port) = conn.vip();
        let services = &self.shared.snapshot.services;
        let id = self.shared.dest_cache.service(conn.dest());
        let of_port = |port| {
            let service = services.of_vip(protocol, addr, port);
            service.filter(|service| service.id == id)
        };
        // An FTP data conn is to a port of the VIP without a service.
        let of_ftp = || services.has_ftp().then(|| of_port(FTP_CONTROL_PORT))?;
        let service = of_port(port).or_else(of_ftp);
        service
            .or_else(|| services.matching_by_id(id))
            .map(Arc::as_ref)
    }

    /// Notes the dest's first answer, in a conn without TCP states.
    #[inline(always)]
    pub(crate) fn note_first_answer(&mut self, found: Found) {
        let flags = self.family.conns.get(found.id).flags;
        // One branch, which is hardly ever taken.
        if (found.direction == Direction::Outbound) & !flags.has(ConnFlags::ANSWERED) {
            self.note_answer(found.id);
        }
    }

    /// The dest has answered: the conn is active from now on, with the longer timeout.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_answer(&mut self, id: ConnId) {
        let timeout = self.quiet_timeout(self.family.conns.get(id), true);
        self.family
            .conns
            .get_mut(id)
            .flags
            .put(ConnFlags::ANSWERED, true);
        self.set_timeout(id, timeout);
        self.set_active(id, true);
    }
}
