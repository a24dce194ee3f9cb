//! A client opens a conn again whose old one is still there: which of the two it becomes.

use packet::{PacketBuf, sctp};

use crate::config::Protocol;
use crate::conn::{Conn, ConnFlags, ConnId};
use crate::ctx::Forwarder;
use crate::tcp_state::TcpState;
use crate::wire::{Family, Flow, Segment};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Whether the conn of a packet gives way to a new one, which is scheduled anew. That is so if
    /// the packet opens a conn, the old one is over, and its dest takes no new conns. So does LVS
    /// with `conn_reuse_mode=1`. A conn that is told to end gives way in any state.
    #[inline]
    pub(crate) fn gives_way(&mut self, packet: &B, flow: &Flow<A>, id: ConnId) -> bool {
        opens(packet, flow) && self.is_left(id)
    }

    #[cold]
    #[inline(never)]
    fn is_left(&mut self, id: ConnId) -> bool {
        let conn = *self.family.conns.get(id);
        if self.shared.dest_cache.is_ending(conn.dest()) {
            return true;
        }
        is_over(&conn) && !self.may_go_on(&conn)
    }

    /// Whether a conn that is over may begin again with its dest.
    fn may_go_on(&mut self, conn: &Conn<A>) -> bool {
        let Some(key) = self.service_of(conn).map(|service| service.key) else {
            return false;
        };
        // A data conn of FTP goes where its control conn is, and SNAT's dests are no hosts.
        let (_, vport) = conn.vip();
        let is_controlled = key.port != 0 && key.port != vport;
        if is_controlled || key.matcher.is_some() {
            return true;
        }
        let snapshot = &self.shared.snapshot;
        let dest = snapshot
            .services
            .get(&key)
            .and_then(|service| self.shared.dest_cache.find(service, conn.dest()));
        // The scheduler knows whether a dest is overloaded.
        dest.is_some_and(|dest| dest.weight > 0 && dest.upper_threshold == 0)
    }
}

/// Whether a packet opens a conn: a SYN, or an INIT (RFC 9260, 3.3.2).
#[inline]
fn opens<A: Family, B: PacketBuf>(packet: &B, flow: &Flow<A>) -> bool {
    let l4 = flow.l4(packet.bytes());
    match flow.protocol() {
        Protocol::Tcp => Segment::read(l4).is_ok_and(Segment::opens),
        Protocol::Sctp => sctp::kind(l4) == sctp::Kind::Init,
        Protocol::Udp | Protocol::Icmp | Protocol::IcmpV6 => false,
    }
}

/// Whether a conn is over, as far as the director can see. With DR and tunnel it sees the client's
/// FIN only.
fn is_over<A: Family>(conn: &Conn<A>) -> bool {
    let is_closing = matches!(
        conn.tcp_state(),
        TcpState::FinWait | TcpState::CloseWait | TcpState::LastAck
    );
    match conn.tcp_state() {
        TcpState::TimeWait | TcpState::Close => true,
        _ => is_closing && conn.flags.has(ConnFlags::DR_TUNNEL),
    }
}
