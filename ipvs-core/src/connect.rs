//! The first packet of a conn: service, dest, local port, new conn.

use std::net::IpAddr;

use packet::checksum;
use packet::{ChecksumState, PacketBuf};

use crate::classify::Flow;
use crate::conn::{Conn, ConnId, Direction, Endpoints, Found, RewriteDeltas};
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::io::Io;
use crate::sched::{self, Load, Turn};
use crate::segment::Segment;
use crate::service::{Dest, Laddr, Protocol, Service, ServiceKey};
use crate::time::Now;
use crate::tuple::Tuple;

/// How many local addresses are asked for a port before the new conn is given up.
const LADDRS_TRIED: usize = 16;
/// How many ports of an address are tried that an old conn still uses.
const PORTS_TRIED: usize = 4;

impl<B: PacketBuf> Engine<B> {
    /// A packet that belongs to no conn: to a service, to another worker's conn, or to the kernel.
    #[cold]
    pub(crate) fn connect(&mut self, now: Now, packet: B, flow: &Flow, io: &mut impl Io<B>) {
        let key = ServiceKey {
            protocol: flow.protocol,
            addr: IpAddr::from(flow.tuple.dst),
            port: flow.tuple.dport,
        };
        if self.snapshot.services.get(&key).is_none() {
            return self.without_service(packet, flow, io);
        }
        match self.open(now, &packet, flow, &key, io) {
            Ok(id) => self.forward(
                now,
                packet,
                flow,
                Found {
                    id,
                    direction: Direction::Inbound,
                },
                io,
            ),
            Err(reason) => self.drop(packet, reason),
        }
    }

    fn without_service(&mut self, packet: B, flow: &Flow, io: &mut impl Io<B>) {
        let to_pool = self
            .snapshot
            .net
            .local_addr(IpAddr::from(flow.tuple.dst))
            .is_some_and(|local| local.sapool);
        if !to_pool {
            return self.to_kernel(packet, io);
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

    fn open(
        &mut self,
        now: Now,
        packet: &B,
        flow: &Flow,
        key: &ServiceKey,
        io: &mut impl Io<B>,
    ) -> Result<ConnId, DropReason> {
        let l4 = packet
            .bytes()
            .get(usize::from(flow.l4_at)..)
            .unwrap_or_default();
        let opening = match flow.protocol {
            Protocol::Tcp => Some(Segment::read(l4)?),
            Protocol::Udp => None,
        };
        if opening.is_some_and(|segment| !segment.opens()) {
            return Err(DropReason::TcpNotSyn);
        }
        if packet.l4_checksum() == ChecksumState::Unknown {
            verify_checksum(flow, l4)?;
        }
        let mut conn = self.make_conn(now, flow, key)?;
        if let Some(segment) = opening {
            conn.seq_delta = self.initial_sequence(now, &conn).wrapping_sub(segment.seq);
        } else {
            conn.timeout_s = self.udp_timeout_s(&conn, false);
        }
        self.insert(conn, io)
    }

    /// Chooses dest and local port. The port is taken when this succeeds.
    fn make_conn(
        &mut self,
        now: Now,
        flow: &Flow,
        key: &ServiceKey,
    ) -> Result<Conn<[u8; 4]>, DropReason> {
        let service = self.snapshot.services.get(key).ok_or(DropReason::NoDest)?;
        let at = service.id.0 as usize;
        if at >= self.turns.len() {
            // Once per service: room for all that control may number.
            self.turns.resize(
                (at + 1).next_power_of_two(),
                Turn::of_worker(self.config.worker),
            );
        }
        let turn = &mut self.turns[at];
        let all_stats = &self.all_stats;
        let load_of = |dest: &Dest| {
            all_stats.iter().map(|stats| stats.dest(dest.id)).fold(
                Load::default(),
                |load, stats| Load {
                    active: load.active + stats.active_conns.get(),
                    inactive: load.inactive + stats.inactive_conns.get(),
                },
            )
        };
        let dest =
            sched::schedule(service, turn, &self.overload, load_of).ok_or(DropReason::NoDest)?;
        let IpAddr::V4(daddr) = dest.addr else {
            return Err(DropReason::NoLaddr);
        };
        let class = sapool::class_of(u32::from(daddr), dest.port);
        let mut reason = DropReason::NoLaddr;
        for laddr in laddrs_in_turn(service, turn) {
            let IpAddr::V4(addr) = laddr.addr else {
                continue;
            };
            for _ in 0..PORTS_TRIED {
                reason = DropReason::NoLocalPort;
                let Some(port) = self.laddrs.take_port(laddr.id, class) else {
                    break;
                };
                let outbound = Tuple {
                    src: daddr.octets(),
                    dst: addr.octets(),
                    sport: dest.port,
                    dport: port,
                    protocol: flow.tuple.protocol,
                };
                // A conn of a local address that was taken away and came back may still use it.
                if self.conns.find(&outbound).is_some() {
                    self.laddrs.put_port(laddr.addr, class, port);
                    continue;
                }
                let ends = Endpoints {
                    inbound: flow.tuple,
                    outbound,
                };
                return Ok(Conn::new(&ends, deltas(&ends), dest.id, now.tick()));
            }
        }
        Err(reason)
    }

    /// Puts the conn into the table, in place of a half-open one if it is full.
    fn insert(&mut self, conn: Conn<[u8; 4]>, io: &mut impl Io<B>) -> Result<ConnId, DropReason> {
        let mut inserted = self.conns.insert(conn);
        if inserted.is_err()
            && let Some(victim) = self.conns.recyclable()
        {
            self.stats.conns_recycled.add(1);
            self.end(victim, io);
            inserted = self.conns.insert(conn);
        }
        let Ok(id) = inserted else {
            self.return_port(&conn, io);
            return Err(DropReason::ConnTableFull);
        };
        self.stats.conns.add(1);
        self.stats.conns_made.add(1);
        let stats = self.stats.dest(conn.dest());
        stats.conns.add(1);
        stats.inactive_conns.add(1);
        Ok(id)
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
