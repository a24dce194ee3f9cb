//! Forwards one fragment whose conn is known.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::conn::{ConnFlags, Found};
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::Part;
use crate::wire::Family;
use crate::xmit::headers::rewrite_network;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Rewrites and sends one fragment.
    pub(super) fn forward_fragment(
        &mut self,
        mut packet: B,
        ip: &IpFacts<A>,
        found: Found,
        part: Part,
        io: &mut impl Io<B>,
    ) {
        let way = match self.way_of(found.id, found.direction) {
            Ok(way) => way,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        if ip.ttl <= 1 {
            return self.refuse_or_drop(packet, found, DropReason::TtlExpired, io);
        }
        let mtu = self.mtu_for(&packet, found, way.mtu());
        let is_too_long = ip.total_len.saturating_add_signed(self.growth(ip, found)) > mtu;
        if is_too_long && !self.may_be_cut(&mut packet, found) {
            return self.refuse_or_drop(packet, found, DropReason::MtuExceeded, io);
        }
        let dest = self.family.conns.get(found.id).dest();
        self.shared
            .stats
            .count_packet(dest, found.direction, ip.total_len);
        let conn = self.family.conns.get_mut(found.id);
        conn.touch(self.shared.now.tick());
        match self.rewrite_fragment(&mut packet, ip, found, part) {
            Ok(()) => self.deliver_or_cut(packet, way, mtu, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
    }

    fn rewrite_fragment(
        &mut self,
        packet: &mut B,
        ip: &IpFacts<A>,
        found: Found,
        part: Part,
    ) -> Result<(), DropReason> {
        if let Part::FirstOfSctp { whole_len } = part {
            self.rewrite_first_fragment(packet, ip.l4_at, found, whole_len)?;
        }
        let conn = self.family.conns.get(found.id);
        if conn.flags.has(ConnFlags::DR_TUNNEL) {
            let tuple = conn.tuple(found.direction);
            return self.shared.wrap_for_dest(packet, conn, &tuple);
        }
        if A::HAS_NAT64 && conn.flags.has(ConnFlags::NAT64) {
            return self.replace_network_of_fragment(packet, ip, found, part);
        }
        let identifications = &self.shared.identifications;
        rewrite_network(packet.bytes_mut(), conn, found.direction, identifications);
        self.renumber_fragment(packet, ip);
        Ok(())
    }
}
