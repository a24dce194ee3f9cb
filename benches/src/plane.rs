//! A control plane like that of the daemon, on a unix socket in a folder of its own, and requests
//! to it.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::{
    ConnTableSize, Control, ControlConfig, LinkHealth, LinkInfo, LiveConfig, Platform,
    PlatformError, PoolInfo, WorkerHandle,
};
use inet::Device;
use ipvs_core::{Command, Event, WorkerStats};
use packet::{MacAddr, PortId};
use proto::v1;
use proto::v1::address_service_client::AddressServiceClient;
use proto::v1::change::Change;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use proto::v1::neighbour_service_client::NeighbourServiceClient;
use proto::v1::route_service_client::RouteServiceClient;
use tokio::net::UnixListener;
use tonic::transport::Channel;

use crate::director::{GATEWAY, LADDRS, LAN, NEIGHBOUR_MAC, dest, laddr};
use crate::frames::VIP;

/// How many commands and events may wait, as in the daemon.
const RING: usize = 4096;

/// A worker's ends of the rings between it and control.
#[derive(Debug)]
pub struct WorkerEnds {
    /// Commands from control
    pub commands: rtrb::Consumer<Command>,
    /// The ring to control, if there is one
    pub events: rtrb::Producer<Event>,
    /// The counters of the worker
    pub stats: Arc<WorkerStats>,
}

/// The rings between control and the worker with this number.
pub fn worker_rings(number: u32, max_dests: u32) -> (WorkerHandle, WorkerEnds) {
    let (orders, commands) = rtrb::RingBuffer::new(RING);
    let (events, answers) = rtrb::RingBuffer::new(RING);
    let stats = Arc::new(WorkerStats::new(max_dests as usize));
    let handle = WorkerHandle {
        lcore: number + 1,
        socket: 0,
        queues: Vec::new(),
        commands: orders,
        events: answers,
        stats: Arc::clone(&stats),
        loop_stats: Arc::default(),
        conn_table: ConnTableSize::default(),
    };
    let ends = WorkerEnds {
        commands,
        events,
        stats,
    };
    (handle, ends)
}

/// Ports that accept everything. They are not measured.
#[derive(Debug)]
struct Ports;

impl Platform for Ports {
    fn link(&self, _: PortId) -> LinkInfo {
        LinkInfo::default()
    }
    fn health(&self, _: PortId) -> LinkHealth {
        LinkHealth::default()
    }
    fn watch_steering(&self, _: PortId) -> Option<String> {
        None
    }

    fn pools(&self) -> Vec<PoolInfo> {
        Vec::new()
    }
    fn set_promiscuous(&self, _: PortId, _: bool) -> Result<(), PlatformError> {
        Ok(())
    }
    fn set_all_multicast(&self, _: PortId, _: bool) -> Result<(), PlatformError> {
        Ok(())
    }
    fn set_link_up(&self, _: PortId, _: bool) -> Result<(), PlatformError> {
        Ok(())
    }
    fn set_mac(&self, _: PortId, _: MacAddr) -> Result<(), PlatformError> {
        Ok(())
    }
}

/// Control and its socket. It ends with the runtime that it was started in.
#[derive(Debug)]
pub struct Plane {
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Plane {
    /// Starts control for these workers. It must be called within a runtime.
    ///
    /// # Errors
    /// If there is no place for the socket.
    pub fn start(
        devices: Vec<Device>,
        workers: Vec<WorkerHandle>,
        max_dests: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("dpvsd.sock");
        let workers_len = u16::try_from(workers.len())?;
        let control = Control::new(ControlConfig {
            devices,
            owners: testkit::director::config::owners(workers_len),
            workers,
            platform: Arc::new(Ports),
            live: LiveConfig::default(),
            max_dests,
        });
        let listener = UnixListener::bind(&socket)?;
        tokio::spawn(Arc::clone(&control).run(std::future::pending()));
        tokio::spawn(control::serve(control, listener, std::future::pending()));
        Ok(Self {
            socket,
            _folder: folder,
        })
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Connects to a control plane, this one or that of the daemon.
///
/// # Errors
/// If nobody listens.
pub async fn connect(socket: &Path) -> Result<Channel, Box<dyn Error>> {
    let socket = socket.to_str().ok_or("the socket's path is not UTF-8")?;
    cli::connect(socket)
        .await
        .map_err(|error| error.text.into())
}

/// An address as requests have it.
pub fn ip(addr: Ipv4Addr) -> Option<v1::IpAddress> {
    Some(cli::ip_message(IpAddr::V4(addr)))
}

/// The key of a service.
pub fn key(protocol: v1::Protocol, addr: Ipv4Addr, port: u16) -> v1::ServiceKey {
    v1::ServiceKey {
        protocol: protocol.into(),
        address: ip(addr),
        port: port.into(),
        r#match: None,
    }
}

/// A FullNAT dest of a service.
pub fn dest_request(
    service: &v1::ServiceKey,
    addr: Ipv4Addr,
    port: u16,
    weight: u32,
) -> v1::DestRequest {
    v1::DestRequest {
        service: Some(service.clone()),
        dest: Some(v1::Dest {
            address: ip(addr),
            port: port.into(),
            fwd_mode: v1::FwdMode::FullNat.into(),
            weight: Some(weight),
            ..v1::Dest::default()
        }),
    }
}

/// A local address of a service.
pub fn laddr_request(service: &v1::ServiceKey, addr: Ipv4Addr) -> v1::LaddrRequest {
    v1::LaddrRequest {
        service: Some(service.clone()),
        laddr: Some(v1::Laddr {
            address: ip(addr),
            device: "dpdk0".into(),
            ..v1::Laddr::default()
        }),
    }
}

/// A host address of a device.
pub fn address(addr: Ipv4Addr, device: &str) -> v1::Address {
    v1::Address {
        address: ip(addr),
        prefix_len: 32,
        device: device.into(),
        ..v1::Address::default()
    }
}

/// Configures a fresh control plane like [`crate::director::snapshot`]: addresses, routes,
/// neighbours, and a UDP service on the VIP.
///
/// # Errors
/// What control refuses.
pub async fn set_up(
    channel: &Channel,
    dests: u32,
    conn_timeout_s: u32,
) -> Result<(), Box<dyn Error>> {
    let mut addresses = AddressServiceClient::new(channel.clone());
    addresses.add_address(address(VIP.0, "dpdk1")).await?;
    let mut routes = RouteServiceClient::new(channel.clone());
    let to_lan = v1::Route {
        address: ip(LAN.0),
        prefix_len: Some(LAN.1.into()),
        device: "dpdk0".into(),
        ..v1::Route::default()
    };
    routes.add_route(to_lan).await?;
    let to_clients = v1::Route {
        address: ip(Ipv4Addr::new(10, 0, 0, 0)),
        prefix_len: Some(16),
        device: "dpdk1".into(),
        ..v1::Route::default()
    };
    routes.add_route(to_clients).await?;
    let to_all = v1::Route {
        address: ip(Ipv4Addr::UNSPECIFIED),
        gateway: ip(GATEWAY),
        device: "dpdk1".into(),
        ..v1::Route::default()
    };
    routes.add_route(to_all).await?;
    let mut neighbours = NeighbourServiceClient::new(channel.clone());
    let of_lan = (0..dests).map(|number| ("dpdk0", dest(number)));
    for (device, addr) in of_lan.chain([("dpdk1", GATEWAY)]) {
        let neighbour = v1::Neighbour {
            address: ip(addr),
            mac: NEIGHBOUR_MAC.0.to_vec(),
            device: device.into(),
            ..v1::Neighbour::default()
        };
        neighbours.add_neighbour(neighbour).await?;
    }
    add_vip_service(channel, dests, conn_timeout_s).await
}

async fn add_vip_service(
    channel: &Channel,
    dests: u32,
    conn_timeout_s: u32,
) -> Result<(), Box<dyn Error>> {
    let key = key(v1::Protocol::Udp, VIP.0, VIP.1);
    let service = v1::VirtualService {
        key: Some(key.clone()),
        scheduler: "rr".into(),
        conn_timeout_s,
        ..v1::VirtualService::default()
    };
    let dests = (0..dests).map(|number| Change::AddDest(dest_request(&key, dest(number), 80, 1)));
    let laddrs = (0..LADDRS).map(|number| Change::AddLaddr(laddr_request(&key, laddr(number))));
    let changes: Vec<_> = std::iter::once(Change::AddService(service))
        .chain(dests)
        .chain(laddrs)
        .map(change)
        .collect();
    let mut ipvs = IpvsServiceClient::new(channel.clone());
    ipvs.apply(tokio_stream::iter(changes)).await?;
    Ok(())
}

const fn change(change: Change) -> v1::Change {
    v1::Change {
        change: Some(change),
    }
}

/// The VIP of the service with this number.
pub fn nth_vip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 0)) + number)
}

/// The dest with this number, counted over all services.
pub fn nth_dest(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + number)
}

/// The changes that add many TCP services, each with its own VIP, its own dests and one local
/// address.
pub fn many_services(services: u32, dests: u32) -> impl Iterator<Item = v1::Change> {
    (0..services).flat_map(move |number| {
        let key = key(v1::Protocol::Tcp, nth_vip(number), 80);
        let service = v1::VirtualService {
            key: Some(key.clone()),
            scheduler: "wrr".into(),
            ..v1::VirtualService::default()
        };
        let laddr = Change::AddLaddr(laddr_request(&key, laddr(0)));
        let dests = (0..dests).map(move |at| {
            Change::AddDest(dest_request(&key, nth_dest(number * dests + at), 80, 1))
        });
        std::iter::once(Change::AddService(service))
            .chain(dests)
            .chain([laddr])
            .map(change)
    })
}
