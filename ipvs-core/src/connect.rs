//! The first packet of a conn: service, dest, local port, new conn.

use packet::PacketBuf;

use crate::classify::Flow;
use crate::conn::{ConnFlags, ConnId, Direction, Found, Lookup};
use crate::drop_reason::DropReason;
use crate::expected::Expected;
use crate::extra::Extra;
use crate::family::Family;
use crate::io::Io;
use crate::lane::Forwarder;
use crate::open::Unserved;
use crate::segment::Segment;
use crate::service::{FwdMode, Protocol};
use crate::syn_proxy::Handshake;
use crate::time::Now;

/// A packet whose look-up found no conn.
#[derive(Debug)]
pub(crate) struct Unknown<A, B> {
    pub(crate) packet: B,
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
}

/// A packet whose conn is in the table, if only half: its way back is still to be entered.
#[derive(Debug)]
pub(crate) struct Opening<A, B> {
    packet: B,
    flow: Flow<A>,
    lookup: Lookup,
    /// The conn that this packet made, and where its outbound tuple goes; `None` if an earlier packet of the
    /// batch made it.
    made: Option<(ConnId, Lookup)>,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Packets that belong to no conn: to a service, to another worker's conn, or to the kernel. In two steps
    /// for all of them, so that the memory of the way back is there when it is written.
    #[cold]
    pub(crate) fn connect_all(&mut self, now: Now, io: &mut impl Io<B>) {
        let mut unknown = std::mem::take(&mut self.lane.unknown);
        let mut openings = std::mem::take(&mut self.lane.openings);
        for packet in unknown.drain(..) {
            openings.extend(self.begin(now, packet, io));
        }
        for (_, outbound) in openings.iter().filter_map(|opening| opening.made.as_ref()) {
            self.lane.conns.fetch_both_buckets(outbound);
        }
        for opening in openings.drain(..) {
            self.complete(now, opening, io);
        }
        self.lane.openings = openings;
        self.lane.unknown = unknown;
    }

    /// Both steps for a single packet.
    pub(crate) fn connect(&mut self, now: Now, unknown: Unknown<A, B>, io: &mut impl Io<B>) {
        if let Some(opening) = self.begin(now, unknown, io) {
            self.complete(now, opening, io);
        }
    }

    /// The first step; `None` if the packet has come to its end already.
    fn begin(
        &mut self,
        now: Now,
        unknown: Unknown<A, B>,
        io: &mut impl Io<B>,
    ) -> Option<Opening<A, B>> {
        let Unknown {
            mut packet,
            mut flow,
            lookup,
        } = unknown;
        let mut shaken = None;
        if self.shared.snapshot.services.has_syn_proxy() && flow.protocol == Protocol::Tcp {
            match self.shake_hands_of_unknown(now, packet, &flow, &lookup, io) {
                Handshake::Over => return None,
                Handshake::Plain(same) => packet = same,
                Handshake::Shaken(syn, flow_of_syn, extra) => {
                    (packet, flow, shaken) = (syn, flow_of_syn, Some(extra));
                }
            }
        }
        let made = match self.lane.conns.find_again(&lookup, &flow.tuple) {
            Some(_) => Ok(None),
            None => {
                let expected = self.expected_call(now, &packet, &flow);
                match &expected {
                    Some(expected) if expected.vip != flow.tuple.dst.to_ip() => {
                        self.connect_active(now, packet, &flow, expected, io);
                        return None;
                    }
                    _ => {}
                }
                let expected = expected.as_ref();
                self.open(now, &packet, &flow, &lookup, expected, io)
                    .map(Some)
            }
        };
        match made {
            Ok(made) => {
                if let (Some(extra), Some((id, _))) = (shaken, &made) {
                    self.note_shaken(*id, extra);
                }
                return Some(Opening {
                    packet,
                    flow,
                    lookup,
                    made,
                });
            }
            Err(Unserved::NoService) => self.without_service(packet, &flow, io),
            Err(Unserved::Drop(reason)) => self.shared.drop(packet, reason),
        }
        None
    }

    /// What FTP has announced, if this is it.
    fn expected_call(&self, now: Now, packet: &B, flow: &Flow<A>) -> Option<Expected> {
        if !self.shared.snapshot.services.has_ftp() || flow.protocol != Protocol::Tcp {
            return None;
        }
        let l4 = packet.bytes().get(usize::from(flow.l4_at)..);
        let segment = Segment::read(l4.unwrap_or_default()).ok()?;
        segment.opens().then(|| self.expected(now, flow))?
    }

    /// If the conn is not there by now.
    #[cold]
    fn shake_hands_of_unknown(
        &mut self,
        now: Now,
        packet: B,
        flow: &Flow<A>,
        lookup: &Lookup,
        io: &mut impl Io<B>,
    ) -> Handshake<A, B> {
        match self.lane.conns.find_again(lookup, &flow.tuple) {
            Some(_) => Handshake::Plain(packet),
            None => self.shake_hands(now, packet, flow, io),
        }
    }

    /// What the conn of a client that shook hands with the director remembers.
    fn note_shaken(&mut self, id: ConnId, extra: Extra) {
        let Extra { proxy, is_ftp, .. } = *self.lane.extras.get(id);
        *self.lane.extras.get_mut(id) = Extra {
            proxy,
            is_ftp,
            ..extra
        };
        let flags = &mut self.lane.conns.get_mut(id).flags;
        flags.put(ConnFlags::SYN_PROXIED, true);
    }

    /// A packet whose conn is over: looked up once more.
    pub(crate) fn connect_anew(
        &mut self,
        now: Now,
        packet: B,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) {
        let lookup = self.lane.conns.begin(&flow.tuple);
        let flow = *flow;
        let unknown = Unknown {
            packet,
            flow,
            lookup,
        };
        self.connect(now, unknown, io);
    }

    /// The second step: the way back, then the packet goes like any other.
    fn complete(&mut self, now: Now, opening: Opening<A, B>, io: &mut impl Io<B>) {
        let Opening {
            packet,
            flow,
            lookup,
            made,
        } = opening;
        let found = match made {
            Some((id, outbound)) => self.complete_conn(now, id, outbound, &flow, io),
            None => match self.lane.conns.find_again(&lookup, &flow.tuple) {
                Some(found) => Ok(found),
                None => return self.connect_again(now, packet, flow, lookup, io),
            },
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let is_over = self
            .lane
            .conns
            .get(found.id)
            .flags
            .has(ConnFlags::ONE_PACKET);
        self.forward(now, packet, &flow, found, io);
        if is_over {
            self.end(now, found.id, io);
        }
    }

    /// The conn that an earlier packet of the batch made is over already: it was that packet's alone, or gave way to
    /// another.
    fn connect_again(
        &mut self,
        now: Now,
        packet: B,
        flow: Flow<A>,
        lookup: Lookup,
        io: &mut impl Io<B>,
    ) {
        match self.open(now, &packet, &flow, &lookup, None, io) {
            Ok(made) => {
                let made = Some(made);
                let opening = Opening {
                    packet,
                    flow,
                    lookup,
                    made,
                };
                self.complete(now, opening, io);
            }
            Err(Unserved::NoService) => self.without_service(packet, &flow, io),
            Err(Unserved::Drop(reason)) => self.shared.drop(packet, reason),
        }
    }

    /// Enters the way back, if it is free and there is room. Else the conn is out again; a later packet of the
    /// batch may have recycled it already.
    fn complete_conn(
        &mut self,
        now: Now,
        id: ConnId,
        outbound: Lookup,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<Found, DropReason> {
        if !self.lane.conns.holds(id, &flow.tuple) {
            return Err(DropReason::ConnTableFull);
        }
        let conn = *self.lane.conns.get(id);
        let way_back = conn.tuple(Direction::Outbound);
        // FullNAT's way back has a port that is its own, and one-way conns have none.
        if conn.fwdmode() == FwdMode::Nat
            && self.lane.conns.find_again(&outbound, &way_back).is_some()
        {
            self.end(now, id, io);
            return Err(DropReason::NatTupleInUse);
        }
        if self.lane.conns.insert_outbound(id, outbound).is_err() {
            self.settle_end(now, &conn, io);
            return Err(DropReason::ConnTableFull);
        }
        Ok(Found {
            id,
            direction: Direction::Inbound,
        })
    }
}
