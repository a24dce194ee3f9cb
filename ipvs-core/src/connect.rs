//! The first packet of a conn: service, dest, local port, new conn.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use inet::Net;
use packet::checksum;
use packet::{ChecksumState, PacketBuf};

use crate::classify::Flow;
use crate::conn::{Conn, ConnFlags, ConnId, Direction, Endpoints, Found, Lookup, RewriteDeltas};
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::io::Io;
use crate::laddrs::Laddrs;
use crate::matcher::Passing;
use crate::sched::{self, Arrival, Load, Memory, Turn};
use crate::segment::Segment;
use crate::service::{Dest, Encapsulation, FwdMode, Laddr, Protocol, Service, ServiceKey};
use crate::snapshot::Snapshot;
use crate::stats::WorkerStats;
use crate::tcp_state::TcpState;
use crate::time::Now;
use crate::tuple::Tuple;

/// How many local addresses are asked for a port before the new conn is given up.
const LADDRS_TRIED: usize = 16;

/// A packet whose look-up found no conn.
#[derive(Debug)]
pub(crate) struct Unknown<B> {
    pub(crate) packet: B,
    pub(crate) flow: Flow,
    pub(crate) lookup: Lookup,
}

/// A packet whose conn is in the table, if only half: its way back is still to be entered.
#[derive(Debug)]
pub(crate) struct Opening<B> {
    packet: B,
    flow: Flow,
    lookup: Lookup,
    /// The conn that this packet made, and where its outbound tuple goes; `None` if an earlier packet of the
    /// batch made it.
    made: Option<(ConnId, Lookup)>,
}

/// Why a packet makes no conn.
enum Unserved {
    /// No service has its address and port.
    NoService,
    /// It cannot, or must not.
    Drop(DropReason),
}

impl From<DropReason> for Unserved {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

impl<B: PacketBuf> Engine<B> {
    /// Packets that belong to no conn: to a service, to another worker's conn, or to the kernel. In two steps
    /// for all of them, so that the memory of the way back is there when it is written.
    #[cold]
    pub(crate) fn connect_all(
        &mut self,
        now: Now,
        unknown: &mut Vec<Unknown<B>>,
        io: &mut impl Io<B>,
    ) {
        let mut openings = std::mem::take(&mut self.openings);
        for packet in unknown.drain(..) {
            openings.extend(self.begin(now, packet, io));
        }
        for opening in openings.drain(..) {
            self.complete(now, opening, io);
        }
        self.openings = openings;
    }

    /// Both steps for a single packet.
    pub(crate) fn connect(&mut self, now: Now, unknown: Unknown<B>, io: &mut impl Io<B>) {
        if let Some(opening) = self.begin(now, unknown, io) {
            self.complete(now, opening, io);
        }
    }

    /// The first step; `None` if the packet has come to its end already.
    fn begin(&mut self, now: Now, unknown: Unknown<B>, io: &mut impl Io<B>) -> Option<Opening<B>> {
        let Unknown {
            packet,
            flow,
            lookup,
        } = unknown;
        let made = match self.conns.find_again(&lookup, &flow.tuple) {
            Some(_) => Ok(None),
            None => self.open(now, &packet, &flow, &lookup, io).map(Some),
        };
        match made {
            Ok(made) => {
                return Some(Opening {
                    packet,
                    flow,
                    lookup,
                    made,
                });
            }
            Err(Unserved::NoService) => self.without_service(packet, &flow, io),
            Err(Unserved::Drop(reason)) => self.drop(packet, reason),
        }
        None
    }

    /// The second step: the way back, then the packet goes like any other.
    fn complete(&mut self, now: Now, opening: Opening<B>, io: &mut impl Io<B>) {
        let Opening {
            packet,
            flow,
            lookup,
            made,
        } = opening;
        let found = match made {
            Some((id, outbound)) => self.complete_conn(id, outbound, &flow, io),
            None => self
                .conns
                .find_again(&lookup, &flow.tuple)
                .ok_or(DropReason::ConnTableFull),
        };
        match found {
            Ok(found) => self.forward(now, packet, &flow, found, io),
            Err(reason) => self.drop(packet, reason),
        }
    }

    /// Enters the way back, if it is free and there is room. Else the conn is out again; a later packet of the
    /// batch may have recycled it already.
    fn complete_conn(
        &mut self,
        id: ConnId,
        outbound: Lookup,
        flow: &Flow,
        io: &mut impl Io<B>,
    ) -> Result<Found, DropReason> {
        if !self.conns.holds(id, &flow.tuple) {
            return Err(DropReason::ConnTableFull);
        }
        let conn = *self.conns.get(id);
        let way_back = conn.tuple(Direction::Outbound);
        // FullNAT's way back has a port that is its own, and one-way conns have none.
        if conn.fwdmode() == FwdMode::Nat && self.conns.find_again(&outbound, &way_back).is_some() {
            self.end(id, io);
            return Err(DropReason::NatTupleInUse);
        }
        if self.conns.insert_outbound(id, outbound).is_err() {
            self.settle_end(&conn, io);
            return Err(DropReason::ConnTableFull);
        }
        Ok(Found {
            id,
            direction: Direction::Inbound,
        })
    }

    fn without_service(&mut self, packet: B, flow: &Flow, io: &mut impl Io<B>) {
        let to_pool = self
            .snapshot
            .net
            .local_addr(IpAddr::from(flow.tuple.dst))
            .is_some_and(|local| local.sapool);
        if !to_pool {
            return self.without_pool(packet, flow, io);
        }
        let owner = sapool::owner_of(flow.tuple.dport, self.config.workers);
        if owner == self.config.worker {
            self.drop(packet, DropReason::NoConn);
        } else if self.hand_overs(&packet) != 0 {
            self.drop(packet, DropReason::RedirectLoop);
        } else {
            self.redirect(packet, owner, io);
        }
    }

    /// A dest's reply in NAT mode may belong to any worker's conn: each is asked. It never gets out as it is.
    fn without_pool(&mut self, packet: B, flow: &Flow, io: &mut impl Io<B>) {
        let (addr, port) = (IpAddr::from(flow.tuple.src), flow.tuple.sport);
        let services = &self.snapshot.services;
        if !services.is_nat_dest(flow.protocol, addr, port) {
            return self.to_kernel(packet, io);
        }
        let (worker, workers) = (self.config.worker, self.config.workers);
        if self.hand_overs(&packet) + 1 < u32::from(workers) {
            self.redirect(packet, (worker + 1) % workers, io);
        } else {
            self.drop(packet, DropReason::NatNoConn);
        }
    }

    /// A conn for a packet: service, dest, local port, and a conn that is found by its inbound tuple.
    fn open(
        &mut self,
        now: Now,
        packet: &B,
        flow: &Flow,
        lookup: &Lookup,
        io: &mut impl Io<B>,
    ) -> Result<(ConnId, Lookup), Unserved> {
        let service = service_of(&self.snapshot, packet, flow).ok_or(Unserved::NoService)?;
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        let opening = match flow.protocol {
            Protocol::Tcp => Some(Segment::read(l4)?),
            Protocol::Udp | Protocol::Icmp => None,
        };
        if opening.is_some_and(|segment| !segment.opens()) {
            return Err(DropReason::TcpNotSyn.into());
        }
        // A fragment's checksum is over what is not here yet.
        if packet.l4_checksum() == ChecksumState::Unknown && !flow.is_fragment {
            verify_checksum(flow, l4)?;
        }
        let service_timeout_s = service.conn_timeout_s;
        let choice = Choice {
            turn: turn_of(&mut self.turns, service, self.config.worker),
            scheduling: &mut self.scheduling,
            all_stats: &self.all_stats,
            laddrs: &mut self.laddrs,
            net: &self.snapshot.net,
        };
        let mut conn = choice.make_conn(now, flow, l4, service)?;
        let timeouts = &self.snapshot.timeouts;
        let is_one_way = conn.flags.has(ConnFlags::ONE_WAY);
        let timeout_s = match flow.protocol {
            Protocol::Tcp => timeouts.tcp_s[TcpState::SynSent as usize],
            // Nobody will hear the dest answer.
            Protocol::Udp if is_one_way => service_timeout_s.unwrap_or(timeouts.udp_s),
            Protocol::Udp | Protocol::Icmp => service_timeout_s.unwrap_or(timeouts.udp_oneway_s),
        };
        conn.timeout_s = u16::try_from(timeout_s).unwrap_or(u16::MAX);
        if let Some(segment) = opening
            && conn.flags.has(ConnFlags::FULL_NAT)
        {
            conn.seq_delta = self.initial_sequence(now, &conn).wrapping_sub(segment.seq);
        }
        if is_one_way {
            let is_udp = flow.protocol == Protocol::Udp;
            conn.flags.put(ConnFlags::ANSWERED, is_udp);
        }
        Ok(self.insert(lookup, conn, io)?)
    }

    /// Puts the conn into the table, in place of a half-open one if it is full.
    fn insert(
        &mut self,
        lookup: &Lookup,
        conn: Conn<[u8; 4]>,
        io: &mut impl Io<B>,
    ) -> Result<(ConnId, Lookup), DropReason> {
        let mut inserted = self.conns.insert_inbound(lookup, conn);
        if inserted.is_err()
            && let Some(victim) = self.conns.recyclable()
        {
            self.stats.conns_recycled.add(1);
            self.end(victim, io);
            inserted = self.conns.insert_inbound(lookup, conn);
        }
        let Ok(inserted) = inserted else {
            self.return_port(&conn, io);
            return Err(DropReason::ConnTableFull);
        };
        self.stats.conns.add(1);
        self.stats.conns_made.add(1);
        let stats = self.stats.dest(conn.dest());
        stats.conns.add(1);
        stats.inactive_conns.add(1);
        self.scheduling.conn_opened(conn.dest());
        Ok(inserted)
    }
}

/// The service of the packet's destination, or one for packets on their way through.
fn service_of<'a, B: PacketBuf>(
    snapshot: &'a Snapshot,
    packet: &B,
    flow: &Flow,
) -> Option<&'a Arc<Service>> {
    let tuple = &flow.tuple;
    let (src, dst) = (IpAddr::from(tuple.src), IpAddr::from(tuple.dst));
    let services = &snapshot.services;
    let of_vip = services.get(&ServiceKey::vip(flow.protocol, dst, tuple.dport));
    if of_vip.is_some() || !services.has_passing() || snapshot.net.local_addr(dst).is_some() {
        return of_vip;
    }
    // What a dest of NAT says goes through a conn, or nowhere.
    if services.is_nat_dest(flow.protocol, src, tuple.sport) {
        return None;
    }
    let hop = snapshot.net.route_to_v4(tuple.dst.into())?;
    let passing = Passing {
        src: (src, tuple.sport),
        dst: (dst, tuple.dport),
        iif: &snapshot.net.device_of(packet.port())?.name,
        oif: &snapshot.net.device(hop.ifindex)?.name,
    };
    services.passing(flow.protocol, &passing)
}

/// What a worker remembers of a service.
fn turn_of<'a>(turns: &'a mut Vec<Turn>, service: &Service, worker: u16) -> &'a mut Turn {
    let at = service.id.0 as usize;
    if at >= turns.len() {
        // Once per service: room for all that control may number.
        turns.resize((at + 1).next_power_of_two(), Turn::of_worker(worker));
    }
    &mut turns[at]
}

/// What the choice of a dest and of a local port goes by, and what it moves on.
struct Choice<'a> {
    turn: &'a mut Turn,
    scheduling: &'a mut Memory,
    all_stats: &'a [Arc<WorkerStats>],
    laddrs: &'a mut Laddrs,
    net: &'a Net,
}

impl Choice<'_> {
    /// Chooses the dest, and what the dest answers to. A local port is taken when this succeeds.
    fn make_conn(
        mut self,
        now: Now,
        flow: &Flow,
        l4: &[u8],
        service: &Service,
    ) -> Result<Conn<[u8; 4]>, DropReason> {
        let load_of = |dest: &Dest| {
            let stats = self.all_stats.iter().map(|stats| stats.dest(dest.id));
            stats.fold(Load::default(), |load, stats| Load {
                active: load.active + stats.active_conns.get(),
                inactive: load.inactive + stats.inactive_conns.get(),
            })
        };
        let arrival = Arrival {
            client: (IpAddr::from(flow.tuple.src), flow.tuple.sport),
            daddr: service.key.addr,
            payload: payload_of(flow, l4),
            now: now.tick(),
        };
        let dest = sched::schedule(service, &arrival, self.turn, self.scheduling, load_of)
            .ok_or(DropReason::NoDest)?;
        let IpAddr::V4(daddr) = dest.addr else {
            return Err(DropReason::NoLaddr);
        };
        if dest.fwdmode == FwdMode::Snat {
            return self.snat(now, flow, service, dest);
        }
        let answers_to = match dest.fwdmode {
            FwdMode::FullNat => self.local_port(service, daddr, dest.port)?,
            FwdMode::Snat => return Err(DropReason::NoLaddr),
            FwdMode::Nat | FwdMode::DirectRoute => (flow.tuple.src, flow.tuple.sport),
            FwdMode::Tunnel(_) => (self.tunnel_source(daddr)?, 0),
        };
        let dport = match dest.fwdmode {
            FwdMode::Tunnel(Encapsulation::Gue(port)) => port,
            _ => dest.port,
        };
        let ends = Endpoints {
            inbound: flow.tuple,
            outbound: Tuple {
                src: daddr.octets(),
                dst: answers_to.0,
                sport: dport,
                dport: answers_to.1,
                protocol: flow.tuple.protocol,
            },
        };
        let deltas = deltas(&ends);
        Ok(Conn::new(&ends, deltas, dest.id, dest.fwdmode, now.tick()))
    }

    /// The packet goes where it wants to, from a port of the WAN address that was chosen.
    fn snat(
        self,
        now: Now,
        flow: &Flow,
        service: &Service,
        dest: &Dest,
    ) -> Result<Conn<[u8; 4]>, DropReason> {
        let (remote, rport) = (flow.tuple.dst, flow.tuple.dport);
        let wan = service.laddrs.iter().find(|laddr| laddr.addr == dest.addr);
        let (Some(wan), IpAddr::V4(addr)) = (wan, dest.addr) else {
            return Err(DropReason::NoLaddr);
        };
        let class = sapool::class_of(u32::from_be_bytes(remote), rport);
        let port = self.laddrs.take_port(wan.id, class);
        let ends = Endpoints {
            inbound: flow.tuple,
            outbound: Tuple {
                src: remote,
                dst: addr.octets(),
                sport: rport,
                dport: port.ok_or(DropReason::NoLocalPort)?,
                protocol: flow.tuple.protocol,
            },
        };
        let deltas = deltas(&ends);
        Ok(Conn::new(&ends, deltas, dest.id, FwdMode::Snat, now.tick()))
    }

    /// The director's address on the way to a tunnel's other end.
    fn tunnel_source(&self, daddr: Ipv4Addr) -> Result<[u8; 4], DropReason> {
        let hop = self.net.route_to_v4(daddr).ok_or(DropReason::NoRoute)?;
        let source = self.net.source_for(hop.ifindex, daddr);
        source
            .map(|addr| addr.octets())
            .ok_or(DropReason::NoTunnelSource)
    }

    /// Takes a port of the local address whose turn it is, or of one after it.
    fn local_port(
        &mut self,
        service: &Service,
        daddr: Ipv4Addr,
        dport: u16,
    ) -> Result<([u8; 4], u16), DropReason> {
        let class = sapool::class_of(u32::from(daddr), dport);
        let mut reason = DropReason::NoLaddr;
        for laddr in laddrs_in_turn(service, self.turn) {
            let IpAddr::V4(addr) = laddr.addr else {
                continue;
            };
            let Some(port) = self.laddrs.take_port(laddr.id, class) else {
                reason = DropReason::NoLocalPort;
                continue;
            };
            return Ok((addr.octets(), port));
        }
        Err(reason)
    }
}

/// What follows the header of UDP (RFC 768); nothing for TCP, whose first segment has no data yet.
fn payload_of<'a>(flow: &Flow, l4: &'a [u8]) -> &'a [u8] {
    match flow.protocol {
        Protocol::Tcp | Protocol::Icmp => &[],
        Protocol::Udp => l4.get(8..).unwrap_or_default(),
    }
}

/// The local addresses to ask, beginning with the one whose turn it is.
fn laddrs_in_turn<'a>(
    service: &'a Service,
    turn: &mut Turn,
) -> impl Iterator<Item = &'a Laddr> + use<'a> {
    let laddrs = &service.laddrs;
    let first = if laddrs.is_empty() {
        0
    } else {
        turn.next_laddr as usize % laddrs.len()
    };
    turn.next_laddr = first as u32 + 1;
    laddrs
        .iter()
        .cycle()
        .skip(first)
        .take(laddrs.len().min(LADDRS_TRIED))
}

/// What the inbound rewrite changes in the checksums, worked out once.
fn deltas(ends: &Endpoints<[u8; 4]>) -> RewriteDeltas {
    let (from, to) = (ends.inbound, ends.outbound.reversed());
    let l3 = checksum::Delta::replace(&from.src, &to.src)
        .plus(checksum::Delta::replace(&from.dst, &to.dst));
    let ports = |tuple: &Tuple<[u8; 4]>| u32::from(tuple.sport) << 16 | u32::from(tuple.dport);
    RewriteDeltas {
        l3,
        l4: l3.plus(checksum::Delta::of_u32(ports(&from), ports(&to))),
    }
}

/// The first packet of a conn must be sound: nothing is remembered for the sake of a broken one.
fn verify_checksum(flow: &Flow, l4: &[u8]) -> Result<(), DropReason> {
    let (reason, l4) = match flow.protocol {
        Protocol::Tcp => (DropReason::TcpBadChecksum, l4),
        // It was looked at already: it decided what kind of message this is.
        Protocol::Icmp => return Ok(()),
        // RFC 768: no checksum at all is legal.
        Protocol::Udp if l4.get(6..8) == Some(&[0, 0]) => return Ok(()),
        Protocol::Udp => {
            let len = l4
                .get(4..6)
                .map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
            (
                DropReason::UdpBadChecksum,
                l4.get(..len).ok_or(DropReason::UdpMalformed)?,
            )
        }
    };
    let pseudo = checksum::pseudo_header_v4(
        flow.tuple.src.into(),
        flow.tuple.dst.into(),
        flow.tuple.protocol,
        l4.len() as u16,
    );
    if checksum::fold(checksum::sum(l4).wrapping_add(pseudo)) == 0xffff {
        Ok(())
    } else {
        Err(reason)
    }
}
