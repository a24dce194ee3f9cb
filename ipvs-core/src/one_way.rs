//! DR and tunnel: packets of clients that leave as they came, or within others. What the dest answers does not pass here.

use packet::PacketBuf;

use crate::classify::Flow;
use crate::conn::{ConnFlags, ConnId, Found};
use crate::drop_reason::DropReason;
use crate::family::Family;
use crate::lane::Forwarder;
use crate::segment::Segment;
use crate::service::{Encapsulation, FwdMode, Protocol};
use crate::time::Now;
use crate::tunnel;
use crate::tuple::Tuple;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// DR and tunnel: the packet stays as it is, but for its time to live. Each of the common modes has a copy of its own, which
    /// does not ask what it is.
    #[inline]
    pub(crate) fn pass_on(
        &mut self,
        now: Now,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let flags = self.lane.conns.get(found.id).flags;
        if flags.has(ConnFlags::IPIP) {
            self.pass_on_in_ipip(now, packet, flow, found, mtu)
        } else if flags.has(ConnFlags::TUNNEL) {
            self.pass_on_in_tunnel(now, packet, flow, found, mtu)
        } else {
            self.pass_on_directly(now, packet, flow, found, mtu)
        }
    }

    #[inline(never)]
    fn pass_on_directly(
        &mut self,
        now: Now,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        self.pass_on_by(FwdMode::DirectRoute, now, packet, flow, found, mtu)
    }

    #[inline(never)]
    fn pass_on_in_ipip(
        &mut self,
        now: Now,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let ipip = FwdMode::Tunnel(Encapsulation::IpIp);
        self.pass_on_by(ipip, now, packet, flow, found, mtu)
    }

    #[inline(never)]
    fn pass_on_in_tunnel(
        &mut self,
        now: Now,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let fwdmode = self.lane.conns.get(found.id).fwdmode();
        self.pass_on_by(fwdmode, now, packet, flow, found, mtu)
    }

    #[inline(always)]
    fn pass_on_by(
        &mut self,
        fwdmode: FwdMode,
        now: Now,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let overhead = tunnel::overhead(self.lane.conns.get(found.id), fwdmode);
        if flow.total_len.saturating_add(overhead) > mtu {
            return Err(DropReason::MtuExceeded);
        }
        if flow.protocol == Protocol::Tcp {
            self.follow_one_way(packet, flow, found.id)?;
        }
        self.count_packet(found, flow.total_len);
        self.lane.conns.get_mut(found.id).touch(now.tick());
        self.pass_on_unchanged(packet, found, fwdmode, &flow.tuple)
    }

    /// The state of a TCP conn of which only the client's segments are seen.
    #[inline(always)]
    fn follow_one_way(&mut self, packet: &B, flow: &Flow<A>, id: ConnId) -> Result<(), DropReason> {
        let l4 = packet.bytes().get(usize::from(flow.l4_at)..);
        let segment = Segment::read(l4.unwrap_or_default())?;
        let state = self.lane.conns.get(id).tcp_state();
        let next = state.next_one_way(segment.kind());
        if next != state {
            self.set_tcp_state(id, next);
        }
        Ok(())
    }

    /// Whatever belongs to a conn of DR or tunnel mode: its way out, without a look inside. As a call of its own it costs
    /// `pass_on` a nanosecond.
    #[inline(always)]
    pub(crate) fn pass_on_unchanged(
        &self,
        packet: &mut B,
        found: Found,
        fwdmode: FwdMode,
        tuple: &Tuple<A>,
    ) -> Result<(), DropReason> {
        A::decrement_ttl(packet.bytes_mut());
        let FwdMode::Tunnel(encapsulation) = fwdmode else {
            return Ok(());
        };
        let conn = self.lane.conns.get(found.id);
        let flow_hash = || tuple.hash(&self.shared.config.keys.sequence);
        tunnel::encapsulate(packet, conn, encapsulation, flow_hash)
    }
}
