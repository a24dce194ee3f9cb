//! The engine as the benches drive it: one worker, 32 local addresses, neighbours known.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use inet::neighbour::NeighbourConfig;
use inet::{Device, IfIndex, LocalAddr, NeighbourTable, Net, Prefix, Route, RouteScope};
use ipvs_core::tuple::HashKey;
use ipvs_core::{
    Access, Command, Dest, DestId, Engine, EngineConfig, FwdMode, Io, Keys, Laddr, LaddrId, Now,
    Plan, Protocol, SchedulerKind, Service, ServiceId, ServiceKey, ServiceOptions, Snapshot,
    TcpState, Timeouts, WorkerStats,
};
use packet::{MacAddr, PacketBuf, PortId};
use sapool::{PoolShare, PortPool};

use crate::frames::VIP;

/// Local addresses.
pub const LADDRS: u32 = 32;
/// The MAC address of the port towards the dests.
pub const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The MAC address of the port towards the clients.
pub const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// Where dests and local addresses are.
pub const LAN: (Ipv4Addr, u8) = (Ipv4Addr::new(192, 168, 0, 0), 16);
/// Where everyone else is reached.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The MAC address of all neighbours.
pub const NEIGHBOUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);

/// Longer than any measurement: nothing expires by itself.
const LONG_S: u32 = 60_000;

/// What a director is made of.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The port towards the dests
    pub lan: PortId,
    /// The port towards the clients
    pub wan: PortId,
    /// Room for conns
    pub max_conns: u32,
    /// Services for TCP on the VIP: port 80, and from 10,000 on
    pub services: u32,
    /// Dests of each service
    pub dests: u32,
    /// How they are chosen
    pub scheduler: SchedulerKind,
    /// How packets reach them
    pub fwdmode: FwdMode,
    /// Until a conn in a state expires
    pub timeouts: Timeouts,
    /// The same for established conns
    pub conn_timeout_s: Option<u32>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
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

/// Random in the daemon; the same in every run here.
pub const KEYS: Keys = Keys {
    conns: HashKey([0x1357_9bdf, 0x2468_ace0, 0x0f1e_2d3c, 0x4b5a_6978]),
    sequence: HashKey([1, 2, 3, 4]),
};

/// An engine without configuration, the only worker.
pub fn bare_engine<B: PacketBuf>(max_conns: u32, stats: Arc<WorkerStats>, now: Now) -> Engine<B> {
    let config = EngineConfig {
        worker: 0,
        workers: 1,
        max_conns,
        max_conns_v6: 16,
        keys: KEYS,
        max_held: 64,
        max_held_per_neighbour: 16,
    };
    Engine::new(config, vec![stats], now)
}

/// An engine with a FullNAT service for UDP and those of the spec for TCP, ready to forward.
pub fn engine<B: PacketBuf>(spec: &Spec, now: Now, io: &mut impl Io<B>) -> Engine<B> {
    let stats = Arc::new(WorkerStats::new(2 * spec.dests as usize, 64));
    stats.provide(0..2 * spec.dests, 0..spec.services + 1);
    let mut engine = bare_engine(spec.max_conns, stats, now);
    // The bench has no use for what the engine answers.
    let mut order = |command| drop(engine.apply(now, command, io));
    for number in 0..LADDRS {
        if let Some(share) = PoolShare::new(0, 1) {
            order(Command::AddLaddr {
                id: LaddrId(number),
                addr: IpAddr::V4(laddr(number)),
                pool: Box::new(PortPool::new(share)),
            });
        }
    }
    order(Command::Publish(Arc::new(snapshot(spec))));
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
    let dests: Vec<Dest> = (0..spec.dests)
        .map(|at| Dest {
            // Counters are shared by the services: there is room for those of one.
            id: DestId(first + at),
            addr: IpAddr::V4(dest(at)),
            port: 80,
            weight: 1,
            fwdmode: spec.fwdmode,
            upper_threshold: 0,
            lower_threshold: 0,
        })
        .collect();
    let laddrs = (0..LADDRS).map(|number| Laddr {
        id: LaddrId(number),
        addr: IpAddr::V4(laddr(number)),
        ifindex: IfIndex(1),
    });
    Arc::new(Service {
        id: ServiceId(id),
        key: ServiceKey {
            protocol,
            addr: IpAddr::V4(VIP.0),
            port: service_port(number),
            matcher: None,
        },
        scheduler: spec.scheduler,
        plan: Plan::new(spec.scheduler, &dests),
        dests,
        laddrs: laddrs.collect(),
        options: ServiceOptions {
            conn_timeout_s: spec.conn_timeout_s,
            ..ServiceOptions::default()
        },
        access: Access::default(),
    })
}

/// The devices: `dpdk0` towards the dests, `dpdk1` towards the clients.
pub fn devices(lan: PortId, wan: PortId) -> Vec<Device> {
    let device = |index: u16, port, mac| Device {
        ifindex: IfIndex(index + 1),
        name: format!("dpdk{index}"),
        port,
        mac,
        mtu: 1500,
        kni: false,
        forward_to_kni: false,
    };
    vec![device(0, lan, LAN_MAC), device(1, wan, WAN_MAC)]
}

fn net(spec: &Spec) -> Net {
    let mut net = Net::new(devices(spec.lan, spec.wan));
    let vip = LocalAddr {
        addr: IpAddr::V4(VIP.0),
        ifindex: IfIndex(2),
        sapool: false,
    };
    let laddrs = (0..LADDRS).map(|number| LocalAddr {
        addr: IpAddr::V4(laddr(number)),
        ifindex: IfIndex(1),
        sapool: true,
    });
    net.set_local_addrs(laddrs.chain([vip]));
    let routes = [
        (Ipv4Addr::UNSPECIFIED, 0, 2, Some(GATEWAY)),
        (LAN.0, LAN.1, 1, None),
    ];
    for (addr, len, ifindex, gateway) in routes {
        // Each is the first to its prefix.
        let _ = net.routes.insert(route(addr, len, ifindex, gateway));
    }
    let mut neighbours = NeighbourTable::new(NeighbourConfig::default());
    for number in 0..spec.dests {
        neighbours.add_static(IfIndex(1), IpAddr::V4(dest(number)), NEIGHBOUR_MAC);
    }
    neighbours.add_static(IfIndex(2), IpAddr::V4(GATEWAY), NEIGHBOUR_MAC);
    neighbours.publish(&mut net);
    net
}

/// A route by a device, through a gateway or on the link.
pub fn route(addr: Ipv4Addr, len: u8, ifindex: u16, gateway: Option<Ipv4Addr>) -> Route {
    let addr = IpAddr::V4(addr);
    Route {
        prefix: Prefix::new(addr, len).unwrap_or(Prefix::host(addr)),
        ifindex: IfIndex(ifindex),
        gateway: gateway.map(IpAddr::V4),
        src: None,
        mtu: 1500,
        metric: 0,
        scope: match gateway {
            Some(_) => RouteScope::Global,
            None => RouteScope::Link,
        },
        auto: false,
    }
}
