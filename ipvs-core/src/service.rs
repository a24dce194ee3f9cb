//! Services and their dests, as the control plane publishes them: immutable, whole, validated.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use inet::IfIndex;
use packet::proxy::Version;
use packet::uoa::Mode;

use crate::access::Access;
use crate::census::Census;
use crate::ftp::CONTROL_PORT;
use crate::matcher::{Match, Passing};

use crate::sched::Plan;

/// The transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, RFC 9293
    Tcp,
    /// UDP, RFC 768
    Udp,
    /// SCTP, RFC 9260
    Sctp,
    /// Echo of ICMP, RFC 792: through SNAT
    Icmp,
    /// Echo of ICMPv6, RFC 4443
    IcmpV6,
}

impl Protocol {
    /// The protocol number in an IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Icmp => 1,
            Self::IcmpV6 => 58,
        }
    }

    /// The protocol of an IP header's number, if services of it exist.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            1 => Some(Self::Icmp),
            58 => Some(Self::IcmpV6),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::IcmpV6 => "ICMPv6",
        })
    }
}

/// What names a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// TCP or UDP
    pub protocol: Protocol,
    /// VIP
    pub addr: IpAddr,
    /// vport, host byte order
    pub port: u16,
    /// For packets on their way through instead of a VIP, which is 0.0.0.0:0 then
    pub matcher: Option<Match>,
}

impl ServiceKey {
    /// A service on a VIP.
    pub const fn vip(protocol: Protocol, addr: IpAddr, port: u16) -> Self {
        Self {
            protocol,
            addr,
            port,
            matcher: None,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(matcher) = &self.matcher {
            let protocol = self.protocol.to_string().to_lowercase();
            return write!(f, "MATCH {protocol}{matcher}");
        }
        write!(
            f,
            "{} {}",
            self.protocol,
            std::net::SocketAddr::new(self.addr, self.port)
        )
    }
}

/// Most services at once.
pub const MAX_SERVICES: u32 = 1 << 20;

/// Index of a service in the per-worker arrays, below [`MAX_SERVICES`]. Stable while the service exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// Index of a dest in the per-worker arrays. Stable while the dest or a conn of it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestId(pub u32);

/// Index of a local address's port pool in the per-worker arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaddrId(pub u32);

/// How a packet reaches the dest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FwdMode {
    /// Both addresses are rewritten; the dest sees a local address, and answers it.
    FullNat,
    /// The destination is rewritten; the dest sees the client, and answers by way of the director, its gateway.
    Nat,
    /// Only the frame is addressed to the dest, which has the VIP too and answers the client by itself.
    DirectRoute,
    /// The packet travels inside another to the dest, which has the VIP too and answers the client by itself.
    Tunnel(Encapsulation),
    /// The source is rewritten to the dest's address, a WAN address of the director.
    Snat,
}

impl FwdMode {
    /// Whether the dest's packets come back through the director.
    pub const fn sees_replies(self) -> bool {
        matches!(self, Self::FullNat | Self::Nat | Self::Snat)
    }

    /// Whether the dest's port must be the service's, since no port is rewritten.
    pub const fn keeps_port(self) -> bool {
        !self.sees_replies()
    }

    /// Whether client and dest may be of different address families.
    pub const fn joins_families(self) -> bool {
        matches!(self, Self::FullNat | Self::Tunnel(_))
    }

    /// As users know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullNat => "FullNAT (-b)",
            Self::Nat => "NAT (-m)",
            Self::DirectRoute => "DR (-g)",
            Self::Tunnel(_) => "tunnel (-i)",
            Self::Snat => "SNAT (-J)",
        }
    }
}

/// What stands between the outer and the inner IP header of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Nothing: RFC 2003
    IpIp,
    /// GRE without options: RFC 2784
    Gre,
    /// Generic UDP encapsulation, draft-ietf-intarea-gue, to this port
    Gue(u16),
}

/// Which dest a new conn goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// Round robin
    Rr,
    /// Weighted round robin
    Wrr,
    /// Least connection, whatever the weights
    Lc,
    /// Weighted least connection
    Wlc,
    /// Shortest expected delay
    Sed,
    /// Never queue: an idle dest, else as sed
    Nq,
    /// By the hash of the client's address
    Sh(HashOptions),
    /// By the hash of the destination address
    Dh,
    /// Maglev: as sh
    Mh(HashOptions),
    /// Consistent hashing
    Conhash(HashTarget),
    /// Locality-based least connection: each destination address keeps to a dest
    Lblc,
    /// The same with replication: each destination address keeps to a few dests
    Lblcr,
    /// Failover: the dest with the highest weight
    Fo,
    /// Overflow: the dest with the highest weight until it has as many active conns
    Ovf,
}

/// `--sched-flags` of sh and mh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HashOptions {
    /// An overloaded dest's clients go to another one; without it they are refused, as IPVS does.
    pub fallback: bool,
    /// The client's port counts too, not only its address.
    pub port: bool,
}

/// `--hash-target` of conhash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashTarget {
    /// The client's address
    #[default]
    Sip,
    /// The QUIC connection ID: a client keeps its dest when its address changes
    Qid,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dest {
    /// Where its counters and conns are found.
    pub id: DestId,
    /// RIP
    pub addr: IpAddr,
    /// rport, host byte order
    pub port: u16,
    /// Share of new conns; 0 takes none and keeps those it has.
    pub weight: u16,
    /// How packets reach it.
    pub fwdmode: FwdMode,
    /// No new conn once it has this many; 0 for no limit.
    pub upper_threshold: u32,
    /// After the upper threshold was hit, new conns again only below this; 0 for 3/4 of the upper.
    pub lower_threshold: u32,
}

/// A local address of a FullNAT service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laddr {
    /// Which port pool of the worker belongs to it.
    pub id: LaddrId,
    /// LIP
    pub addr: IpAddr,
    /// The device it was added on.
    pub ifindex: IfIndex,
}

/// What a service asks of its conns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceOptions {
    /// Instead of the protocol's timeout of an established conn, in seconds.
    pub conn_timeout_s: Option<u32>,
    /// Clients keep to their dest.
    pub persistence: Option<Persistence>,
    /// Each datagram is a conn of its own.
    pub is_one_packet: bool,
    /// A dest whose weight is 0 keeps neither conns nor clients.
    pub expires_quiescent: bool,
    /// Dests are told who the client is before what it says.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Dests are told who the client is by UOA.
    pub uoa: Option<UoaOptions>,
    /// Clients shake hands with the director before dests hear of them.
    pub syn_proxy: Option<SynProxy>,
    /// Most conns at once, over all workers.
    pub conn_limit: Option<u32>,
    /// Most new conns per second, over all workers.
    pub conn_rate_limit: Option<u32>,
}

/// `--uoa`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UoaOptions {
    /// How
    pub mode: Mode,
    /// How many datagrams of a conn tell it: DPVS's `uoa_max_trail`
    pub max_trail: u8,
}

/// `-j`: whose SYNs are answered with cookies
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynProxy {
    /// All
    Always,
    /// Those beyond so many per second, over all workers
    Above(u32),
}

/// `--proxy-protocol`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Text or binary
    pub version: Version,
    /// A header that the client itself sends is believed and passed on, rather than replaced.
    pub is_insecure: bool,
}

/// `-p`: who was at a dest comes back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds after the latest conn was made; longer while there are conns.
    pub timeout_s: u32,
    /// Clients whose addresses have these bits in common are one: 32, or 128, if each is its own.
    pub prefix_len: u8,
}

/// A service with all that a worker needs to schedule a new conn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where its per-worker scheduler state is found.
    pub id: ServiceId,
    /// VIP, vport, protocol
    pub key: ServiceKey,
    /// Which dest a new conn goes to.
    pub scheduler: SchedulerKind,
    /// Its dests, in the order they were added.
    pub dests: Vec<Dest>,
    /// What the scheduler works out in advance. Made by [`Plan::new`].
    pub plan: Plan,
    /// Its local addresses, in the order they were added.
    pub laddrs: Vec<Laddr>,
    /// What it asks of its conns.
    pub options: ServiceOptions,
    /// Whom it serves.
    pub access: Access,
}

impl Service {
    /// Whether its conns are control conns of FTP, whose data conns follow them.
    pub fn is_ftp(&self) -> bool {
        let key = &self.key;
        key.matcher.is_none()
            && key.protocol == Protocol::Tcp
            && key.port == CONTROL_PORT
            && self.options.proxy_protocol.is_none()
    }

    /// Whether its dests are WAN addresses: SNAT.
    pub fn leads_out(&self) -> bool {
        let is_wan = |dest: &Dest| dest.fwdmode == FwdMode::Snat;
        self.key.matcher.is_some() && self.dests.iter().all(is_wan)
    }

    /// Whether it has dests of the other address family.
    pub fn is_mixed(&self) -> bool {
        let is_other = |dest: &Dest| dest.addr.is_ipv4() != self.key.addr.is_ipv4();
        self.dests.iter().any(is_other)
    }
}

/// Number of shards of a [`ServiceTable`]: one change copies one shard and the array of pointers.
const SHARDS: usize = 4096;

/// All services. Cloning copies pointers; a change copies only the shard it falls in.
#[derive(Debug, Clone)]
pub struct ServiceTable {
    shards: Arc<[Arc<Shard>]>,
    /// Of those of VIPs
    census: Census,
    /// Those for packets on their way through, in the order they came
    passing: Arc<Vec<Arc<Service>>>,
}

/// Services with their hashes, which tell most of them apart without a look at the service.
type Shard = Vec<(u64, Arc<Service>)>;

impl Default for ServiceTable {
    fn default() -> Self {
        let empty: Arc<Shard> = Arc::default();
        Self {
            shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(),
            census: Census::default(),
            passing: Arc::default(),
        }
    }
}

impl ServiceTable {
    /// The service with this key. Called by a worker for the first packet of a conn.
    #[inline]
    pub fn get(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        let hash = hash_of(key);
        self.shards[shard_of(hash)]
            .iter()
            .find(|(other, service)| *other == hash && service.key == *key)
            .map(|(_, service)| service)
    }

    /// The service of a VIP's port, or of all its ports. Called by a worker for the first packet of a conn, and
    /// when a conn asks for its service's options.
    #[inline]
    pub fn of_vip(&self, protocol: Protocol, addr: IpAddr, port: u16) -> Option<&Arc<Service>> {
        let of_port = self.get(&ServiceKey::vip(protocol, addr, port));
        if of_port.is_some() || !self.census.has_any_port() {
            return of_port;
        }
        self.get(&ServiceKey::vip(protocol, addr, 0))
    }

    /// Whether any port of this address has a service.
    pub fn is_vip(&self, protocol: Protocol, addr: IpAddr) -> bool {
        self.census.is_vip(protocol, addr)
    }

    /// Whether there are services whose conns are control conns of FTP.
    #[inline]
    pub const fn has_ftp(&self) -> bool {
        self.census.has_ftp()
    }

    /// Whether this is the address of a dest of FTP.
    pub fn is_ftp_dest(&self, addr: IpAddr) -> bool {
        self.census.is_ftp_dest(addr)
    }

    /// Whether there are services with a SYN proxy.
    #[inline]
    pub const fn has_syn_proxy(&self) -> bool {
        self.census.has_syn_proxy()
    }

    /// Whether there are services with dests of the other address family.
    #[inline]
    pub const fn has_mixed(&self) -> bool {
        self.census.has_mixed()
    }

    /// Whether there are services for packets on their way through.
    #[inline]
    pub fn has_passing(&self) -> bool {
        !self.passing.is_empty()
    }

    /// The first service that matches a packet: for one to the director itself, the first that leads to real
    /// servers rather than out into the world.
    pub fn matching(
        &self,
        protocol: Protocol,
        packet: &Passing<'_>,
        is_to_us: bool,
    ) -> Option<&Arc<Service>> {
        self.passing.iter().find(|service| {
            let matches = |matcher: Match| matcher.has(packet);
            service.key.protocol == protocol
                && service.leads_out() != is_to_us
                && service.key.matcher.is_some_and(matches)
        })
    }

    /// A service that matches packets, by its number.
    pub fn matching_by_id(&self, id: ServiceId) -> Option<&Arc<Service>> {
        self.passing.iter().find(|service| service.id == id)
    }

    /// Whether a packet from there is from a dest of a NAT service: its way leads through a conn, or nowhere.
    pub fn is_nat_dest(&self, protocol: Protocol, addr: IpAddr, port: u16) -> bool {
        self.census.is_nat_dest(protocol, addr, port)
    }

    /// Adds services, or replaces those with the same key, copying each touched shard once.
    pub fn insert_all(&mut self, services: impl IntoIterator<Item = Arc<Service>>) {
        let shards = Arc::make_mut(&mut self.shards);
        for service in services {
            if service.key.matcher.is_some() {
                self.census.add(&service);
                let passing = Arc::make_mut(&mut self.passing);
                match passing.iter_mut().find(|old| old.key == service.key) {
                    Some(old) => {
                        self.census.remove(old);
                        *old = service;
                    }
                    None => passing.push(service),
                }
                continue;
            }
            self.census.add(&service);
            let hash = hash_of(&service.key);
            let shard = Arc::make_mut(&mut shards[shard_of(hash)]);
            match shard.iter_mut().find(|(_, old)| old.key == service.key) {
                Some((_, old)) => {
                    self.census.remove(old);
                    *old = service;
                }
                None => shard.push((hash, service)),
            }
        }
    }

    /// Takes a service out.
    pub fn remove(&mut self, key: &ServiceKey) {
        if key.matcher.is_some() {
            let passing = Arc::make_mut(&mut self.passing);
            if let Some(at) = passing.iter().position(|service| service.key == *key) {
                self.census.remove(&passing.remove(at));
            }
            return;
        }
        let shard = &mut Arc::make_mut(&mut self.shards)[shard_of(hash_of(key))];
        let shard = Arc::make_mut(shard);
        if let Some(at) = shard.iter().position(|(_, service)| service.key == *key) {
            let (_, service) = shard.swap_remove(at);
            self.census.remove(&service);
        }
    }

    /// All services, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.iter().map(|(_, service)| service))
            .chain(self.passing.iter())
    }
}

/// Operators choose VIPs and vports, not clients, so a fixed mix is enough here.
#[inline]
fn hash_of(key: &ServiceKey) -> u64 {
    let addr = match key.addr {
        IpAddr::V4(addr) => u64::from(u32::from(addr)),
        IpAddr::V6(addr) => {
            let bits = u128::from(addr);
            (bits as u64) ^ ((bits >> 64) as u64)
        }
    };
    (addr ^ (u64::from(key.port) << 32) ^ (u64::from(key.protocol.number()) << 48))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[inline]
const fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A service whose dests have these weights and are numbered from 0.
    pub(crate) fn service_with(scheduler: SchedulerKind, weights: &[u16]) -> Service {
        let dests: Vec<Dest> = weights
            .iter()
            .zip(0..)
            .map(|(&weight, id)| Dest {
                id: DestId(id),
                addr: IpAddr::V4(Ipv4Addr::from(0xC0A8_6400 + id)),
                port: 80,
                weight,
                fwdmode: FwdMode::FullNat,
                upper_threshold: 0,
                lower_threshold: 0,
            })
            .collect();
        Service {
            id: ServiceId(0),
            key: ServiceKey {
                protocol: Protocol::Tcp,
                addr: IpAddr::from([10, 0, 0, 100]),
                port: 80,
                matcher: None,
            },
            scheduler,
            plan: Plan::new(scheduler, &dests),
            dests,
            laddrs: Vec::new(),
            options: ServiceOptions::default(),
            access: Access::default(),
        }
    }

    #[test]
    fn a_change_of_one_service_leaves_the_others_and_the_old_table_alone() {
        let service = |port| {
            let mut service = service_with(SchedulerKind::Rr, &[1]);
            service.key.port = port;
            Arc::new(service)
        };
        let mut table = ServiceTable::default();
        table.insert_all((1..2000).map(service));
        let before = table.clone();
        table.remove(&service(7).key);
        assert!(table.get(&service(7).key).is_none());
        assert!(before.get(&service(7).key).is_some());
        assert_eq!(table.iter().count(), 1998);
        assert_eq!(
            table.get(&service(8).key).map(|found| found.key.port),
            Some(8)
        );
    }
}
