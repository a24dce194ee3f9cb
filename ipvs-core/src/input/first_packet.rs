//! Packets that found no conn: most of them make one.
//!
//! Conns of a batch are made in two steps. The first step chooses dest and local port, and enters
//! the inbound tuple into the index. Then the bucket of each outbound tuple is prefetched. The
//! second step enters the outbound tuples and forwards the packets. So no packet waits for the
//! memory of its own bucket.

use packet::PacketBuf;
use rss::WorkerId;

use crate::config::{FwdMode, Protocol};
use crate::conn::{ConnExt, ConnFlags, ConnId, Found, Lookup};
use crate::ctx::{Forwarder, Miss};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::helper::Handshake;
use crate::input::handoff::handoff_of;
use crate::io::Io;
use crate::lifecycle::Unserved;
use crate::sched;
use crate::state::Expectation;
use crate::tuple::Tuple;
use crate::wire::{Aside, Family, Flow, Segment};

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Takes the misses of a batch to their ends: a new conn, another worker, the kernel, or a
    /// drop.
    #[cold]
    pub(crate) fn create_conns(&mut self, io: &mut impl Io<B>) {
        // A SYN may end a conn that an earlier packet of the batch has made. It becomes a miss
        // itself.
        while !self.family.misses.is_empty() {
            self.create_conns_of(io);
        }
    }

    fn create_conns_of(&mut self, io: &mut impl Io<B>) {
        let spare = std::mem::take(&mut self.family.spare_misses);
        let mut all = std::mem::replace(&mut self.family.misses, spare);
        if self.family.has_fragments {
            self.set_aside_first_fragments(&mut all);
        }
        if self.shared.snapshot.services.has_hashed() {
            self.fetch_slots(&all);
        }
        for miss in &mut all {
            self.begin_conn(miss, io);
        }
        for miss in &all {
            if let Some((_, outbound)) = &miss.made {
                self.family.conns.fetch_room(outbound);
            }
        }
        for miss in &mut all {
            self.complete_conn(miss, io);
        }
        all.clear();
        self.family.spare_misses = all;
    }

    /// First fragments of SCTP wait until the end of the batch: another packet of the batch may
    /// make their conn.
    #[cold]
    #[inline(never)]
    fn set_aside_first_fragments(&mut self, miss: &mut [Miss<A, B>]) {
        for Miss { packet, flow, .. } in miss {
            if flow.is_fragment
                && flow.protocol() == Protocol::Sctp
                && let Some(packet) = packet.take()
            {
                self.family.set_aside_fragments.push((packet, *flow));
            }
        }
    }

    /// Prefetches the Maglev slots of packets to services that schedule by a hash.
    #[inline(never)]
    fn fetch_slots(&self, all: &[Miss<A, B>]) {
        let services = &self.shared.snapshot.services;
        sched::fetch_slots(all.iter().filter_map(|miss| {
            let tuple = &miss.flow.tuple;
            let service = services.of_vip(miss.flow.protocol(), tuple.dst, tuple.dport)?;
            let client = (tuple.src.to_ip(), tuple.sport);
            Some((&**service, client, tuple.dst.to_ip()))
        }));
    }

    /// Both steps for a single packet.
    pub(crate) fn handle_miss(&mut self, mut miss: Miss<A, B>, io: &mut impl Io<B>) {
        self.begin_conn(&mut miss, io);
        self.complete_conn(&mut miss, io);
    }

    /// The first step: makes the conn, if the packet may have one.
    fn begin_conn(&mut self, miss: &mut Miss<A, B>, io: &mut impl Io<B>) {
        let Tuple { src, dst, .. } = miss.flow.tuple;
        let possible = A::check_hosts(src, dst).and_then(|()| self.check_source(&miss.flow));
        if let Err(aside) = possible {
            return self.take_aside_miss(miss, aside, io);
        }
        if let Some(packet) = &miss.packet
            && let Some(worker) = self.elsewhere(packet, &miss.flow)
            && !self.is_made(miss)
        {
            return self.hand_over_miss(miss, worker, io);
        }
        self.end_what_gives_way(miss, io);
        let has_syn_proxy = self.shared.snapshot.services.has_syn_proxy();
        let mut syn_proxied = None;
        if has_syn_proxy && miss.flow.protocol() == Protocol::Tcp {
            syn_proxied = self.answer_for_syn_proxy(miss, io);
        }
        if self.is_made(miss) {
            return;
        }
        let Some(packet) = &miss.packet else {
            return;
        };
        let flow = &miss.flow;
        let expected = self.expectation_of_call(packet, flow);
        if let Some(expected) = &expected
            && expected.vip != flow.tuple.dst.to_ip()
        {
            if let Some(packet) = miss.packet.take() {
                match self.create_active_call(&packet, flow, expected) {
                    Ok(found) => {
                        if let Some((neighbour, port)) = expected.way_back {
                            self.note_neighbour(found.id, neighbour, port);
                        }
                        self.forward(packet, flow, found, io);
                    }
                    Err(reason) => self.reject_unserved(packet, flow, None, reason, io),
                }
            }
            return;
        }
        match self.create_conn(miss, expected.as_ref()) {
            Ok(id) => {
                if let Some(ext) = syn_proxied {
                    self.note_syn_proxied(id, ext);
                }
            }
            Err(unserved) => self.refuse_conn(miss, unserved, syn_proxied.as_ref(), io),
        }
    }

    /// Whether an earlier packet of the batch has made the conn here.
    fn is_made(&self, miss: &Miss<A, B>) -> bool {
        let found = self.family.conns.find_again(&miss.lookup, &miss.flow.tuple);
        found.is_some()
    }

    /// A packet of another worker.
    #[cold]
    fn hand_over_miss(&self, miss: &mut Miss<A, B>, worker: WorkerId, io: &mut impl Io<B>) {
        if let Some(packet) = miss.packet.take() {
            let handoff = handoff_of(&miss.flow);
            self.shared.redirect_for(packet, worker, handoff, io);
        }
    }

    /// Ends the conn that a packet has and that gives way to a new one. Its dest is told, and the
    /// client knows.
    fn end_what_gives_way(&mut self, miss: &Miss<A, B>, io: &mut impl Io<B>) {
        let Miss { flow, lookup, .. } = miss;
        if let Some(packet) = &miss.packet
            && let Some(found) = self.family.conns.find_again(lookup, &flow.tuple)
            && self.gives_way(packet, flow, found.id)
        {
            self.reset_dest_if_established(found.id, io);
            self.end(found.id);
        }
    }

    /// A packet with an impossible source or destination address.
    #[cold]
    fn take_aside_miss(&self, miss: &mut Miss<A, B>, aside: Aside, io: &mut impl Io<B>) {
        let Some(packet) = miss.packet.take() else {
            return;
        };
        match aside {
            Aside::Drop(reason) => self.shared.drop(packet, reason),
            _ => self.shared.to_kernel(packet, io),
        }
    }

    /// A packet that gets no conn.
    #[inline(never)]
    fn refuse_conn(
        &mut self,
        miss: &mut Miss<A, B>,
        why: Unserved,
        syn_proxied: Option<&ConnExt>,
        io: &mut impl Io<B>,
    ) {
        let Some(packet) = miss.packet.take() else {
            return;
        };
        match why {
            Unserved::NoService => self.without_service(packet, &miss.flow, io),
            Unserved::Drop(DropReason::TcpNotSyn) => {
                self.without_conn(packet, &miss.flow, io);
            }
            // The conn is alive, and its next packet may find room.
            Unserved::Drop(reason @ DropReason::ConnTableFull)
                if is_amid_conn(&packet, &miss.flow) =>
            {
                self.shared.drop(packet, reason);
            }
            Unserved::Drop(reason) => {
                self.reject_unserved(packet, &miss.flow, syn_proxied, reason, io);
            }
        }
    }

    /// The expectation of FTP that this packet fulfils.
    fn expectation_of_call(&self, packet: &B, flow: &Flow<A>) -> Option<Expectation> {
        if !self.shared.snapshot.services.has_ftp() || flow.protocol() != Protocol::Tcp {
            return None;
        }
        let l4 = flow.l4(packet.bytes());
        let segment = Segment::read(l4).ok()?;
        segment.opens().then(|| self.expected(flow))?
    }

    /// Gives a packet to the SYN proxy, unless another packet of the batch has made its conn.
    /// Returns the extension for the conn of a client that brought its cookie back.
    #[cold]
    fn answer_for_syn_proxy(
        &mut self,
        miss: &mut Miss<A, B>,
        io: &mut impl Io<B>,
    ) -> Option<ConnExt> {
        let Miss { flow, lookup, .. } = miss;
        if self.family.conns.find_again(lookup, &flow.tuple).is_some() {
            return None;
        }
        match self.take_syn_proxy_packet(miss.packet.take()?, flow, io) {
            Handshake::Over => None,
            Handshake::Refused(packet, reason) => {
                self.reject_unserved(packet, flow, None, reason, io);
                None
            }
            Handshake::Unrelated(packet) => {
                miss.packet = Some(packet);
                None
            }
            Handshake::Done(syn, flow, ext) => {
                miss.packet = Some(syn);
                miss.flow = flow;
                Some(ext)
            }
        }
    }

    /// Notes that a conn was made by the SYN proxy.
    fn note_syn_proxied(&mut self, id: ConnId, ext: ConnExt) {
        let ConnExt { proxy, ftp, .. } = *self.family.exts.get(id);
        *self.family.exts.get_mut(id) = ConnExt { proxy, ftp, ..ext };
        let flags = &mut self.family.conns.get_mut(id).flags;
        flags.put(ConnFlags::SYN_PROXIED, true);
    }

    /// Looks up the conn of a packet again.
    pub(super) fn look_up_again(&mut self, packet: B, flow: &Flow<A>, io: &mut impl Io<B>) {
        let lookup = self.family.conns.begin(&flow.tuple);
        self.handle_miss(Miss::new(packet, *flow, lookup), io);
    }

    /// The second step: enters the outbound tuple and forwards the packet.
    fn complete_conn(&mut self, miss: &mut Miss<A, B>, io: &mut impl Io<B>) {
        let flow = &miss.flow;
        let found = match miss.made {
            Some((id, outbound)) => self.enter_way_back(id, outbound, flow),
            None if miss.packet.is_none() => return,
            None => match self.family.conns.find_again(&miss.lookup, &flow.tuple) {
                Some(found) => Ok(found),
                None => return self.create_again(miss, io),
            },
        };
        let Some(packet) = miss.packet.take() else {
            return;
        };
        let found = match found {
            Ok(found) => found,
            Err(reason) => return self.reject_unserved(packet, flow, None, reason, io),
        };
        if found.direction == Direction::Inbound {
            self.note_way_back(found.id, &packet);
        }
        let flags = self.family.conns.get(found.id).flags;
        // A conn whose payload is edited finds its next hop on the slow path.
        if !flags.has(ConnFlags::EDITED) {
            self.knows_nexthop_by_dest(found.id, found.direction);
        }
        if flags.has(ConnFlags::ONE_PACKET) {
            self.forward_one_packet(packet, flow, found, io);
        } else {
            self.forward(packet, flow, found, io);
        }
    }

    /// The conn that an earlier packet of the batch made is already over: one-packet scheduling, or
    /// it was recycled.
    #[inline(never)]
    fn create_again(&mut self, miss: &mut Miss<A, B>, io: &mut impl Io<B>) {
        match self.create_conn(miss, None) {
            Ok(_) => self.complete_conn(miss, io),
            Err(unserved) => self.refuse_conn(miss, unserved, None, io),
        }
    }

    /// Enters the outbound tuple into the index. If that fails, the conn is removed. A later packet
    /// of the batch may have recycled it already.
    fn enter_way_back(
        &mut self,
        id: ConnId,
        outbound: Lookup,
        flow: &Flow<A>,
    ) -> Result<Found, DropReason> {
        if !self.family.conns.holds(id, &flow.tuple) {
            return Err(DropReason::ConnTableFull);
        }
        if self.is_way_back_in_use(id, &outbound) {
            self.end(id);
            return Err(DropReason::NatTupleInUse);
        }
        if self.family.conns.insert_outbound(id, outbound).is_err() {
            self.end(id);
            return Err(DropReason::ConnTableFull);
        }
        Ok(Found {
            id,
            direction: Direction::Inbound,
        })
    }

    /// Whether another conn has the outbound tuple. Only NAT can collide: FullNAT and SNAT have a
    /// port of their own, DR and tunnel have no outbound tuple.
    fn is_way_back_in_use(&self, id: ConnId, outbound: &Lookup) -> bool {
        let conns = &self.family.conns;
        let conn = conns.get(id);
        conn.fwdmode() == FwdMode::Nat && {
            let way_back = conn.tuple(Direction::Outbound);
            conns.find_again(outbound, &way_back).is_some()
        }
    }
}

/// Whether this is a segment that opens no conn, but might have been adopted.
fn is_amid_conn<A: Family, B: PacketBuf>(packet: &B, flow: &Flow<A>) -> bool {
    let segment = Segment::read(flow.l4(packet.bytes()));
    flow.protocol() == Protocol::Tcp && segment.is_ok_and(|segment| !segment.opens())
}
