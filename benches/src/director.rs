//! The engine as the bench drives it: one worker, 32 local addresses, 16 dests, neighbours known.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dpdk::{Burst, Mbuf, Mempool, TxQueue};
use inet::neighbour::NeighbourConfig;
use inet::{Device, IfIndex, LocalAddr, NeighbourTable, Net, Prefix, Route, RouteScope};
use ipvs_core::tuple::HashKey;
use ipvs_core::{
    Command, Dest, DestId, Engine, EngineConfig, Event, FwdMode, Io, Keys, Laddr, LaddrId, Now,
    Protocol, SchedulerKind, Service, ServiceId, ServiceKey, Snapshot, WorkerStats, sched::Plan,
};
use packet::{MacAddr, PacketBuf, PortId};
use sapool::{PoolShare, PortPool};

use crate::traffic::VIP;

const LADDRS: u32 = 32;
const DESTS: u32 = 16;
/// Where dests and local addresses are.
const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 100, 0);
const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);

/// What leaves the engine: by one queue, and nothing else.
#[derive(Debug)]
pub struct Sink {
    /// Where all packets leave
    pub tx: TxQueue,
    /// Packets of this batch
    pub pending: Burst,
    /// For packets of the engine's own
    pub pool: Mempool,
}

impl Sink {
    /// Hands what is pending to the port.
    #[inline]
    pub fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.tx.burst(&mut self.pending);
        }
    }
}

impl Io<Mbuf> for Sink {
    #[inline]
    fn transmit(&mut self, _: PortId, packet: Mbuf) {
        self.pending.push(packet);
        if self.pending.is_full() {
            self.flush();
        }
    }
    fn to_kernel(&mut self, _: Mbuf) {}
    fn copy_to_kernel(&mut self, _: &Mbuf) {}
    fn redirect(&mut self, _: u16, _: Mbuf) {}
    fn allocate(&mut self, _: PortId, len: usize) -> Option<Mbuf> {
        let mut packet = self.pool.alloc()?;
        packet.append(len).then_some(packet)
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}

/// The ports of the bench.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Towards the dests
    pub lan: (PortId, MacAddr),
    /// Towards the clients
    pub wan: (PortId, MacAddr),
}

/// An engine with a FullNAT service, ready to forward.
pub fn engine(ports: Ports, conns: u32, now: Now, sink: &mut Sink) -> Engine<Mbuf> {
    let keys = Keys {
        conns: HashKey([0x1357_9bdf, 0x2468_ace0, 0x0f1e_2d3c, 0x4b5a_6978]),
        sequence: HashKey([1, 2, 3, 4]),
    };
    let config = EngineConfig {
        worker: 0,
        workers: 1,
        max_conns: conns,
        keys,
        max_held: 64,
        max_held_per_neighbour: 16,
    };
    let mut engine = Engine::new(config, vec![Arc::new(WorkerStats::new(64))], now);
    let mut order = |command| drop(engine.apply(now, command, sink));
    for number in 0..LADDRS {
        if let Some(share) = PoolShare::new(0, 1) {
            let (id, addr) = (LaddrId(number), IpAddr::V4(laddr(number)));
            order(Command::AddLaddr {
                id,
                addr,
                pool: Box::new(PortPool::new(share)),
            });
        }
    }
    order(Command::Publish(Arc::new(snapshot(ports))));
    engine
}

fn laddr(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(LAN) + 200 + number)
}

fn dest(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(LAN) + 2 + number)
}

fn snapshot(ports: Ports) -> Snapshot {
    let mut snapshot = Snapshot {
        net: net(ports),
        ..Snapshot::default()
    };
    let dests: Vec<Dest> = (0..DESTS)
        .map(|number| Dest {
            id: DestId(number),
            addr: IpAddr::V4(dest(number)),
            port: 80,
            weight: 1,
            fwdmode: FwdMode::FullNat,
            upper_threshold: 0,
            lower_threshold: 0,
        })
        .collect();
    let laddrs = (0..LADDRS).map(|number| Laddr {
        id: LaddrId(number),
        addr: IpAddr::V4(laddr(number)),
        ifindex: IfIndex(1),
    });
    snapshot.services.insert_all([Arc::new(Service {
        id: ServiceId(0),
        key: ServiceKey {
            protocol: Protocol::Udp,
            addr: IpAddr::V4(VIP.0),
            port: VIP.1,
        },
        scheduler: SchedulerKind::Rr,
        plan: Plan::new(SchedulerKind::Rr, &dests),
        dests,
        laddrs: laddrs.collect(),
        conn_timeout_s: Some(60_000),
    })]);
    snapshot
}

fn net(ports: Ports) -> Net {
    let device = |index: u16, (port, mac)| Device {
        ifindex: IfIndex(index + 1),
        name: format!("dpdk{index}"),
        port,
        mac,
        mtu: 1500,
        kni: false,
        forward_to_kni: false,
    };
    let mut net = Net::new([device(0, ports.lan), device(1, ports.wan)]);
    let mut addrs = vec![LocalAddr {
        addr: IpAddr::V4(VIP.0),
        ifindex: IfIndex(2),
        sapool: false,
    }];
    addrs.extend((0..LADDRS).map(|number| LocalAddr {
        addr: IpAddr::V4(laddr(number)),
        ifindex: IfIndex(1),
        sapool: true,
    }));
    net.set_local_addrs(addrs);
    let routes = [(Ipv4Addr::new(0, 0, 0, 0), 0, 2), (LAN, 24, 1)];
    for (addr, len, ifindex) in routes {
        let prefix = Prefix::new(IpAddr::V4(addr), len).unwrap_or(Prefix::host(IpAddr::V4(addr)));
        let route = Route {
            prefix,
            ifindex: IfIndex(ifindex),
            gateway: None,
            src: None,
            mtu: 1500,
            metric: 0,
            scope: RouteScope::Link,
            auto: false,
        };
        // Each is the first to its prefix.
        let _ = net.routes.insert(route);
    }
    let mut neighbours = NeighbourTable::new(NeighbourConfig::default());
    for number in 0..DESTS {
        neighbours.add_static(IfIndex(1), IpAddr::V4(dest(number)), SERVER_MAC);
    }
    neighbours.publish(&mut net);
    net
}
