//! The first packet of a conn: service, dest, local port, new conn.

use packet::PacketBuf;

use crate::config::fwdmode::FwdMode;

use crate::config::protocol::Protocol;
use crate::conn::ext::Extra;
use crate::conn::{ConnFlags, ConnId, Direction, Found, Lookup};
use crate::ctx::family_state::Forwarder;
use crate::drop_reason::DropReason;
use crate::helper::syn_proxy::cookie_side::Handshake;
use crate::io::Io;
use crate::lifecycle::create::Unserved;
use crate::sched;
use crate::state::expectations::Expected;
use crate::tuple::Tuple;
use crate::wire::classify::{Aside, Flow};
use crate::wire::family::Family;
use crate::wire::tcp::Segment;

/// A packet whose look-up found no conn. What becomes of it is written where it lies: what is written in parts and then moved as
/// a whole waits until all that was written before is in the cache, a new conn among it.
#[derive(Debug)]
pub(crate) struct Unknown<A, B> {
    /// `None` once it has come to its end
    pub(crate) packet: Option<B>,
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
    /// The conn that this packet made, in the table by its inbound tuple, and where its outbound one goes; `None` if
    /// an earlier packet of the batch made it.
    pub(crate) made: Option<(ConnId, Lookup)>,
}

impl<A, B> Unknown<A, B> {
    pub(crate) const fn new(packet: B, flow: Flow<A>, lookup: Lookup) -> Self {
        Self {
            packet: Some(packet),
            flow,
            lookup,
            made: None,
        }
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Packets that belong to no conn: to a service, to another worker's conn, or to the kernel. In two steps
    /// for all of them, so that the memory of the way back is there when it is written.
    #[cold]
    pub(crate) fn connect_all(&mut self, io: &mut impl Io<B>) {
        let mut all = std::mem::take(&mut self.lane.unknown);
        if self.lane.has_fragments {
            self.put_off_first_fragments(&mut all);
        }
        if self.shared.snapshot.services.has_hashed() {
            self.fetch_slots(&all);
        }
        for unknown in &mut all {
            self.begin(unknown, io);
        }
        for unknown in &all {
            if let Some((_, outbound)) = &unknown.made {
                self.lane.conns.fetch_room(outbound);
            }
        }
        for unknown in &mut all {
            self.complete(unknown, io);
        }
        all.clear();
        self.lane.unknown = all;
    }

    /// Where the dests of packets to services that go by a hash are found.
    #[inline(never)]
    fn fetch_slots(&self, all: &[Unknown<A, B>]) {
        let services = &self.shared.snapshot.services;
        sched::fetch_slots(all.iter().filter_map(|unknown| {
            let tuple = &unknown.flow.tuple;
            let service = services.of_vip(unknown.flow.protocol(), tuple.dst, tuple.dport)?;
            let client = (tuple.src.to_ip(), tuple.sport);
            Some((&**service, client, tuple.dst.to_ip()))
        }));
    }

    /// Both steps for a single packet.
    pub(crate) fn connect(&mut self, mut unknown: Unknown<A, B>, io: &mut impl Io<B>) {
        self.begin(&mut unknown, io);
        self.complete(&mut unknown, io);
    }

    /// The first step: its conn is made, if it is to have one.
    fn begin(&mut self, unknown: &mut Unknown<A, B>, io: &mut impl Io<B>) {
        let Tuple { src, dst, .. } = unknown.flow.tuple;
        if let Err(aside) = A::check_hosts(src, dst) {
            return self.set_aside(unknown, aside, io);
        }
        let has_syn_proxy = self.shared.snapshot.services.has_syn_proxy();
        let mut shaken = None;
        if has_syn_proxy && unknown.flow.protocol() == Protocol::Tcp {
            shaken = self.shake_hands_of_unknown(unknown, io);
        }
        let Some(packet) = &unknown.packet else {
            return;
        };
        let flow = &unknown.flow;
        if self
            .lane
            .conns
            .find_again(&unknown.lookup, &flow.tuple)
            .is_some()
        {
            return;
        }
        let expected = self.expected_call(packet, flow);
        if let Some(expected) = &expected
            && expected.vip != flow.tuple.dst.to_ip()
        {
            if let Some(packet) = unknown.packet.take() {
                self.connect_active(packet, flow, expected, io);
            }
            return;
        }
        match self.open(unknown, expected.as_ref(), io) {
            Ok(id) => {
                if let Some(extra) = shaken {
                    self.note_shaken(id, extra);
                }
            }
            Err(unserved) => self.turn_away(unknown, unserved, io),
        }
    }

    /// A packet that is not from one host to another.
    #[cold]
    fn set_aside(&self, unknown: &mut Unknown<A, B>, aside: Aside, io: &mut impl Io<B>) {
        let Some(packet) = unknown.packet.take() else {
            return;
        };
        match aside {
            Aside::Drop(reason) => self.shared.drop(packet, reason),
            _ => self.shared.to_kernel(packet, io),
        }
    }

    /// A packet that gets no conn.
    #[inline(never)]
    fn turn_away(&mut self, unknown: &mut Unknown<A, B>, why: Unserved, io: &mut impl Io<B>) {
        let Some(packet) = unknown.packet.take() else {
            return;
        };
        match why {
            Unserved::NoService => self.without_service(packet, &unknown.flow, io),
            Unserved::Drop(DropReason::TcpNotSyn) => {
                self.without_conn(packet, &unknown.flow, io);
            }
            Unserved::Drop(reason) => self.shared.drop(packet, reason),
        }
    }

    /// What FTP has announced, if this is it.
    fn expected_call(&self, packet: &B, flow: &Flow<A>) -> Option<Expected> {
        if !self.shared.snapshot.services.has_ftp() || flow.protocol() != Protocol::Tcp {
            return None;
        }
        let l4 = packet.bytes().get(usize::from(flow.l4_at)..);
        let segment = Segment::read(l4.unwrap_or_default()).ok()?;
        segment.opens().then(|| self.expected(flow))?
    }

    /// If the conn is not there by now. What the conn of a client that is there is to remember.
    #[cold]
    fn shake_hands_of_unknown(
        &mut self,
        unknown: &mut Unknown<A, B>,
        io: &mut impl Io<B>,
    ) -> Option<Extra> {
        let Unknown { flow, lookup, .. } = unknown;
        if self.lane.conns.find_again(lookup, &flow.tuple).is_some() {
            return None;
        }
        match self.shake_hands(unknown.packet.take()?, flow, io) {
            Handshake::Over => None,
            Handshake::Plain(packet) => {
                unknown.packet = Some(packet);
                None
            }
            Handshake::Shaken(syn, flow, extra) => {
                unknown.packet = Some(syn);
                unknown.flow = flow;
                Some(extra)
            }
        }
    }

    /// What the conn of a client that shook hands with the director remembers.
    fn note_shaken(&mut self, id: ConnId, extra: Extra) {
        let Extra { proxy, ftp, .. } = *self.lane.extras.get(id);
        *self.lane.extras.get_mut(id) = Extra {
            proxy,
            ftp,
            ..extra
        };
        let flags = &mut self.lane.conns.get_mut(id).flags;
        flags.put(ConnFlags::SYN_PROXIED, true);
    }

    /// A packet whose conn is over: looked up once more.
    pub(crate) fn connect_anew(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let lookup = self.lane.conns.begin(&flow.tuple);
        self.connect(Unknown::new(packet, *flow, lookup), io);
    }

    /// The second step: the way back, then the packet goes like any other.
    fn complete(&mut self, unknown: &mut Unknown<A, B>, io: &mut impl Io<B>) {
        let flow = &unknown.flow;
        let found = match unknown.made {
            Some((id, outbound)) => self.complete_conn(id, outbound, flow, io),
            None if unknown.packet.is_none() => return,
            None => match self.lane.conns.find_again(&unknown.lookup, &flow.tuple) {
                Some(found) => Ok(found),
                None => return self.connect_again(unknown, io),
            },
        };
        let Some(packet) = unknown.packet.take() else {
            return;
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => return self.shared.drop(packet, reason),
        };
        let flags = self.lane.conns.get(found.id).flags;
        // The first packets of these are told of their client, on a way of their own.
        if !flags.has(ConnFlags::EDITED) {
            self.knows_nexthop_by_dest(found.id, found.direction);
        }
        self.forward(packet, flow, found, io);
        if flags.has(ConnFlags::ONE_PACKET) {
            self.end(found.id, io);
        }
    }

    /// The conn that an earlier packet of the batch made is over already: it was that packet's alone, or gave way to
    /// another.
    #[inline(never)]
    fn connect_again(&mut self, unknown: &mut Unknown<A, B>, io: &mut impl Io<B>) {
        match self.open(unknown, None, io) {
            Ok(_) => self.complete(unknown, io),
            Err(unserved) => self.turn_away(unknown, unserved, io),
        }
    }

    /// Enters the way back, if it is free and there is room. Else the conn is out again; a later packet of the
    /// batch may have recycled it already.
    fn complete_conn(
        &mut self,
        id: ConnId,
        outbound: Lookup,
        flow: &Flow<A>,
        io: &mut impl Io<B>,
    ) -> Result<Found, DropReason> {
        if !self.lane.conns.holds(id, &flow.tuple) {
            return Err(DropReason::ConnTableFull);
        }
        if self.is_way_back_in_use(id, &outbound) {
            self.end(id, io);
            return Err(DropReason::NatTupleInUse);
        }
        if self.lane.conns.insert_outbound(id, outbound).is_err() {
            self.end(id, io);
            return Err(DropReason::ConnTableFull);
        }
        Ok(Found {
            id,
            direction: Direction::Inbound,
        })
    }

    /// FullNAT's way back has a port that is its own, and one-way conns have none.
    fn is_way_back_in_use(&self, id: ConnId, outbound: &Lookup) -> bool {
        let conns = &self.lane.conns;
        let conn = conns.get(id);
        conn.fwdmode() == FwdMode::Nat && {
            let way_back = conn.tuple(Direction::Outbound);
            conns.find_again(outbound, &way_back).is_some()
        }
    }
}
