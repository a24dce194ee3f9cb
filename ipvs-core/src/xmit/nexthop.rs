//! The way out: next hop, MAC addresses, or waiting for them.

use inet::{MacPair, Net, Nexthop, NexthopId};
use packet::{PacketBuf, PortId};

use crate::config::Event;
use crate::conn::{Conn, ConnId};
use crate::ctx::{Forwarder, Shared};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::state::{Enqueued, NeighbourKey};
use crate::wire::Family;

/// How a packet gets out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// To this next hop
    Known {
        /// The next hop, whose MAC address is known
        id: NexthopId,
        /// Largest IP packet in bytes
        mtu: u16,
    },
    /// Once this neighbour has told its MAC address
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

/// The next hop of a conn's packets, if the conn remembers it and its neighbour is known.
#[inline(always)]
pub(super) fn known_nexthop<'n, A: Family>(
    net: &'n Net,
    conn: &Conn<A>,
    direction: Direction,
) -> Option<(&'n Nexthop, &'n MacPair)> {
    net.resolved(conn.nexthop(direction, net.generation)?)
}

/// Whether a packet may go on at all. Nothing of it has been changed yet: its sender may have to be told.
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
    /// The way of a conn's packets, as it remembers it or by a look at the routes.
    pub(crate) fn way_of(&mut self, id: ConnId, direction: Direction) -> Result<Way, DropReason> {
        if !self.knows_nexthop_by_dest(id, direction) {
            return self.find_way(id, direction);
        }
        let net = &self.shared.snapshot.net;
        let id = self.family.conns.get(id).nexthop(direction, net.generation);
        let known = id.and_then(|id| Some((id, net.nexthop(id)?.mtu)));
        let (id, mtu) = known.ok_or(DropReason::NoRoute)?;
        Ok(Way::Known { id, mtu })
    }

    /// Whether a conn knows the next hop of its packets, or does from now on by what another conn of its dest has found.
    pub(crate) fn knows_nexthop_by_dest(&mut self, id: ConnId, direction: Direction) -> bool {
        let net = &self.shared.snapshot.net;
        let conn = self.family.conns.get_mut(id);
        if known_nexthop(net, conn, direction).is_some() {
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
        known_nexthop(net, conn, direction).is_some()
    }

    #[cold]
    fn find_way(&mut self, id: ConnId, direction: Direction) -> Result<Way, DropReason> {
        let net = &self.shared.snapshot.net;
        let dst = self.family.conns.get(id).destination(direction).to_ip();
        let hop = net.route_to(dst).ok_or(DropReason::NoRoute)?;
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
        // A route's own MTU binds the conn to its route only as long as that is looked up each time.
        if nexthop.mtu == hop.mtu {
            let conn = self.family.conns.get_mut(id);
            conn.set_nexthop(direction, net.generation, nexthop_id);
            if direction == Direction::Inbound {
                let notes = &mut self.shared.dest_cache;
                notes.set_nexthop(conn.dest(), dst, net.generation, nexthop_id);
            }
        }
        Ok(Way::Known {
            id: nexthop_id,
            mtu: hop.mtu,
        })
    }

    /// Sends a packet its way, or holds it.
    pub(crate) fn deliver(&mut self, packet: B, way: Way, io: &mut impl Io<B>) {
        match way {
            Way::Known { id, .. } => self.shared.transmit_to(packet, id, io),
            Way::Await { neighbour, .. } => self.shared.hold(packet, neighbour, io),
        }
    }
}

impl<B: PacketBuf> Shared<B> {
    /// Sends a packet to a next hop that [`known_nexthop`] gave.
    #[inline]
    fn transmit_to(&self, packet: B, id: NexthopId, io: &mut impl Io<B>) {
        match self.snapshot.net.nexthop(id) {
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

    /// Sends a packet whose MAC addresses are right.
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

    /// Sends what waited for neighbours that are known by now. Called when a snapshot comes.
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
