//! Which dest a new conn goes to, and whom the dest answers.

use std::net::IpAddr;
use std::sync::Arc;

use inet::Net;
use packet::checksum::Delta;
use packet::ipv4;
use packet::nat64::Nat64Prefix;

use crate::config::{Dest, DestId, Encapsulation, FwdMode, Laddr, Protocol, Service};
use crate::conn::{Conn, ConnFlags, Endpoints, RewriteDeltas};
use crate::drop_reason::DropReason;
use crate::sched::{self, Arrival, Load, Scheduling};
use crate::simd::prefetch;
use crate::state::{DestCache, Laddrs, ServiceState, SharedState, WorkerStats};
use crate::time::Now;
use crate::tuple::Tuple;
use crate::wire::{Family, Flow};

/// How many local addresses are asked for a port before the new conn is given up.
const LADDRS_TRIED: usize = 16;

/// What the choice of a dest and of a local port goes by, and what it moves on.
pub(super) struct Binding<'a> {
    pub(crate) service_state: &'a mut ServiceState,
    pub(crate) scheduling: &'a mut Scheduling,
    pub(crate) all_stats: &'a [Arc<WorkerStats>],
    pub(crate) all_state: &'a [Arc<SharedState>],
    /// This worker's
    pub(crate) stats: &'a WorkerStats,
    pub(crate) dest_cache: &'a DestCache,
    pub(crate) laddrs: &'a mut Laddrs,
    pub(crate) net: &'a Net,
    pub(crate) nat64_prefix: Nat64Prefix,
    /// What the client is remembered by, if the service is persistent
    pub(crate) template: Option<u64>,
    /// Of a data conn of FTP: the dest of its control conn
    pub(crate) expected: Option<DestId>,
}

/// A client as its dest sees it: whom the dest answers.
struct Seen<A> {
    addr: A,
    port: u16,
    /// It is a local address and a port of its pool.
    is_of_pool: bool,
}

impl<A> Seen<A> {
    /// By an address without a pool.
    const fn itself(addr: A, port: u16) -> Self {
        Self {
            addr,
            port,
            is_of_pool: false,
        }
    }
}

impl Binding<'_> {
    /// Chooses the dest, and what the dest answers to. A local port is taken when this succeeds.
    // Inlined: the conn goes from registers to its place. By way of the stack it would be written in parts and read as
    // a whole, which waits until it is in the cache.
    #[inline(always)]
    pub(super) fn make_conn<A: Family>(
        mut self,
        now: Now,
        flow: &Flow<A>,
        l4: &[u8],
        service: &Service,
    ) -> Result<Conn<A>, DropReason> {
        let dest = self.chosen(now, flow, l4, service)?;
        self.fetch(dest.id);
        let (remote, rport) = self.remote(flow, dest)?;
        let client = (flow.tuple.src, flow.tuple.sport);
        let seen = self.client_as_seen(client, service, dest, (remote, rport))?;
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
        conn.flags.put(ConnFlags::LOCAL_PORT, seen.is_of_pool);
        conn.flags
            .put(ConnFlags::PERSISTENT, self.template.is_some());
        conn.flags.put(ConnFlags::ONE_PACKET, options.is_one_packet);
        conn.flags
            .put(ConnFlags::EDITED, is_edited(service, dest.fwdmode));
        Ok(conn)
    }

    /// What is written and read of a dest once its conn is made.
    #[inline]
    fn fetch(&self, dest: DestId) {
        prefetch(self.stats.dest(dest));
        self.dest_cache.fetch(dest);
    }

    /// The dest of the control conn, the one that the client keeps to, or the scheduler's.
    fn chosen<'s, A: Family>(
        &mut self,
        now: Now,
        flow: &Flow<A>,
        l4: &[u8],
        service: &'s Service,
    ) -> Result<&'s Dest, DropReason> {
        let load_of = |id: DestId| {
            let stats = self.all_stats.iter().map(|stats| stats.dest(id));
            stats.fold(Load::default(), |load, stats| Load {
                active: load.active + stats.active_conns.get(),
                inactive: load.inactive + stats.inactive_conns.get(),
            })
        };
        let arrival = Arrival {
            client: (flow.tuple.src.to_ip(), flow.tuple.sport),
            daddr: flow.tuple.dst.to_ip(),
            payload: payload_of(flow, l4),
            now: now.tick(),
        };
        let kept = self
            .template
            .and_then(|key| self.kept_dest(service, key, now));
        let expected = self.expected.and_then(|id| {
            let mut dests = service.dests.iter();
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

    /// The dest that the client keeps to, by what this worker or another one remembers.
    fn kept_dest<'s>(&self, service: &'s Service, key: u64, now: Now) -> Option<&'s Dest> {
        let find = |state: &Arc<SharedState>| state.templates.find(key, now.tick());
        let id = self.all_state.iter().find_map(find)?;
        let dest = service.dests.iter().find(|dest| dest.id == id)?;
        let is_left = dest.weight == 0 && service.options.expires_quiescent;
        (!is_left).then_some(dest)
    }

    /// Who answers, and at which port.
    #[inline]
    fn remote<A: Family>(&self, flow: &Flow<A>, dest: &Dest) -> Result<(A, u16), DropReason> {
        let wanted = flow.tuple.dport;
        if dest.fwdmode == FwdMode::Snat {
            // The packet goes where it wants to.
            return Ok((flow.tuple.dst, wanted));
        }
        // A conn between both families belongs to IPv6's lane.
        let daddr = A::of(dest.addr).ok_or(DropReason::NoDest)?;
        // A service of any port hands each to the same port of the dest; FTP's data conns go to the port that the dest
        // named.
        let is_any = dest.port == 0 || self.expected == Some(dest.id);
        Ok((daddr, if is_any { wanted } else { dest.port }))
    }

    /// Whom the dest answers. A client that NAT cannot show to a dest of the other family is seen by a local address, as with
    /// every stateful translator (RFC 6146).
    fn client_as_seen<A: Family>(
        &mut self,
        (client, port): (A, u16),
        service: &Service,
        dest: &Dest,
        (remote, rport): (A, u16),
    ) -> Result<Seen<A>, DropReason> {
        let shown = match dest.fwdmode {
            FwdMode::Tunnel(_) => return Ok(Seen::itself(self.tunnel_source(dest.addr)?, 0)),
            FwdMode::DirectRoute => Some(client),
            FwdMode::Nat => self.translated(client, dest.addr),
            FwdMode::FullNat | FwdMode::Snat => None,
        };
        if let Some(client) = shown {
            return Ok(Seen::itself(client, port));
        }
        let class = sapool::class_of(remote.low_bits(), rport);
        let (addr, port) = if dest.fwdmode == FwdMode::Snat {
            self.wan_port(service, dest, class)?
        } else {
            self.local_port(service, dest, class)?
        };
        Ok(Seen {
            addr,
            port,
            is_of_pool: true,
        })
    }

    /// A client's address in the dest's family, without state (RFC 6052). `None` if it has none.
    fn translated<A: Family>(&self, client: A, daddr: IpAddr) -> Option<A> {
        if !A::HAS_NAT64 {
            return Some(client);
        }
        match (client.to_ip(), daddr) {
            (IpAddr::V4(addr), IpAddr::V6(_)) => A::of(self.nat64_prefix.embed(addr).into()),
            (IpAddr::V6(addr), IpAddr::V4(_)) => {
                let addr = self.nat64_prefix.extract(addr)?;
                A::of(addr.into()).filter(|_| !ipv4::is_martian_source(addr.octets()))
            }
            _ => Some(client),
        }
    }

    /// The director's address on the way to a tunnel's other end.
    fn tunnel_source<A: Family>(&self, daddr: IpAddr) -> Result<A, DropReason> {
        let hop = self.net.route_to(daddr).ok_or(DropReason::NoRoute)?;
        let source = self.net.source_for(hop.ifindex, daddr);
        source.and_then(A::of).ok_or(DropReason::NoTunnelSource)
    }

    /// Takes a port of the WAN address that was chosen.
    #[inline(never)]
    fn wan_port<A: Family>(
        &mut self,
        service: &Service,
        dest: &Dest,
        class: usize,
    ) -> Result<(A, u16), DropReason> {
        let wan = service.laddrs.iter().find(|laddr| laddr.addr == dest.addr);
        let (Some(wan), Some(addr)) = (wan, A::of(dest.addr)) else {
            return Err(DropReason::NoLaddr);
        };
        let port = self.laddrs.take_port(wan.id, class);
        Ok((addr, port.ok_or(DropReason::NoLocalPort)?))
    }

    /// Takes a port of the local address whose turn it is, or of one after it, that can speak to the dest.
    fn local_port<A: Family>(
        &mut self,
        service: &Service,
        dest: &Dest,
        class: usize,
    ) -> Result<(A, u16), DropReason> {
        let mut reason = DropReason::NoLaddr;
        for laddr in laddrs_in_turn(service, self.service_state) {
            let Some(addr) =
                A::of(laddr.addr).filter(|_| laddr.addr.is_ipv4() == dest.addr.is_ipv4())
            else {
                continue;
            };
            let Some(port) = self.laddrs.take_port(laddr.id, class) else {
                reason = DropReason::NoLocalPort;
                continue;
            };
            self.fetch_next_laddr(service);
            return Ok((addr, port));
        }
        Err(reason)
    }

    /// Asks for the memory of the pool whose turn is next: it was used as many conns ago as there are local addresses.
    #[inline]
    fn fetch_next_laddr(&self, service: &Service) {
        let next = service.laddrs.get(self.service_state.next_laddr as usize);
        if let Some(next) = next.or_else(|| service.laddrs.first()) {
            self.laddrs.fetch(next.id);
        }
    }
}

/// Whether packets of such a conn may change in length: a header, an option, or an address in FTP's text.
fn is_edited(service: &Service, fwdmode: FwdMode) -> bool {
    let options = &service.options;
    let in_tcp = options.proxy_protocol.is_some() || service.is_ftp();
    match fwdmode {
        FwdMode::FullNat => in_tcp || options.uoa.is_some(),
        FwdMode::Nat => in_tcp,
        _ => false,
    }
}

/// What follows the header of UDP (RFC 768); nothing for TCP, whose first segment has no data yet.
fn payload_of<'a, A>(flow: &Flow<A>, l4: &'a [u8]) -> &'a [u8] {
    match flow.protocol() {
        Protocol::Tcp | Protocol::Sctp | Protocol::Icmp | Protocol::IcmpV6 => &[],
        Protocol::Udp => l4.get(8..).unwrap_or_default(),
    }
}

/// The local addresses to ask, beginning with the one whose turn it is.
fn laddrs_in_turn<'a>(
    service: &'a Service,
    service_state: &mut ServiceState,
) -> impl Iterator<Item = &'a Laddr> + use<'a> {
    let laddrs = &service.laddrs[..];
    let mut first = service_state.next_laddr as usize;
    // Without a division for nearly all conns.
    if first >= laddrs.len() {
        first = first.checked_rem(laddrs.len()).unwrap_or(0);
    }
    service_state.next_laddr = first as u32 + 1;
    let (before, from_first) = laddrs.split_at(first);
    from_first.iter().chain(before).take(LADDRS_TRIED)
}

/// What the inbound rewrite changes in the checksums, worked out once.
// Inlined: the endpoints were written in parts, which are read as a whole here.
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
