//! Binds a new conn: chooses its dest and the address that the dest sees.

use std::sync::Arc;

use inet::Net;
use packet::checksum::Delta;
use packet::nat64::Nat64Prefix;
use rss::{Owners, WorkerId};
use sapool::Towards;

use crate::config::{Dest, DestId, Encapsulation, FwdMode, Laddr, LaddrUseId, Protocol, Service};
use crate::conn::{Conn, ConnFlags, ConnId, ConnTable, Endpoints, RewriteDeltas};
use crate::drop_reason::DropReason;
use crate::lifecycle::local_ports::closing_towards;
use crate::sched::{self, Arrival, Scheduling};
use crate::simd::prefetch;
use crate::state::{DestCache, Laddrs, ServiceState, SharedState, WorkerStats, load_of};
use crate::time::Now;
use crate::tuple::{HashKey, Tuple};
use crate::wire::{Family, Flow, datagram_len, in_family_of};

/// How many local addresses are tried for a port.
const LADDRS_TRIED: usize = 16;

/// What the choice of dest and local port reads and changes.
pub(super) struct Binding<'a, A> {
    pub(crate) conns: &'a ConnTable<A>,
    pub(crate) service_state: &'a mut ServiceState,
    pub(crate) scheduling: &'a mut Scheduling,
    pub(crate) all_stats: &'a [Arc<WorkerStats>],
    pub(crate) all_state: &'a [Arc<SharedState>],
    /// The counters of this worker
    pub(crate) stats: &'a WorkerStats,
    pub(crate) dest_cache: &'a DestCache,
    pub(crate) laddrs: &'a mut Laddrs,
    /// By which local ports are chosen
    pub(crate) owners: &'a Owners,
    pub(crate) worker: WorkerId,
    pub(crate) net: &'a Net,
    pub(crate) nat64_prefix: Nat64Prefix,
    /// The key by which flows are told apart on the way to a tunnel's dest
    pub(crate) flow_key: &'a HashKey,
    /// The key of the client's persistence template, if the service is persistent
    pub(crate) template: Option<u64>,
    /// The dest of the control conn, for an FTP data conn
    pub(crate) expected: Option<DestId>,
}

/// A new conn.
pub(super) struct Bound<A> {
    pub(super) conn: Conn<A>,
    /// Where the use of its local address is counted
    pub(super) laddr_use: Option<LaddrUseId>,
    /// The closing conn whose local port it takes over
    pub(super) heir_of: Option<ConnId>,
}

/// The source that the dest sees.
struct DestSource<A> {
    addr: A,
    port: u16,
    /// It is a local address of the service, with a port of its pool.
    laddr_use: Option<LaddrUseId>,
    /// The closing conn that still holds the port
    held_by: Option<ConnId>,
}

impl<A> DestSource<A> {
    /// An address without a port pool.
    const fn itself(addr: A, port: u16) -> Self {
        Self {
            addr,
            port,
            laddr_use: None,
            held_by: None,
        }
    }

    /// A local address of the service, with a port of its pool.
    const fn of_laddr(addr: A, port: u16, laddr: &Laddr) -> Self {
        Self {
            addr,
            port,
            laddr_use: Some(laddr.use_id),
            held_by: None,
        }
    }
}

impl<A: Family> Binding<'_, A> {
    /// Chooses the dest, and the source that the dest sees. If this succeeds, a local port may have
    /// been taken, of the local address whose use is returned.
    // Inlined, so that the conn goes from registers to its slot. On the stack it would be written
    // in parts and read as a whole: a store-forwarding stall.
    #[inline(always)]
    pub(super) fn make_conn(
        mut self,
        now: Now,
        flow: &Flow<A>,
        l4: &[u8],
        service: &Service,
    ) -> Result<Bound<A>, DropReason> {
        let dest = self.pick_dest(now, flow, l4, service)?;
        self.fetch(dest.id);
        let (remote, rport) = self.remote(flow, dest)?;
        let seen = self.source_towards_dest(flow, service, dest, (remote, rport))?;
        if dest.upper_threshold != 0 {
            let load = load_of(self.all_stats, dest.id);
            self.scheduling.limited_conn_opens(dest, now.tick(), load);
        }
        let sport = match dest.fwdmode {
            FwdMode::Tunnel(Encapsulation::Gue(port)) => port,
            _ => rport,
        };
        let ends = Endpoints {
            inbound: flow.tuple,
            outbound: Tuple {
                src: remote,
                dst: seen.addr,
                sport,
                dport: seen.port,
                protocol: flow.tuple.protocol,
            },
        };
        let deltas = deltas(&ends);
        let mut conn = Conn::new(&ends, deltas, dest.id, dest.fwdmode, now.tick());
        let options = &service.options;
        conn.flags
            .put(ConnFlags::LOCAL_PORT, seen.laddr_use.is_some());
        conn.flags
            .put(ConnFlags::PERSISTENT, self.template.is_some());
        conn.flags.put(ConnFlags::ONE_PACKET, options.is_one_packet);
        conn.flags
            .put(ConnFlags::EDITED, is_edited(service, dest.fwdmode));
        Ok(Bound {
            conn,
            laddr_use: seen.laddr_use,
            heir_of: seen.held_by,
        })
    }

    /// Prefetches what is written and read of a dest once its conn is made.
    #[inline]
    fn fetch(&self, dest: DestId) {
        prefetch(self.stats.dest(dest));
        self.dest_cache.fetch(dest);
    }

    /// The dest: that of the control conn, that of the client's template, or the scheduler's
    /// choice.
    fn pick_dest<'s>(
        &mut self,
        now: Now,
        flow: &Flow<A>,
        l4: &[u8],
        service: &'s Service,
    ) -> Result<&'s Dest, DropReason> {
        let load_of = |id: DestId| load_of(self.all_stats, id);
        let arrival = Arrival {
            client: (flow.tuple.src.to_ip(), flow.tuple.sport),
            daddr: flow.tuple.dst.to_ip(),
            payload: payload_of(flow, l4),
            now: now.tick(),
        };
        let kept = self
            .template
            .and_then(|key| self.persistent_dest(service, key, now));
        let expected = self.expected.and_then(|id| {
            let mut dests = service.dests.iter().chain(&service.leaving);
            dests.find(|dest| dest.id == id)
        });
        match expected.or(kept) {
            Some(dest) => Ok(dest),
            None => sched::schedule(
                service,
                &arrival,
                &mut self.service_state.next_dest,
                self.scheduling,
                load_of,
            )
            .ok_or(DropReason::NoDest),
        }
    }

    /// The dest of the client's persistence template, which this worker or another one holds.
    fn persistent_dest<'s>(&self, service: &'s Service, key: u64, now: Now) -> Option<&'s Dest> {
        let find = |state: &Arc<SharedState>| state.templates.find(key, now.tick());
        let id = self.all_state.iter().find_map(find)?;
        let dest = service.dests.iter().find(|dest| dest.id == id)?;
        let is_left = dest.weight == 0 && service.options.expires_quiescent;
        (!is_left).then_some(dest)
    }

    /// The address and port of the dest.
    #[inline]
    fn remote(&self, flow: &Flow<A>, dest: &Dest) -> Result<(A, u16), DropReason> {
        let wanted = flow.tuple.dport;
        if dest.fwdmode == FwdMode::Snat {
            // SNAT: the packet goes to where the client sent it.
            return Ok((flow.tuple.dst, wanted));
        }
        // The IPv6 state has the conns of NAT64.
        let daddr = A::of(dest.addr).ok_or(DropReason::NoDest)?;
        // A service on any port keeps the port. An FTP data conn goes to the port that the dest has
        // named.
        let is_any = dest.port == 0 || self.expected == Some(dest.id);
        Ok((daddr, if is_any { wanted } else { dest.port }))
    }

    /// The source that the dest sees. NAT64 by NAT shows a local address if the client has no
    /// address in the dest's family, as every stateful translator does (RFC 6146), and so does NAT
    /// if the client is the dest itself.
    fn source_towards_dest(
        &mut self,
        flow: &Flow<A>,
        service: &Service,
        dest: &Dest,
        (remote, rport): (A, u16),
    ) -> Result<DestSource<A>, DropReason> {
        let (client, port) = (flow.tuple.src, flow.tuple.sport);
        let shown = match dest.fwdmode {
            FwdMode::Tunnel(_) => return self.tunnel_source(flow, dest),
            FwdMode::DirectRoute => Some(client),
            FwdMode::Nat => in_family_of(dest.addr, client, self.nat64_prefix),
            FwdMode::FullNat | FwdMode::Snat => None,
        };
        // RFC 1122, 3.2.1.3: no host takes a packet from its own address. A NAT dest that calls the
        // service and is given to itself sees a local address.
        let calls_itself = dest.fwdmode == FwdMode::Nat && shown == Some(remote);
        if let Some(client) = shown.filter(|_| !calls_itself) {
            return Ok(DestSource::itself(client, port));
        }
        if dest.fwdmode == FwdMode::Snat {
            self.take_wan_port(service, dest, (remote, rport))
        } else {
            self.take_local_port(service, dest, (remote, rport))
        }
    }

    /// The source of the tunnel's outer packets: the director's address on the route to the dest,
    /// or one of the prefix that flows are spread over. Routers and the dest's NIC hash it.
    fn tunnel_source(&self, flow: &Flow<A>, dest: &Dest) -> Result<DestSource<A>, DropReason> {
        let source = match dest.tunnel_spread {
            Some(prefix) => Some(prefix.address_at(flow.tuple.hash(self.flow_key))),
            None => {
                let hop = self.net.route_to(dest.addr).ok_or(DropReason::NoRoute)?;
                self.net.source_for(hop.ifindex, dest.addr)
            }
        };
        let source = source.and_then(A::of).ok_or(DropReason::NoTunnelSource)?;
        Ok(DestSource::itself(source, 0))
    }

    /// Takes a port of the WAN address that was chosen. If none is free, a closing conn gives its
    /// port.
    #[inline(never)]
    fn take_wan_port(
        &mut self,
        service: &Service,
        dest: &Dest,
        remote: (A, u16),
    ) -> Result<DestSource<A>, DropReason> {
        let wan = service.laddrs.iter().find(|laddr| laddr.addr == dest.addr);
        let (Some(wan), Some(addr)) = (wan, A::of(dest.addr)) else {
            return Err(DropReason::NoLaddr);
        };
        let towards = self.towards(remote, addr);
        if let Some(port) = self.take_port(wan, towards) {
            return Ok(DestSource::of_laddr(addr, port, wan));
        }
        self.port_of_closing(wan, addr, remote)
            .ok_or(DropReason::NoLocalPort)
    }

    /// Takes a port of the next local address in turn that has one free towards the dest. If none
    /// has, a closing conn gives its port.
    fn take_local_port(
        &mut self,
        service: &Service,
        dest: &Dest,
        remote: (A, u16),
    ) -> Result<DestSource<A>, DropReason> {
        let is_usable = |laddr: &&Laddr| laddr.addr.is_ipv4() == dest.addr.is_ipv4();
        let mut closing = None;
        let mut reason = DropReason::NoLaddr;
        for laddr in laddrs_in_turn(service, self.service_state).filter(is_usable) {
            let Some(addr) = A::of(laddr.addr) else {
                continue;
            };
            let towards = self.towards(remote, addr);
            let Some(port) = self.take_port(laddr, towards) else {
                reason = DropReason::NoLocalPort;
                closing = closing.or_else(|| self.port_of_closing(laddr, addr, remote));
                continue;
            };
            self.fetch_next_laddr(service);
            return Ok(DestSource::of_laddr(addr, port, laddr));
        }
        closing.ok_or(reason)
    }

    /// The port of a closing conn, whose replies from the dest come to this worker.
    #[cold]
    fn port_of_closing(&self, laddr: &Laddr, addr: A, remote: (A, u16)) -> Option<DestSource<A>> {
        let (owners, local) = ((self.owners, self.worker), (laddr.id, addr));
        let held_by = closing_towards(self.conns, self.laddrs, owners, local, remote)?;
        let (_, port) = self.conns.get(held_by).local();
        Some(DestSource {
            held_by: Some(held_by),
            ..DestSource::of_laddr(addr, port, laddr)
        })
    }

    /// What a port of a local address is taken towards: replies must come to this worker.
    #[inline]
    fn towards(&self, (remote, rport): (A, u16), laddr: A) -> Towards {
        let has_others = self.owners.workers() > 1;
        Towards {
            class: sapool::class_of(remote.low_bits(), rport),
            base: match has_others {
                true => A::rss_base(self.owners, remote, laddr, rport),
                false => 0,
            },
        }
    }

    /// Takes a port of a local address. If none is free, counts that.
    #[inline]
    fn take_port(&mut self, laddr: &Laddr, towards: Towards) -> Option<u16> {
        let port = self.laddrs.take_port(laddr.id, towards);
        if port.is_none() {
            self.stats.laddr_use(laddr.use_id).conflicts.add(1);
        }
        port
    }

    /// Prefetches the port pool whose turn is next. It was used last as many conns ago as there are
    /// local addresses.
    #[inline]
    fn fetch_next_laddr(&self, service: &Service) {
        let next = service.laddrs.get(self.service_state.next_laddr as usize);
        if let Some(next) = next.or_else(|| service.laddrs.first()) {
            self.laddrs.fetch(next.id);
            prefetch(self.stats.laddr_use(next.use_id));
        }
    }
}

/// Whether the payload or the options of the conn's packets are edited.
fn is_edited(service: &Service, fwdmode: FwdMode) -> bool {
    let options = &service.options;
    let in_tcp = options.proxy_protocol.is_some() || service.is_ftp();
    match fwdmode {
        FwdMode::FullNat => in_tcp || options.uoa.is_some(),
        FwdMode::Nat => in_tcp,
        _ => false,
    }
}

/// The payload of a datagram. Empty for TCP, whose first segment has none.
fn payload_of<'a, A>(flow: &Flow<A>, l4: &'a [u8]) -> &'a [u8] {
    match flow.protocol() {
        Protocol::Tcp | Protocol::Sctp | Protocol::Icmp | Protocol::IcmpV6 => &[],
        Protocol::Udp => l4.get(8..datagram_len(l4)).unwrap_or_default(),
    }
}

/// The local addresses to try, from the one whose turn it is.
fn laddrs_in_turn<'a>(
    service: &'a Service,
    service_state: &mut ServiceState,
) -> impl Iterator<Item = &'a Laddr> + use<'a> {
    let laddrs = &service.laddrs[..];
    let mut first = service_state.next_laddr as usize;
    // Avoids a division in nearly all cases.
    if first >= laddrs.len() {
        first = first.checked_rem(laddrs.len()).unwrap_or(0);
    }
    service_state.next_laddr = first as u32 + 1;
    let (before, from_first) = laddrs.split_at(first);
    from_first.iter().chain(before).take(LADDRS_TRIED)
}

/// The changes of the checksums by the inbound rewrite.
// Inlined: the endpoints were just written in parts and are read as a whole here.
#[inline(always)]
pub(crate) fn deltas<A: Family>(ends: &Endpoints<A>) -> RewriteDeltas {
    let (from, to) = (ends.inbound, ends.outbound.reversed());
    let l3 = A::delta(from.src, to.src).plus(A::delta(from.dst, to.dst));
    let ports = |tuple: &Tuple<A>| u32::from(tuple.sport) << 16 | u32::from(tuple.dport);
    RewriteDeltas {
        l3,
        l4: l3.plus(Delta::of_u32(ports(&from), ports(&to))),
    }
}
