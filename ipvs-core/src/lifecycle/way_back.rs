//! Answers to clients that no route leads to: they go out where the client's packets come in, to
//! the MAC address that these come from.

use inet::NexthopId;
use packet::eth::EthHeader;
use packet::{MacAddr, PacketBuf, PortId};

use crate::config::ReturnPath;
use crate::conn::{Conn, ConnFlags, ConnId};
use crate::ctx::{Forwarder, Shared};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Notes where a client's packet came from, unless its conn has a next hop of a route.
    #[inline]
    pub(crate) fn note_way_back(&mut self, id: ConnId, packet: &B) {
        if self.shared.snapshot.return_path != ReturnPath::Route
            && let Some(neighbour) = sender_of(packet.bytes())
        {
            self.note_neighbour(id, neighbour, packet.port());
        }
    }

    /// Notes that a client's packets come from a neighbour by a port.
    #[inline(never)]
    pub(crate) fn note_neighbour(&mut self, id: ConnId, neighbour: MacAddr, port: PortId) {
        let net = &self.shared.snapshot.net;
        let conn = self.family.conns.get_mut(id);
        let by_route = conn.nexthop(Direction::Outbound, net.generation);
        if conn.way_back().is_none() && by_route.is_some_and(|hop| net.nexthop(hop).is_some()) {
            return;
        }
        let now = self.shared.now.tick();
        let ways_back = &mut self.shared.ways_back;
        let way_back = match ways_back.note_again(neighbour, port, now) {
            Some(way_back) => way_back,
            None => {
                let Some(device) = net.device_of(port) else {
                    return;
                };
                let ours = (port, device.mac, device.mtu);
                ways_back.note(neighbour, ours, now)
            }
        };
        if conn.way_back() == Some(way_back) {
            return;
        }
        conn.keep_way_back(way_back);
        // Otherwise the next packet to the client looks up its way.
        if conn.flags.has(ConnFlags::BY_WAY_BACK) && conn.net_generation == net.generation {
            let nexthop = NexthopId(way_back.in_use());
            conn.set_nexthop(Direction::Outbound, net.generation, nexthop);
        }
    }

    /// Whether packets to a conn's client take the way back even where a route leads to it.
    pub(crate) fn prefers_way_back(&self, id: ConnId) -> bool {
        let way_back = self.family.conns.get(id).way_back();
        self.shared.snapshot.return_path == ReturnPath::Mac
            && way_back.is_some_and(|id| self.shared.ways_back.get(id).is_some())
    }

    /// The next hop back to a client that no route leads to, and its MTU.
    ///
    /// # Errors
    ///
    /// If it is not known. The client's next packet tells it then.
    pub(crate) fn take_way_back(&mut self, id: ConnId) -> Result<(NexthopId, u16), DropReason> {
        let generation = self.shared.snapshot.net.generation;
        let is_allowed = self.shared.snapshot.return_path != ReturnPath::Route;
        let conn = self.family.conns.get_mut(id);
        let known = conn.way_back().filter(|_| is_allowed).and_then(|id| {
            let nexthop = self.shared.ways_back.get(id)?;
            Some((NexthopId(id.in_use()), nexthop.mtu))
        });
        let Some((nexthop, mtu)) = known else {
            conn.flags.put(ConnFlags::BY_WAY_BACK, false);
            if is_allowed {
                conn.forget_nexthops();
            }
            return Err(DropReason::NoRoute);
        };
        conn.set_nexthop(Direction::Outbound, generation, nexthop);
        conn.flags.put(ConnFlags::BY_WAY_BACK, true);
        Ok((nexthop, mtu))
    }
}

impl<B: PacketBuf> Shared<B> {
    /// Whether a packet needs no more than any other packet although its conn uses the way back: it
    /// goes to the client, or comes from where the way back leads.
    #[inline]
    pub(crate) fn follows_way_back<A: Family>(
        &self,
        conn: &Conn<A>,
        packet: &B,
        direction: Direction,
    ) -> bool {
        if direction == Direction::Outbound {
            return true;
        }
        let ends = conn.way_back().and_then(|id| self.ways_back.ends(id));
        ends.is_some_and(|(neighbour, port)| {
            port == packet.port() && Some(neighbour) == sender_of(packet.bytes())
        })
    }
}

/// The MAC address that a frame came from, if an answer can be sent to it.
fn sender_of(frame: &[u8]) -> Option<MacAddr> {
    let sender = EthHeader::new_checked(frame)?.src();
    (!sender.is_multicast() && sender != MacAddr::ZERO).then_some(sender)
}
