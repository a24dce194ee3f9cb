//! The engine as the benches drive it: one worker, 32 local addresses, neighbours known.
//!
//! It works with any packet buffer, which is why it is not the director of `testkit`. The parts of
//! its configuration come from there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use inet::neighbour::NeighbourConfig;
use inet::{Device, NeighbourTable, Net, Prefix};
use ipvs_core::tuple::HashKey;
use ipvs_core::{
    Command, Engine, EngineConfig, FwdMode, Io, Keys, Now, Protocol, SchedulerKind, Service,
    ServiceKey, ServiceOptions, SharedState, Snapshot, TcpState, Timeouts, WorkerStats,
};
use packet::{MacAddr, PacketBuf, PortId};
use testkit::director::config::{self, TO_CLIENTS, TO_DESTS};

use crate::frames::VIP;

/// How many local addresses there are.
pub const LADDRS: u32 = 32;
/// The MAC address of the port towards the dests.
pub const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The MAC address of the port towards the clients.
pub const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// The network of dests and local addresses.
pub const LAN: (Ipv4Addr, u8) = (Ipv4Addr::new(192, 168, 0, 0), 16);
/// The gateway to all other addresses.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The MAC address of all neighbours.
pub const NEIGHBOUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);

/// The VIP that IPv6 clients talk to.
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x100);
/// The gateway to all IPv6 clients.
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
/// The network of IPv6 dests and local addresses.
const LAN6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0), 64);

/// A timeout longer than any measurement, so that no conn expires.
const LONG_S: u32 = 60_000;

/// Room for conns of the family that is not measured.
const FEW_CONNS: u32 = 16;

/// The address family of a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// The address of the services.
    fn vip(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(VIP.0),
            Self::V6 => IpAddr::V6(VIP6),
        }
    }

    fn dest(self, number: u32) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(dest(number)),
            Self::V6 => IpAddr::V6(at_lan6(2 + number)),
        }
    }

    fn laddr(self, number: u32) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(laddr(number)),
            Self::V6 => IpAddr::V6(at_lan6(0x1000 + number)),
        }
    }

    fn gateway(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(GATEWAY),
            Self::V6 => IpAddr::V6(GATEWAY6),
        }
    }

    /// Every address of the family.
    fn all(self) -> Prefix {
        let any = match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        prefix(any, 0)
    }

    /// The network of dests and local addresses.
    fn lan(self) -> Prefix {
        match self {
            Self::V4 => prefix(IpAddr::V4(LAN.0), LAN.1),
            Self::V6 => prefix(IpAddr::V6(LAN6.0), LAN6.1),
        }
    }
}

fn at_lan6(host: u32) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(LAN6.0) + u128::from(host))
}

/// What a director is made of.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The address family of clients and dests
    pub family: Family,
    /// The port towards the dests
    pub lan: PortId,
    /// The port towards the clients
    pub wan: PortId,
    /// Room for conns of the family
    pub max_conns: u32,
    /// How many TCP services the VIP has: the first on port 80, the others from port 10,000 on
    pub services: u32,
    /// How many dests each service has
    pub dests: u32,
    /// The scheduler of the services
    pub scheduler: SchedulerKind,
    /// The forwarding mode of the dests
    pub fwdmode: FwdMode,
    /// How long a conn lives without packets, by its state
    pub timeouts: Timeouts,
    /// How long an established conn of the services lives without packets
    pub conn_timeout_s: Option<u32>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            family: Family::V4,
            lan: PortId(0),
            wan: PortId(1),
            max_conns: 1024,
            services: 1,
            dests: 16,
            scheduler: SchedulerKind::Rr,
            fwdmode: FwdMode::FullNat,
            timeouts: Timeouts {
                tcp_s: [LONG_S; TcpState::COUNT],
                udp_s: LONG_S,
                udp_oneway_s: LONG_S,
                ..Timeouts::default()
            },
            conn_timeout_s: Some(LONG_S),
        }
    }
}

/// Keys of hashes. The daemon makes random ones; here they are the same in every run.
pub const KEYS: Keys = Keys {
    conns: HashKey([0x1357_9bdf, 0x2468_ace0, 0x0f1e_2d3c, 0x4b5a_6978]),
    sequence: HashKey([1, 2, 3, 4]),
};

/// The engine of the only worker, for IPv4, without configuration.
pub fn bare_engine<B: PacketBuf>(max_conns: u32, stats: Arc<WorkerStats>, now: Now) -> Engine<B> {
    engine_for((max_conns, FEW_CONNS), stats, now)
}

/// An engine with room for so many conns of IPv4 and of IPv6.
fn engine_for<B: PacketBuf>(
    (max_conns, max_conns_v6): (u32, u32),
    stats: Arc<WorkerStats>,
    now: Now,
) -> Engine<B> {
    let config = EngineConfig {
        worker: ipvs_core::WorkerId(0),
        owners: Arc::new(ipvs_core::Owners::single()),
        arrival: ipvs_core::Arrival::AsItComes,
        max_conns,
        max_conns_v6,
        keys: KEYS,
        max_held: 64,
        max_held_per_neighbour: 16,
    };
    Engine::new(
        config,
        vec![stats],
        vec![Arc::new(SharedState::new(64))],
        now,
    )
}

/// An engine with one service for UDP and those of the spec for TCP, ready to forward.
pub fn engine<B: PacketBuf>(spec: &Spec, now: Now, io: &mut impl Io<B>) -> Engine<B> {
    let stats = Arc::new(WorkerStats::new(2 * spec.dests as usize));
    stats.provide(0..2 * spec.dests, 0..spec.services + 1, 0..LADDRS);
    let max_conns = match spec.family {
        Family::V4 => (spec.max_conns, FEW_CONNS),
        Family::V6 => (FEW_CONNS, spec.max_conns),
    };
    let mut engine = engine_for(max_conns, stats, now);
    // Answers of the engine are not used.
    let mut command = |command| drop(engine.apply(now, command, io));
    for number in 0..LADDRS {
        command(config::add_laddr(
            number,
            spec.family.laddr(number),
            0,
            &ipvs_core::Owners::single(),
        ));
    }
    command(Command::Publish(Arc::new(snapshot(spec))));
    engine
}

/// A local address.
pub fn laddr(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(LAN.0) + (200 << 8) + number)
}

/// A dest's address.
pub fn dest(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(LAN.0) + 2 + number)
}

/// The port of a service on the VIP.
pub const fn service_port(number: u32) -> u16 {
    match number {
        0 => VIP.1,
        _ => 10_000 + number as u16,
    }
}

/// The configuration, as control would publish it.
pub fn snapshot(spec: &Spec) -> Snapshot {
    let mut snapshot = Snapshot {
        net: net(spec),
        timeouts: spec.timeouts,
        ..Snapshot::default()
    };
    let udp = service(spec, 0, Protocol::Udp);
    let tcp = (0..spec.services).map(|number| service(spec, number, Protocol::Tcp));
    snapshot.services.insert_all(tcp.chain([udp]));
    snapshot
}

fn service(spec: &Spec, number: u32, protocol: Protocol) -> Arc<Service> {
    let (first, id) = match protocol {
        Protocol::Tcp => (spec.dests, 1 + number),
        _ => (0, 0),
    };
    let key = ServiceKey::vip(protocol, spec.family.vip(), service_port(number));
    let dests = (0..spec.dests).map(|at| {
        // The services share the dests' counters: there is room for those of one service.
        let addr = SocketAddr::new(spec.family.dest(at), 80);
        config::dest(first + at, addr, spec.fwdmode)
    });
    let laddrs = (0..LADDRS).map(|number| config::laddr(number, spec.family.laddr(number)));
    Arc::new(Service {
        options: ServiceOptions {
            conn_timeout_s: spec.conn_timeout_s,
            ..ServiceOptions::default()
        },
        ..config::service(id, key, spec.scheduler, dests.collect(), laddrs)
    })
}

/// The devices: `dpdk0` towards the dests, `dpdk1` towards the clients.
pub fn devices(lan: PortId, wan: PortId) -> Vec<Device> {
    vec![
        config::device(0, lan, LAN_MAC),
        config::device(1, wan, WAN_MAC),
    ]
}

fn net(spec: &Spec) -> Net {
    let family = spec.family;
    let mut net = Net::new(devices(spec.lan, spec.wan));
    let laddrs = (0..LADDRS).map(|number| config::local_addr(family.laddr(number)));
    net.set_local_addrs(laddrs.chain([config::vip(family.vip(), TO_CLIENTS)]));
    let routes = [
        config::route(family.all(), TO_CLIENTS, Some(family.gateway())),
        config::route(family.lan(), TO_DESTS, None),
    ];
    for route in routes {
        // Their prefixes differ, so none is refused.
        let _ = net.routes.insert(route);
    }
    let mut neighbours = NeighbourTable::new(NeighbourConfig::default());
    for number in 0..spec.dests {
        neighbours.add_static(TO_DESTS, family.dest(number), NEIGHBOUR_MAC);
    }
    neighbours.add_static(TO_CLIENTS, family.gateway(), NEIGHBOUR_MAC);
    neighbours.publish(&mut net);
    net
}

/// A prefix of a length that its family has.
pub fn prefix(addr: IpAddr, len: u8) -> Prefix {
    Prefix::new(addr, len).unwrap_or(Prefix::host(addr))
}
