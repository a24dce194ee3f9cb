//! The next hop of a packet: its MAC address, or the queue of the neighbour that is being resolved.

use inet::{MacPair, Net, Nexthop, NexthopId};
use packet::{PacketBuf, PortId};

use crate::config::Event;
use crate::conn::{Conn, ConnFlags, ConnId, WayBackId, WaysBack};
use crate::ctx::{Forwarder, Shared};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::{Enqueued, NeighbourKey};
use crate::wire::Family;

/// The next hop of a packet, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// The next hop's MAC address is known.
    Known {
        /// The next hop
        id: NexthopId,
        /// Largest IP packet in bytes
        mtu: u16,
    },
    /// The neighbour's MAC address has to be resolved first.
    Await {
        /// The neighbour
        neighbour: NeighbourKey,
        /// Largest IP packet in bytes
        mtu: u16,
    },
}

impl Way {
    #[inline]
    pub(crate) const fn mtu(&self) -> u16 {
        match self {
            Self::Known { mtu, .. } | Self::Await { mtu, .. } => *mtu,
        }
    }
}

/// The next hop of a conn's packets, if the conn has cached it and its MAC address is known.
#[inline(always)]
pub(super) fn known_nexthop<'n, A: Family>(
    net: &'n Net,
    ways_back: &'n WaysBack,
    conn: &Conn<A>,
    direction: Direction,
) -> Option<(&'n Nexthop, &'n MacPair)> {
    let id = conn.nexthop(direction, net.generation)?;
    match net.resolved(id) {
        None => nexthop_back(ways_back, id),
        known => known,
    }
}

/// The next hop that leads back to where a client's packets come from, if `id` is one.
#[inline(never)]
fn nexthop_back(ways_back: &WaysBack, id: NexthopId) -> Option<(&Nexthop, &MacPair)> {
    let nexthop = ways_back.get(WayBackId::of_nexthop(id.0)?)?;
    Some((nexthop, nexthop.macs.as_ref()?))
}

/// Whether a packet may be forwarded, by its time to live and its length. Called before anything in
/// it is changed, since an ICMP error has to quote it as it came.
#[inline(always)]
pub(super) fn check_way<A: Family>(
    frame: &[u8],
    total_len: u32,
    mtu: u16,
) -> Result<(), DropReason> {
    if A::ttl(frame) <= 1 {
        Err(DropReason::TtlExpired)
    } else if total_len > u32::from(mtu) {
        Err(DropReason::MtuExceeded)
    } else {
        Ok(())
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// The next hop of a conn's packets: cached in the conn, or from the routes. Refuses a conn
    /// whose client was denied since.
    ///
    /// A change of an access list or of a timeout makes all conns look up their next hops again. So
    /// the change costs the fast path nothing, and a denied client's conn never comes to a cached
    /// next hop.
    pub(crate) fn way_of(&mut self, id: ConnId, direction: Direction) -> Result<Way, DropReason> {
        let (net, ways_back) = (&self.shared.snapshot.net, &self.shared.ways_back);
        let conn = self.family.conns.get(id);
        if known_nexthop(net, ways_back, conn, direction).is_none() {
            self.check_access(conn)?;
            self.renew_timeout(id);
        }
        self.way_of_any(id, direction)
    }

    /// The next hop of packets of the director itself, to an end of any conn.
    pub(crate) fn way_of_any(
        &mut self,
        id: ConnId,
        direction: Direction,
    ) -> Result<Way, DropReason> {
        if !self.knows_nexthop_by_dest(id, direction) {
            return self.find_way(id, direction);
        }
        let generation = self.shared.snapshot.net.generation;
        let id = self.family.conns.get(id).nexthop(direction, generation);
        let known = id.and_then(|id| Some((id, self.shared.nexthop(id)?.mtu)));
        let (id, mtu) = known.ok_or(DropReason::NoRoute)?;
        Ok(Way::Known { id, mtu })
    }

    /// Whether the conn has cached its next hop. If not, it takes over what another conn of the
    /// same dest has found.
    pub(crate) fn knows_nexthop_by_dest(&mut self, id: ConnId, direction: Direction) -> bool {
        let net = &self.shared.snapshot.net;
        let ways_back = &self.shared.ways_back;
        let conn = self.family.conns.get_mut(id);
        if known_nexthop(net, ways_back, conn, direction).is_some() {
            return true;
        }
        if direction == Direction::Outbound {
            return false;
        }
        let addr = conn.destination(direction).to_ip();
        let Some(known) = self
            .shared
            .dest_cache
            .nexthop(conn.dest(), addr, net.generation)
        else {
            return false;
        };
        conn.set_nexthop(direction, net.generation, known);
        known_nexthop(net, ways_back, conn, direction).is_some()
    }

    #[cold]
    fn find_way(&mut self, id: ConnId, direction: Direction) -> Result<Way, DropReason> {
        if direction == Direction::Outbound && self.prefers_way_back(id) {
            return self.way_back_of(id);
        }
        let net = &self.shared.snapshot.net;
        let dst = self.family.conns.get(id).destination(direction).to_ip();
        let Some(hop) = net.route_to(dst) else {
            let is_answer = direction == Direction::Outbound;
            // A route may say that the address is the director's or the kernel's.
            if is_answer && net.routes.lookup(dst).is_none() {
                return self.way_back_of(id);
            }
            return Err(DropReason::NoRoute);
        };
        let known = net
            .nexthop_of(hop.ifindex, hop.neighbour)
            .and_then(|id| net.nexthop(id).map(|nexthop| (id, nexthop)))
            .filter(|(_, nexthop)| nexthop.macs.is_some());
        let Some((nexthop_id, nexthop)) = known else {
            let neighbour = NeighbourKey {
                ifindex: hop.ifindex,
                addr: hop.neighbour,
            };
            let mtu = hop.mtu;
            return Ok(Way::Await { neighbour, mtu });
        };
        // A route with an MTU of its own is looked up for each packet: the cached next hop has the
        // device's MTU.
        if nexthop.mtu == hop.mtu {
            let conn = self.family.conns.get_mut(id);
            conn.set_nexthop(direction, net.generation, nexthop_id);
            if direction == Direction::Outbound {
                conn.flags.put(ConnFlags::BY_WAY_BACK, false);
            } else {
                let notes = &mut self.shared.dest_cache;
                notes.set_nexthop(conn.dest(), dst, net.generation, nexthop_id);
            }
        }
        Ok(Way::Known {
            id: nexthop_id,
            mtu: hop.mtu,
        })
    }

    fn way_back_of(&mut self, id: ConnId) -> Result<Way, DropReason> {
        let (id, mtu) = self.take_way_back(id)?;
        Ok(Way::Known { id, mtu })
    }

    /// Sends a packet, or queues it for its neighbour.
    pub(crate) fn deliver(&mut self, packet: B, way: Way, io: &mut impl Io<B>) {
        match way {
            Way::Known { id, .. } => self.shared.transmit_to(packet, id, io),
            Way::Await { neighbour, .. } => self.shared.hold(packet, neighbour, io),
        }
    }
}

impl<B: PacketBuf> Shared<B> {
    /// Whether so many packets can leave, or wait for their neighbour.
    pub(super) fn has_room(&self, way: Way, packets: u16) -> bool {
        match way {
            Way::Known { .. } => true,
            Way::Await { neighbour, .. } => self.neigh_queue.has_room(neighbour, packets),
        }
    }

    /// A next hop of a route, or back to a client.
    pub(crate) fn nexthop(&self, id: NexthopId) -> Option<&Nexthop> {
        let of_route = self.snapshot.net.nexthop(id);
        of_route.or_else(|| self.ways_back.get(WayBackId::of_nexthop(id.0)?))
    }

    /// Sends a packet to a next hop whose MAC address is known.
    #[inline]
    fn transmit_to(&self, packet: B, id: NexthopId, io: &mut impl Io<B>) {
        match self.nexthop(id) {
            Some(nexthop) => self.transmit(packet, nexthop, io),
            None => self.drop(packet, DropReason::NoRoute),
        }
    }

    #[inline]
    pub(crate) fn transmit(&self, mut packet: B, nexthop: &Nexthop, io: &mut impl Io<B>) {
        if let Some(macs) = &nexthop.macs {
            macs.write(packet.bytes_mut());
        }
        self.send(packet, nexthop.port, io);
    }

    /// Sends a packet whose MAC addresses are written.
    #[inline(always)]
    pub(crate) fn send(&self, packet: B, port: PortId, io: &mut impl Io<B>) {
        self.stats.transmitted.add(1);
        io.transmit(port, packet);
    }

    #[cold]
    pub(crate) fn hold(&mut self, packet: B, neighbour: NeighbourKey, io: &mut impl Io<B>) {
        match self.neigh_queue.push(self.now.tick(), neighbour, packet) {
            Enqueued::First => {
                self.stats.held.add(1);
                self.send_event(
                    Event::Resolve {
                        ifindex: neighbour.ifindex,
                        addr: neighbour.addr,
                    },
                    io,
                );
            }
            Enqueued::Queued => self.stats.held.add(1),
            Enqueued::Full(packet) => self.drop(packet, DropReason::NeighbourQueueFull),
        }
    }

    /// Sends the packets of neighbours that are resolved by now. Called when a snapshot is
    /// published.
    pub(crate) fn release_neigh_queue(&mut self, io: &mut impl Io<B>) {
        while !self.neigh_queue.is_empty() {
            let net = &self.snapshot.net;
            let known = |awaited: &NeighbourKey| {
                net.nexthop_of(awaited.ifindex, awaited.addr)
                    .and_then(|id| net.nexthop(id))
                    .filter(|nexthop| nexthop.macs.is_some())
                    .copied()
            };
            let Some((awaited, packet)) = self
                .neigh_queue
                .pop_known(|awaited| known(awaited).is_some())
            else {
                return;
            };
            self.stats.held.sub(1);
            if let Some(nexthop) = known(&awaited) {
                self.transmit(packet, &nexthop, io);
            }
        }
    }
}
