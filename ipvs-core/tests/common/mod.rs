//! A director between a client and real servers, without NICs and on a clock that tests turn.

#![allow(
    clippy::wrong_self_convention,
    reason = "a director is asked what goes to a client or to a server, which converts nothing"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use inet::neighbour::NeighbourConfig;
use inet::{Device, IfIndex, LocalAddr, NeighbourTable, Net, Prefix, Route, RouteScope};
use ipvs_core::tuple::HashKey;
use ipvs_core::{
    Access, Command, ConnInfo, ConnPage, Dest, DestId, DropReason, Engine, EngineConfig, Event,
    FwdMode, Io, Keys, Laddr, LaddrId, Now, Origin, Plan, Protocol, SchedulerKind, Service,
    ServiceId, ServiceKey, ServiceOptions, Snapshot, WorkerStats,
};
use packet::{MacAddr, PacketBuf, PortId};
use sapool::{PoolShare, PortPool};
use testkit::VecBuf;
use testkit::frames::{Macs, Seen};

pub const LAN: PortId = PortId(0);
pub const WAN: PortId = PortId(1);
pub const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0]);
pub const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
pub const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);
/// From the client to the director
pub const FROM_CLIENT: Macs = (CLIENT_MAC, WAN_MAC);
/// From a real server to the director
pub const FROM_SERVER: Macs = (SERVER_MAC, LAN_MAC);
pub const CLIENT: &str = "10.0.0.48:40000";
pub const VIP: &str = "10.0.0.100:80";
pub const SERVER: &str = "192.168.100.2:80";
pub const LIP: &str = "192.168.100.200";
pub const CLIENT6: &str = "[2001:db8:1::48]:40000";
pub const VIP6: &str = "[2001:db8:1::100]:80";
pub const SERVER6: &str = "[2001:db8:100::2]:80";
pub const LIP6: &str = "2001:db8:100::200";

/// Clients and dests with IPv6.
pub fn setup6(protocol: Protocol, fwdmode: FwdMode) -> Setup {
    Setup {
        protocol,
        fwdmode,
        vip: VIP6,
        dests: vec![SERVER6],
        laddrs: vec![LIP6],
        ..Setup::default()
    }
}

/// What left the director.
#[derive(Debug, Default)]
pub struct Wire {
    pub sent: Vec<(PortId, Vec<u8>)>,
    pub to_kernel: Vec<Vec<u8>>,
    pub redirected: Vec<(u16, VecBuf)>,
    pub events: Vec<Event>,
    pub out_of_mbufs: bool,
}

impl Io<VecBuf> for Wire {
    fn transmit(&mut self, port: PortId, packet: VecBuf) {
        self.sent.push((port, packet.bytes().to_vec()));
    }
    fn to_kernel(&mut self, packet: VecBuf) {
        self.to_kernel.push(packet.bytes().to_vec());
    }
    fn copy_to_kernel(&mut self, packet: &VecBuf) {
        self.to_kernel.push(packet.bytes().to_vec());
    }
    fn redirect(&mut self, worker: u16, packet: VecBuf) {
        self.redirected.push((worker, packet));
    }
    fn allocate(&mut self, port: PortId, len: usize) -> Option<VecBuf> {
        (!self.out_of_mbufs).then(|| VecBuf::new(port, &vec![0; len]))
    }
    fn event(&mut self, event: Event) -> Result<(), Event> {
        self.events.push(event);
        Ok(())
    }
}

/// One worker of a director, with control's part played by the test.
#[derive(Debug)]
pub struct Director {
    pub engine: Engine<VecBuf>,
    pub wire: Wire,
    pub now: Now,
    pub neighbours: NeighbourTable,
    pub snapshot: Snapshot,
}

/// How a director is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    pub worker: u16,
    pub workers: u16,
    pub max_conns: u32,
    pub protocol: Protocol,
    pub fwdmode: FwdMode,
    pub vip: &'static str,
    pub dests: Vec<&'static str>,
    pub laddrs: Vec<&'static str>,
    pub lan_mtu: u16,
    pub resolve: bool,
    pub one_arm: bool,
    pub held_per_neighbour: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            worker: 0,
            workers: 1,
            max_conns: 1024,
            protocol: Protocol::Tcp,
            fwdmode: FwdMode::FullNat,
            vip: VIP,
            dests: vec![SERVER],
            laddrs: vec![LIP],
            lan_mtu: 1500,
            resolve: true,
            one_arm: false,
            held_per_neighbour: 4,
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `10.0.0.1:80` or `[2001:db8::1]:80`
fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Setup {
    pub fn build(&self) -> Director {
        self.build_with(self.all_stats())
    }

    /// All workers of a director, which read each other's counters.
    pub fn build_all(&self) -> Vec<Director> {
        let all_stats = self.all_stats();
        let setup_of = |worker| Setup {
            worker,
            ..self.clone()
        };
        (0..self.workers)
            .map(|worker| setup_of(worker).build_with(all_stats.clone()))
            .collect()
    }

    fn all_stats(&self) -> Vec<Arc<WorkerStats>> {
        (0..self.workers)
            .map(|_| Arc::new(WorkerStats::new(64, 64)))
            .collect()
    }

    fn build_with(&self, all_stats: Vec<Arc<WorkerStats>>) -> Director {
        let keys = Keys {
            conns: HashKey([11, 22, 33, 44]),
            sequence: HashKey([55, 66, 77, 88]),
        };
        let config = EngineConfig {
            worker: self.worker,
            workers: self.workers,
            max_conns: self.max_conns,
            max_conns_v6: self.max_conns,
            keys,
            max_held: 64,
            max_held_per_neighbour: self.held_per_neighbour,
        };
        let now = Now::from_secs(1000);
        let mut director = Director {
            engine: Engine::new(config, all_stats, now),
            wire: Wire::default(),
            now,
            neighbours: NeighbourTable::new(NeighbourConfig::default()),
            snapshot: Snapshot {
                net: self.net(),
                ..Snapshot::default()
            },
        };
        for (id, laddr) in (0..).zip(&self.laddrs) {
            let pool = Box::new(PortPool::new(
                PoolShare::new(self.worker, self.workers).unwrap(),
            ));
            director.command(Command::AddLaddr {
                id: LaddrId(id),
                addr: ip(laddr),
                pool,
            });
        }
        director
            .snapshot
            .services
            .insert_all([Arc::new(self.service())]);
        if self.resolve {
            for client in [CLIENT, CLIENT6] {
                let addr = end(client).ip();
                let side = self.client_side();
                director.neighbours.add_static(side, addr, CLIENT_MAC);
            }
            for dest in &self.dests {
                let addr = end(dest).ip();
                director.neighbours.add_static(IfIndex(1), addr, SERVER_MAC);
            }
        }
        director.publish();
        director
    }

    /// Where the clients are.
    const fn client_side(&self) -> IfIndex {
        IfIndex(if self.one_arm { 1 } else { 2 })
    }

    fn net(&self) -> Net {
        let device = |index: u16, mac, mtu| Device {
            ifindex: IfIndex(index + 1),
            name: format!("dpdk{index}"),
            port: PortId(index),
            mac,
            mtu,
            kni: true,
            forward_to_kni: false,
        };
        let mut net = Net::new([device(0, LAN_MAC, self.lan_mtu), device(1, WAN_MAC, 1500)]);
        let mut addrs = vec![LocalAddr {
            addr: end(self.vip).ip(),
            ifindex: self.client_side(),
            sapool: false,
        }];
        addrs.extend(self.laddrs.iter().map(|laddr| LocalAddr {
            addr: ip(laddr),
            ifindex: IfIndex(1),
            sapool: true,
        }));
        let route = |prefix: &str, len, ifindex, scope| Route {
            prefix: Prefix::new(ip(prefix), len).unwrap(),
            ifindex: IfIndex(ifindex),
            gateway: None,
            src: None,
            mtu: 1500,
            metric: 0,
            scope,
            auto: false,
        };
        net.routes
            .insert(route(
                "10.0.0.0",
                16,
                self.client_side().0,
                RouteScope::Link,
            ))
            .unwrap();
        net.routes
            .insert(route("192.168.100.0", 24, 1, RouteScope::Link))
            .unwrap();
        let client_side = self.client_side().0;
        for (prefix, ifindex) in [("2001:db8:1::", client_side), ("2001:db8:100::", 1)] {
            let route = route(prefix, 64, ifindex, RouteScope::Link);
            net.routes.insert(route).unwrap();
        }
        for addr in &addrs {
            let len = Prefix::host(addr.addr).prefix_len();
            net.routes
                .insert(route(
                    &addr.addr.to_string(),
                    len,
                    addr.ifindex.0,
                    RouteScope::Host,
                ))
                .unwrap();
        }
        net.set_local_addrs(addrs);
        net
    }

    fn service(&self) -> Service {
        let dests: Vec<Dest> = (0..)
            .zip(&self.dests)
            .map(|(id, dest)| {
                let dest = end(dest);
                Dest {
                    id: DestId(id),
                    addr: dest.ip(),
                    port: dest.port(),
                    weight: 1,
                    fwdmode: self.fwdmode,
                    upper_threshold: 0,
                    lower_threshold: 0,
                }
            })
            .collect();
        let laddr = |(id, addr): (u32, &&str)| Laddr {
            id: LaddrId(id),
            addr: ip(addr),
            ifindex: IfIndex(1),
        };
        Service {
            id: ServiceId(0),
            key: ServiceKey::vip(self.protocol, end(self.vip).ip(), end(self.vip).port()),
            scheduler: SchedulerKind::Rr,
            plan: Plan::new(SchedulerKind::Rr, &dests),
            dests,
            laddrs: (0..).zip(&self.laddrs).map(laddr).collect(),
            options: ServiceOptions::default(),
            access: Access::default(),
        }
    }
}

impl Director {
    /// Changes the service.
    pub fn edit(&mut self, change: impl FnOnce(&mut Service)) {
        let mut service = (**self.snapshot.services.iter().next().unwrap()).clone();
        self.snapshot.services.remove(&service.key);
        change(&mut service);
        service.plan = Plan::new(service.scheduler, &service.dests);
        self.snapshot.services.insert_all([Arc::new(service)]);
        self.publish();
    }

    /// Publishes the snapshot with what the neighbour table knows.
    pub fn publish(&mut self) {
        self.neighbours.publish(&mut self.snapshot.net);
        self.command(Command::Publish(Arc::new(self.snapshot.clone())));
    }

    pub fn command(&mut self, command: Command) {
        self.engine
            .apply(self.now, command, &mut self.wire)
            .unwrap();
    }

    /// A frame comes in; what goes out because of it.
    pub fn receive(&mut self, port: PortId, frame: &[u8]) -> Vec<(PortId, Vec<u8>)> {
        self.receive_from(Origin::Nic, VecBuf::new(port, frame))
    }

    pub fn receive_from(&mut self, origin: Origin, packet: VecBuf) -> Vec<(PortId, Vec<u8>)> {
        self.engine
            .process(self.now, origin, std::iter::once(packet), &mut self.wire);
        self.check_that_every_packet_has_its_end();
        std::mem::take(&mut self.wire.sent)
    }

    /// The client sends; the one frame that goes to the real servers.
    pub fn to_server(&mut self, frame: &[u8]) -> Seen {
        one(self.receive(WAN, frame), LAN)
    }

    /// A real server sends; the one frame that goes to the client.
    pub fn to_client(&mut self, frame: &[u8]) -> Seen {
        one(self.receive(LAN, frame), WAN)
    }

    /// A frame comes in and is dropped for this reason, which alone is counted.
    pub fn refuses(&mut self, port: PortId, frame: &[u8], reason: DropReason) {
        let before = self.drops();
        assert_eq!(self.receive(port, frame), [], "{reason:?}");
        let mut expected = before;
        expected[reason as usize] += 1;
        assert_eq!(self.drops(), expected, "{reason:?}");
    }

    pub fn drops(&self) -> Vec<u64> {
        DropReason::ALL
            .iter()
            .map(|reason| self.engine.stats().drops_by(*reason).get())
            .collect()
    }

    /// Time passes; what goes out because of it.
    pub fn wait_s(&mut self, secs: u64) -> Vec<(PortId, Vec<u8>)> {
        for _ in 0..secs * 10 {
            self.now.ns += 100_000_000;
            for _ in 0..4 {
                self.engine.housekeep(self.now, &mut self.wire);
            }
        }
        self.check_that_every_packet_has_its_end();
        std::mem::take(&mut self.wire.sent)
    }

    /// packets in = transmitted + to kernel + redirected + held + consumed + dropped by reason
    pub fn check_that_every_packet_has_its_end(&self) {
        let stats = self.engine.stats();
        let ends = stats.transmitted.get()
            + stats.to_kernel.get()
            + stats.redirected.get()
            + stats.held.get()
            + stats.consumed.get()
            + stats.drops_total();
        assert_eq!(stats.received.get(), ends);
    }

    /// All conns, IPv4's first.
    pub fn conns(&mut self) -> Vec<ConnInfo> {
        let mut all = Vec::new();
        let mut page = Box::new(ConnPage {
            conns: Vec::with_capacity(1000),
            ..Default::default()
        });
        while !page.done {
            self.wire.events.clear();
            self.command(Command::ListConns(page));
            let Some(Event::Conns(filled)) = self.wire.events.pop() else {
                panic!("no answer")
            };
            all.extend(&filled.conns);
            page = filled;
        }
        all
    }

    /// The states of all conns.
    pub fn states(&mut self) -> Vec<&'static str> {
        self.conns().iter().map(|conn| conn.state).collect()
    }

    /// A handshake; the numbers that the server and the client see.
    pub fn open(&mut self) -> Opened {
        self.open_between(CLIENT, VIP, SERVER)
    }

    pub fn open_between(&mut self, client: &str, vip: &str, server: &str) -> Opened {
        let syn = self.to_server(
            &testkit::frames::tcp(client, vip)
                .flags("S")
                .seq(1000)
                .options(&SYN_OPTIONS)
                .frame(FROM_CLIENT),
        );
        let laddr = syn.src.clone();
        let syn_ack = testkit::frames::tcp(server, &laddr)
            .flags("SA")
            .seq(5000)
            .ack(syn.seq + 1)
            .options(&[2, 4, 5, 0xb4]);
        let syn_ack = self.to_client(&syn_ack.frame(FROM_SERVER));
        let ack = self.to_server(
            &testkit::frames::tcp(client, vip)
                .flags("A")
                .seq(1001)
                .ack(5001)
                .frame(FROM_CLIENT),
        );
        Opened {
            laddr,
            server_isn: syn.seq,
            syn,
            syn_ack,
            ack,
        }
    }

    /// So many frames of noise, a batch each 0.1 ms. Each packet must have its end.
    pub fn withstand(&mut self, samples: &[Vec<u8>], frames: usize) {
        const BATCH: usize = 50;
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for _ in 0..frames / BATCH {
            let batch: Vec<VecBuf> = (0..BATCH).map(|_| random.frame(samples)).collect();
            self.engine
                .process(self.now, Origin::Nic, batch.into_iter(), &mut self.wire);
            self.engine.housekeep(self.now, &mut self.wire);
            self.now.ns += 100_000;
            self.wire = Wire::default();
        }
        self.check_that_every_packet_has_its_end();
    }
}

/// A Linux client's SYN: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
pub const SYN_OPTIONS: [u8; 20] = [
    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// What came out of a handshake.
#[derive(Debug)]
pub struct Opened {
    /// Local address and port
    pub laddr: String,
    /// The sequence number of the SYN that the server saw; the client's own was 1000
    pub server_isn: u32,
    pub syn: Seen,
    pub syn_ack: Seen,
    pub ack: Seen,
}

/// The one frame that left, which it must have by this port.
pub fn one(sent: Vec<(PortId, Vec<u8>)>, port: PortId) -> Seen {
    let (to, frame) = only(sent);
    assert_eq!(to, port);
    Seen::parse(&frame)
}

/// The one frame that left, and by which port.
pub fn only(sent: Vec<(PortId, Vec<u8>)>) -> (PortId, Vec<u8>) {
    let [one] = &sent[..] else {
        panic!("{} frames instead of one", sent.len())
    };
    one.clone()
}

/// xorshift: the same frames in every run.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    /// Noise, or one of the samples with a few bytes changed; often cut.
    pub fn frame(&mut self, samples: &[Vec<u8>]) -> VecBuf {
        let mut bytes = samples[self.next(samples.len())].clone();
        if self.next(2) == 0 {
            let noise_from = [0, 12, 14, 34][self.next(4)];
            for byte in &mut bytes[noise_from..] {
                *byte = self.next(256) as u8;
            }
        } else {
            for _ in 0..self.next(4) {
                let at = self.next(bytes.len());
                bytes[at] = self.next(256) as u8;
            }
        }
        let len = if self.next(4) == 0 {
            self.next(bytes.len() + 1)
        } else {
            bytes.len()
        };
        let mut packet = VecBuf::new(PortId(self.next(2) as u16), &bytes[..len]);
        // As from a NIC that has verified checksums: the rest of the code is reached more often
        if self.next(2) == 0 {
            packet.ip_checksum = packet::ChecksumState::Good;
            packet.l4_checksum = packet::ChecksumState::Good;
        }
        packet
    }
}

/// Makes the checksum of an IPv4 header right again after a change.
pub fn repair_ip(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let header_len = usize::from(frame[14] & 0xf) * 4;
    let end = (14 + header_len).min(frame.len());
    let sum = packet::checksum::checksum(&frame[14..end]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}
