//! DR and tunnel: packets of clients that leave as they came, or within others. What the dest answers does not pass here.

use inet::Nexthop;
use packet::PacketBuf;

use crate::classify::Flow;
use crate::conn::{Conn, ConnFlags, ConnId, Direction, Found};
use crate::drop_reason::DropReason;
use crate::family::Family;
use crate::forward::{check_way, count_packet};
use crate::io::Io;
use crate::lane::Forwarder;
use crate::output::known_nexthop;
use crate::segment::Segment;
use crate::service::{Encapsulation, FwdMode, Protocol};
use crate::shared::Shared;
use crate::tcp_state::TcpState;
use crate::tunnel;
use crate::tuple::Tuple;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// A packet of a conn that nothing comes back by. Each of the common modes has a copy of the code of its own, which does not
    /// ask what it is.
    #[inline(always)]
    pub(crate) fn forward_one_way(
        &mut self,
        packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let flags = self.lane.conns.get(found.id).flags;
        if flags.has(ConnFlags::IPIP) {
            self.forward_in_ipip(packet, flow, found, io);
        } else if flags.has(ConnFlags::TUNNEL) {
            self.forward_special(packet, flow, found, io);
        } else {
            self.forward_directly(packet, flow, found, io);
        }
    }

    #[inline(never)]
    fn forward_directly(&mut self, packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        self.forward_as(FwdMode::DirectRoute, packet, flow, found, io);
    }

    #[inline(never)]
    fn forward_in_ipip(&mut self, packet: B, flow: &Flow<A>, found: Found, io: &mut impl Io<B>) {
        let ipip = FwdMode::Tunnel(Encapsulation::IpIp);
        self.forward_as(ipip, packet, flow, found, io);
    }

    #[inline(always)]
    fn forward_as(
        &mut self,
        fwdmode: FwdMode,
        mut packet: B,
        flow: &Flow<A>,
        found: Found,
        io: &mut impl Io<B>,
    ) {
        let conn = self.lane.conns.get_mut(found.id);
        let known = known_nexthop(&self.shared.snapshot.net, conn, Direction::Inbound);
        let Some((&Nexthop { mtu, port, .. }, macs)) = known else {
            return self.forward_first(packet, flow, found, io);
        };
        match self.shared.pass_on(&mut packet, flow, conn, fwdmode, mtu) {
            Ok((next, frame)) => {
                macs.write(frame);
                self.shared.send(packet, port, io);
                self.follow_one_way(found.id, next);
            }
            Err(reason) => self.refuse_or_drop(packet, found, reason, io),
        }
    }

    /// What is inside a tunnel of another kind, or goes by routes.
    #[inline(never)]
    pub(crate) fn pass_on(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let conn = self.lane.conns.get_mut(found.id);
        let fwdmode = conn.fwdmode();
        let (next, _) = self.shared.pass_on(packet, flow, conn, fwdmode, mtu)?;
        self.follow_one_way(found.id, next);
        Ok(())
    }

    #[inline(always)]
    fn follow_one_way(&mut self, id: ConnId, next: Option<TcpState>) {
        if let Some(next) = next {
            self.set_tcp_state(id, next);
        }
    }
}

impl<B: PacketBuf> Shared<B> {
    /// The packet stays as it is, but for its time to live, and gets headers around it in a tunnel. The state that its conn has
    /// from now on, if that is another, and the frame as it is now.
    #[inline(always)]
    fn pass_on<'p, A: Family>(
        &self,
        packet: &'p mut B,
        flow: &Flow<A>,
        conn: &mut Conn<A>,
        fwdmode: FwdMode,
        mtu: u16,
    ) -> Result<(Option<TcpState>, &'p mut [u8]), DropReason> {
        let frame = packet.bytes_mut();
        let total_len = u32::from(flow.total_len) + u32::from(tunnel::overhead(conn, fwdmode));
        check_way::<A>(frame, total_len, mtu)?;
        let next = match flow.protocol {
            Protocol::Tcp => next_state(frame, flow, conn)?,
            _ => None,
        };
        count_packet(&self.stats, conn, Direction::Inbound, flow.total_len);
        conn.touch(self.now.tick());
        let is_ipip = fwdmode == FwdMode::Tunnel(Encapsulation::IpIp);
        let frame = if is_ipip && !A::CAN_BE_MIXED && flow.is_plain() {
            tunnel::wrap_plain(packet, conn)?
        } else {
            A::decrement_ttl(frame);
            self.wrap(packet, conn, fwdmode, &flow.tuple)?;
            packet.bytes_mut()
        };
        Ok((next, frame))
    }

    /// Whatever belongs to a conn of DR or tunnel mode: its way out, without a look inside.
    pub(crate) fn pass_on_unchanged<A: Family>(
        &self,
        packet: &mut B,
        conn: &Conn<A>,
        tuple: &Tuple<A>,
    ) -> Result<(), DropReason> {
        A::decrement_ttl(packet.bytes_mut());
        self.wrap(packet, conn, conn.fwdmode(), tuple)
    }

    #[inline(always)]
    fn wrap<A: Family>(
        &self,
        packet: &mut B,
        conn: &Conn<A>,
        fwdmode: FwdMode,
        tuple: &Tuple<A>,
    ) -> Result<(), DropReason> {
        let FwdMode::Tunnel(encapsulation) = fwdmode else {
            return Ok(());
        };
        let flow_hash = || tuple.hash(&self.config.keys.sequence);
        tunnel::encapsulate(packet, conn, encapsulation, flow_hash)
    }
}

/// The state of a TCP conn of which only the client's segments are seen, if a segment changes it.
#[inline(always)]
fn next_state<A: Family>(
    frame: &[u8],
    flow: &Flow<A>,
    conn: &Conn<A>,
) -> Result<Option<TcpState>, DropReason> {
    let l4 = frame.get(usize::from(flow.l4_at)..);
    let segment = Segment::read(l4.unwrap_or_default())?;
    let state = conn.tcp_state();
    let next = state.next_one_way(segment.kind());
    Ok((next != state).then_some(next))
}
