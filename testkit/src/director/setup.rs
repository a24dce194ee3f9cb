//! How a director is set up: one service, its dests and local addresses, two devices.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use inet::neighbour::NeighbourConfig;
use inet::{Device, IfIndex, NeighbourTable, Net, Prefix, Route, RouteScope};
use ipvs_core::tuple::HashKey;
use ipvs_core::{
    Arrival, Engine, EngineConfig, FwdMode, Keys, Now, Protocol, SchedulerKind, Service,
    ServiceKey, SharedState, Snapshot, WorkerStats,
};

use super::addresses::{
    CLIENT, CLIENT_MAC, CLIENT6, DEST, DEST_MAC, DEST6, LADDR, LADDR6, LAN, LAN_MAC, VIP, VIP6,
    WAN, WAN_MAC,
};
use super::config::{self, TO_CLIENTS, TO_DESTS};
use super::wire::Wire;
use super::worker::Director;

/// How a director is set up. By default: FullNAT for TCP, IPv4, one worker, one dest.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The number of this worker
    pub worker: u16,
    /// How many workers there are
    pub workers: u16,
    /// Which worker makes the conn of a client
    pub arrival: Arrival,
    /// Room for conns, of each family
    pub max_conns: u32,
    /// The protocol of the service
    pub protocol: Protocol,
    /// How the dests are reached
    pub fwdmode: FwdMode,
    /// Address and port of the service
    pub vip: &'static str,
    /// Address and port of each dest
    pub dests: Vec<&'static str>,
    /// The local addresses
    pub laddrs: Vec<&'static str>,
    /// The MTU of the device towards the dests
    pub lan_mtu: u16,
    /// Whether the MAC addresses of clients and dests are known from the start
    pub resolve: bool,
    /// Whether clients are reached by the same device as dests
    pub one_arm: bool,
    /// How many packets may wait for a neighbour
    pub held_per_neighbour: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            worker: 0,
            workers: 1,
            arrival: Arrival::AsItComes,
            max_conns: 1024,
            protocol: Protocol::Tcp,
            fwdmode: FwdMode::FullNat,
            vip: VIP,
            dests: vec![DEST],
            laddrs: vec![LADDR],
            lan_mtu: 1500,
            resolve: true,
            one_arm: false,
            held_per_neighbour: 4,
        }
    }
}

/// Clients and dests with IPv6.
pub fn setup6(protocol: Protocol, fwdmode: FwdMode) -> Setup {
    Setup {
        protocol,
        fwdmode,
        vip: VIP6,
        dests: vec![DEST6],
        laddrs: vec![LADDR6],
        ..Setup::default()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn with_port(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

impl Setup {
    /// The director of one worker. The counters of other workers stay at 0.
    pub fn build(&self) -> Director {
        self.build_with(self.all_stats(), self.all_state())
    }

    /// All workers of a director, which read each other's counters.
    pub fn build_all(&self) -> Vec<Director> {
        let (all_stats, all_state) = (self.all_stats(), self.all_state());
        let setup_of = |worker| Setup {
            worker,
            ..self.clone()
        };
        (0..self.workers)
            .map(|worker| setup_of(worker).build_with(all_stats.clone(), all_state.clone()))
            .collect()
    }

    fn all_stats(&self) -> Vec<Arc<WorkerStats>> {
        (0..self.workers)
            .map(|_| Arc::new(WorkerStats::new(64)))
            .collect()
    }

    fn all_state(&self) -> Vec<Arc<SharedState>> {
        (0..self.workers)
            .map(|_| Arc::new(SharedState::new(64)))
            .collect()
    }

    fn engine_config(&self) -> EngineConfig {
        EngineConfig {
            worker: ipvs_core::WorkerId(self.worker),
            owners: config::owners(self.workers),
            arrival: self.arrival,
            max_conns: self.max_conns,
            max_conns_v6: self.max_conns,
            keys: Keys {
                conns: HashKey([11, 22, 33, 44]),
                sequence: HashKey([55, 66, 77, 88]),
            },
            max_held: 64,
            max_held_per_neighbour: self.held_per_neighbour,
        }
    }

    fn build_with(
        &self,
        all_stats: Vec<Arc<WorkerStats>>,
        all_state: Vec<Arc<SharedState>>,
    ) -> Director {
        let now = Now::from_secs(1000);
        let mut director = Director {
            engine: Engine::new(self.engine_config(), all_stats, all_state, now),
            wire: Wire::default(),
            now,
            neighbours: NeighbourTable::new(NeighbourConfig::default()),
            snapshot: Snapshot {
                net: self.net(),
                ..Snapshot::default()
            },
        };
        let owners = config::owners(self.workers);
        for (id, laddr) in (0..).zip(&self.laddrs) {
            director.command(config::add_laddr(id, ip(laddr), self.worker, &owners));
        }
        let service = Arc::new(self.service());
        director.snapshot.services.insert_all([service]);
        if self.resolve {
            self.add_neighbours(&mut director.neighbours);
        }
        director.publish();
        director
    }

    fn add_neighbours(&self, neighbours: &mut NeighbourTable) {
        for client in [CLIENT, CLIENT6] {
            neighbours.add_static(self.client_side(), with_port(client).ip(), CLIENT_MAC);
        }
        for dest in &self.dests {
            neighbours.add_static(TO_DESTS, with_port(dest).ip(), DEST_MAC);
        }
    }

    /// The interface towards the clients.
    const fn client_side(&self) -> IfIndex {
        if self.one_arm { TO_DESTS } else { TO_CLIENTS }
    }

    fn net(&self) -> Net {
        let with_kni = |device, mtu| Device {
            mtu,
            kni: true,
            ..device
        };
        let mut net = Net::new([
            with_kni(config::device(0, LAN, LAN_MAC), self.lan_mtu),
            with_kni(config::device(1, WAN, WAN_MAC), 1500),
        ]);
        let mut addrs = vec![config::vip(with_port(self.vip).ip(), self.client_side())];
        addrs.extend(
            self.laddrs
                .iter()
                .map(|laddr| config::local_addr(ip(laddr))),
        );
        let links = [
            ("10.0.0.0", 16, self.client_side()),
            ("192.168.100.0", 24, TO_DESTS),
            ("2001:db8:1::", 64, self.client_side()),
            ("2001:db8:100::", 64, TO_DESTS),
        ];
        for (addr, len, ifindex) in links {
            let prefix = Prefix::new(ip(addr), len).expect("a prefix");
            let route = config::route(prefix, ifindex, None);
            net.routes.insert(route).expect("a route of its own");
        }
        for addr in &addrs {
            let route = Route {
                scope: RouteScope::Host,
                ..config::route(Prefix::host(addr.addr), addr.ifindex, None)
            };
            net.routes.insert(route).expect("a route of its own");
        }
        net.set_local_addrs(addrs);
        net
    }

    fn service(&self) -> Service {
        let vip = with_port(self.vip);
        let key = ServiceKey::vip(self.protocol, vip.ip(), vip.port());
        let dests = (0..).zip(&self.dests);
        let dests = dests.map(|(id, dest)| config::dest(id, with_port(dest), self.fwdmode));
        let laddrs = (0..).zip(&self.laddrs);
        let laddrs = laddrs.map(|(id, laddr)| config::laddr(id, ip(laddr)));
        config::service(0, key, SchedulerKind::Rr, dests.collect(), laddrs)
    }
}
