//! DR and tunnel: clients' packets keep their IP header, in a tunnel inside another one. Replies do
//! not pass the director.

use packet::{PacketBuf, ipv4};

use crate::config::{Encapsulation, FwdMode, Protocol};
use crate::conn::{Conn, Found};
use crate::ctx::{Forwarder, Shared};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::tcp_state::TcpState;
use crate::tuple::Tuple;
use crate::wire::{Family, Flow, Segment, tunnel};
use crate::xmit::blind_reset::next_dr_tunnel;
use crate::xmit::nexthop::{check_way, known_nexthop};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Slow path: prepares a packet of a DR or tunnel conn, and follows the TCP state by the
    /// client's segments alone.
    #[inline(never)]
    pub(super) fn rewrite_dr_tunnel(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let conn = self.family.conns.get_mut(found.id);
        let fwdmode = conn.fwdmode();
        let frame = packet.bytes();
        check_way::<A>(frame, wrapped_len(flow, conn, fwdmode), mtu)?;
        let next = next_state(frame, flow, conn)?;
        self.shared.change(packet, flow, conn, fwdmode)?;
        if let Some(next) = next {
            self.set_tcp_state(found.id, next);
        }
        Ok(())
    }
}

impl<B: PacketBuf> Shared<B> {
    /// Fast path for packets that change nothing in their conn but its last-seen tick. Any other
    /// packet comes back unchanged. DR and IP in IP have a compiled copy each, without a branch on
    /// the mode.
    #[inline(always)]
    pub(super) fn forward_dr_tunnel_fast<A: Family>(
        &self,
        conn: &mut Conn<A>,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        if conn.flags.is_ipip() {
            self.forward_ipip(conn, packet, flow, io)
        } else if conn.flags.is_dr() {
            self.forward_dr(conn, packet, flow, io)
        } else {
            Err(packet)
        }
    }

    #[inline(never)]
    fn forward_dr<A: Family>(
        &self,
        conn: &mut Conn<A>,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        self.forward_dr_tunnel_as(FwdMode::DirectRoute, conn, packet, flow, io)
    }

    #[inline(never)]
    fn forward_ipip<A: Family>(
        &self,
        conn: &mut Conn<A>,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        let ipip = FwdMode::Tunnel(Encapsulation::IpIp);
        self.forward_dr_tunnel_as(ipip, conn, packet, flow, io)
    }

    #[inline(always)]
    fn forward_dr_tunnel_as<A: Family>(
        &self,
        fwdmode: FwdMode,
        conn: &mut Conn<A>,
        mut packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<(), B> {
        let known = known_nexthop(
            &self.snapshot.net,
            &self.ways_back,
            conn,
            Direction::Inbound,
        );
        let Some((nexthop, macs)) = known else {
            return Err(packet);
        };
        let frame = packet.bytes();
        let total_len = wrapped_len(flow, conn, fwdmode);
        let is_allowed = check_way::<A>(frame, total_len, nexthop.mtu).is_ok();
        if !is_allowed || next_state(frame, flow, conn) != Ok(None) {
            return Err(packet);
        }
        match self.change(&mut packet, flow, conn, fwdmode) {
            Ok(frame) => {
                macs.write(frame);
                self.send(packet, nexthop.port, io);
            }
            Err(reason) => self.drop(packet, reason),
        }
        Ok(())
    }

    /// Decrements the time to live, writes the outer headers of a tunnel, counts the packet.
    /// Returns the new frame.
    #[inline(always)]
    fn change<'p, A: Family>(
        &self,
        packet: &'p mut B,
        flow: &Flow<A>,
        conn: &mut Conn<A>,
        fwdmode: FwdMode,
    ) -> Result<&'p mut [u8], DropReason> {
        let is_ipip = fwdmode == FwdMode::Tunnel(Encapsulation::IpIp);
        let is_short =
            is_ipip && !A::HAS_NAT64 && flow.is_plain() && !ipv4::has_reserved_flag(packet.bytes());
        self.stats
            .count_packet(conn.dest(), Direction::Inbound, flow.total_len);
        conn.touch(self.now.tick());
        if is_short {
            // It fits: the caller has checked the length against the MTU.
            let total_len = wrapped_len(flow, conn, fwdmode) as u16;
            return tunnel::wrap_plain(packet, conn, total_len, &self.identifications);
        }
        A::decrement_ttl(packet.bytes_mut());
        self.wrap(packet, conn, fwdmode, &flow.tuple)?;
        Ok(packet.bytes_mut())
    }

    /// Prepares a packet that belongs to a DR or tunnel conn without a look at its L4 header:
    /// fragments, ICMP errors.
    pub(crate) fn wrap_for_dest<A: Family>(
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
        let identifications = &self.identifications;
        tunnel::encapsulate(packet, conn, encapsulation, identifications, flow_hash)
    }
}

/// Bytes of the IP packet that leaves, outer headers included.
#[inline(always)]
fn wrapped_len<A: Family>(flow: &Flow<A>, conn: &Conn<A>, fwdmode: FwdMode) -> u32 {
    u32::from(flow.total_len) + u32::from(tunnel::overhead(conn, fwdmode))
}

/// The next TCP state, or `None` if the segment does not change it. Only the client's segments are
/// seen.
#[inline(always)]
fn next_state<A: Family>(
    frame: &[u8],
    flow: &Flow<A>,
    conn: &mut Conn<A>,
) -> Result<Option<TcpState>, DropReason> {
    if flow.protocol() != Protocol::Tcp {
        return Ok(None);
    }
    let l4 = flow.l4(frame);
    let segment = Segment::read(l4)?;
    let next = next_dr_tunnel(conn, segment);
    Ok((next != conn.tcp_state()).then_some(next))
}
