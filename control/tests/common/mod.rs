//! A control plane as the daemon runs it, served on a unix socket, with workers that are threads of
//! the test: they take commands, keep what they are told, and complain if an order makes no sense.

mod messages;
mod platform;
mod worker;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use control::{ConnTableSize, Control, ControlConfig, LiveConfig, WorkerHandle};
use hyper_util::rt::TokioIo;
use inet::{Device, IfIndex};
use ipvs_core::{LaddrUseId, ServiceKey, WorkerStats};
use packet::{MacAddr, PortId};
use parking_lot::Mutex;
use proto::v1;
use proto::v1::address_service_client::AddressServiceClient;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use proto::v1::link_service_client::LinkServiceClient;
use proto::v1::neighbour_service_client::NeighbourServiceClient;
use proto::v1::route_service_client::RouteServiceClient;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint, Uri};

pub(crate) use messages::*;
pub(crate) use platform::FakePlatform;
pub(crate) use worker::{Seen, WorkerState};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a director of a test is made with.
pub(crate) struct Setup {
    pub workers: usize,
    pub ring: usize,
    pub max_dests: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 2,
            ring: 256,
            max_dests: 1000,
        }
    }
}

/// Control, its socket and its workers.
pub(crate) struct Director {
    pub workers: Vec<Arc<Mutex<WorkerState>>>,
    pub stats: Vec<Arc<WorkerStats>>,
    pub platform: Arc<FakePlatform>,
    pub socket: PathBuf,
    pub control: Arc<Control>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

pub(crate) async fn director() -> Director {
    Director::start(&Setup::default())
}

impl Director {
    /// Must be called within a runtime.
    pub(crate) fn start(setup: &Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("dpvsd.sock");
        let stop = Arc::new(AtomicBool::new(false));
        let platform = Arc::new(FakePlatform::default());
        let (mut handles, mut workers, mut stats, mut threads) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in 0..setup.workers {
            let (commands, orders) = rtrb::RingBuffer::new(setup.ring);
            let (answers, events) = rtrb::RingBuffer::new(setup.ring);
            let counted = Arc::new(WorkerStats::new(setup.max_dests as usize));
            let state = Arc::new(Mutex::new(WorkerState::default()));
            threads.push(worker::spawn(
                orders,
                answers,
                Arc::clone(&state),
                Arc::clone(&stop),
            ));
            handles.push(WorkerHandle {
                lcore: number as u32 + 1,
                socket: 0,
                queues: vec![format!("dpdk0:rx{number},tx{number}")],
                commands,
                events,
                stats: Arc::clone(&counted),
                loop_stats: Arc::default(),
                conn_table: ConnTableSize {
                    max_conns: 1000,
                    bytes: 94_000,
                },
            });
            workers.push(state);
            stats.push(counted);
        }
        let control = Control::new(ControlConfig {
            devices: vec![device(0, true), device(1, false)],
            owners: testkit::director::config::owners(setup.workers as u16),
            workers: handles,
            platform: platform.clone(),
            live: LiveConfig::default(),
            max_dests: setup.max_dests,
        });
        tokio::spawn(Arc::clone(&control).run(std::future::pending()));
        let listener = UnixListener::bind(&socket).unwrap();
        let serving = Arc::clone(&control);
        tokio::spawn(control::serve(serving, listener, std::future::pending()));
        Self {
            workers,
            stats,
            platform,
            control,
            socket,
            stop,
            threads,
            _dir: dir,
        }
    }

    pub(crate) async fn connect(&self) -> Channel {
        connect(self.socket.clone()).await
    }

    pub(crate) async fn ipvs(&self) -> IpvsServiceClient<Channel> {
        IpvsServiceClient::new(self.connect().await)
    }

    pub(crate) async fn addresses(&self) -> AddressServiceClient<Channel> {
        AddressServiceClient::new(self.connect().await)
    }

    pub(crate) async fn routes(&self) -> RouteServiceClient<Channel> {
        RouteServiceClient::new(self.connect().await)
    }

    pub(crate) async fn neighbours(&self) -> NeighbourServiceClient<Channel> {
        NeighbourServiceClient::new(self.connect().await)
    }

    pub(crate) async fn links(&self) -> LinkServiceClient<Channel> {
        LinkServiceClient::new(self.connect().await)
    }

    pub(crate) async fn services(&self) -> Vec<v1::VirtualService> {
        let mut client = self.ipvs().await;
        let all = v1::ListServicesRequest::default();
        let stream = client.list_services(all).await.unwrap().into_inner();
        stream.map(Result::unwrap).collect().await
    }

    /// All that can be asked for, to see that nothing of it changed.
    pub(crate) async fn everything(&self) -> String {
        let addresses = self
            .addresses()
            .await
            .list_addresses(v1::ListAddressesRequest::default())
            .await
            .unwrap();
        let routes = self
            .routes()
            .await
            .list_routes(v1::ListRoutesRequest::default())
            .await
            .unwrap();
        let neighbours = self
            .neighbours()
            .await
            .list_neighbours(v1::ListNeighboursRequest::default())
            .await
            .unwrap();
        let links = self
            .links()
            .await
            .list_links(v1::ListLinksRequest::default())
            .await
            .unwrap();
        let timeouts = self.ipvs().await.get_timeouts(v1::Empty {}).await.unwrap();
        format!(
            "{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}",
            self.services().await,
            addresses.into_inner(),
            routes.into_inner(),
            neighbours.into_inner(),
            links.into_inner(),
            timeouts.into_inner()
        )
    }

    /// Waits until every worker's state is as it should be.
    pub(crate) async fn until_workers(&self, what: &str, is: impl Fn(&WorkerState) -> bool) {
        until(what, || {
            self.workers.iter().all(|worker| is(&worker.lock()))
        })
        .await;
    }

    /// Waits for the first worker, which sends the frames.
    pub(crate) async fn until_worker(&self, what: &str, is: impl Fn(&WorkerState) -> bool) {
        until(what, || is(&self.workers[0].lock())).await;
    }

    /// A conn of the second worker uses a port of a local address, once the worker has it.
    pub(crate) async fn take_port(&self, laddr: &str) -> (ipvs_core::LaddrId, u16) {
        let addr = laddr.parse().unwrap();
        let taken = std::cell::Cell::new(None);
        until("a port", || {
            taken.set(self.workers[1].lock().take_port(addr));
            taken.get().is_some()
        })
        .await;
        taken.get().unwrap()
    }

    /// Where the second worker counts the conns of a service that use a local address, once it has
    /// the address.
    pub(crate) async fn laddr_use(&self, key: &ServiceKey, laddr: &str) -> LaddrUseId {
        let addr: IpAddr = laddr.parse().unwrap();
        let found = std::cell::Cell::new(None);
        until("the local address", || {
            let worker = self.workers[1].lock();
            let laddrs = worker.service(key).map(|service| service.laddrs.clone());
            let laddr = laddrs.iter().flatten().find(|laddr| laddr.addr == addr);
            found.set(laddr.map(|laddr| laddr.use_id));
            found.get().is_some()
        })
        .await;
        found.get().unwrap()
    }

    pub(crate) fn give_port_back(&self, port: (ipvs_core::LaddrId, u16)) {
        self.workers[1].lock().give_port_back(port);
    }

    pub(crate) fn stall(&self, stalled: bool) {
        for worker in &self.workers {
            worker.lock().stalled = stalled;
        }
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        if !std::thread::panicking() {
            for worker in &self.workers {
                assert_eq!(worker.lock().complaints, Vec::<String>::new());
            }
        }
    }
}

/// The tutorial's two-arm FullNAT, in its own order: dests before the local address.
pub(crate) async fn two_arm(director: &Director) {
    let mut addresses = director.addresses().await;
    let mut routes = director.routes().await;
    let mut ipvs = director.ipvs().await;
    addresses
        .add_address(address(VIP, 32, "dpdk1"))
        .await
        .unwrap();
    routes
        .add_route(route("10.0.0.0", 16, "dpdk1"))
        .await
        .unwrap();
    routes
        .add_route(route("192.168.100.0", 24, "dpdk0"))
        .await
        .unwrap();
    ipvs.add_service(service(VIP, 80, "rr")).await.unwrap();
    for real in ["192.168.100.2", "192.168.100.4"] {
        ipvs.add_dest(dest(VIP, 80, real, 80)).await.unwrap();
    }
    ipvs.add_laddr(laddr(VIP, 80, LIP, "dpdk0")).await.unwrap();
}

pub(crate) async fn connect(socket: PathBuf) -> Channel {
    let connect = move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    Endpoint::from_static("http://dpvsd")
        .connect_with_connector(tower::service_fn(connect))
        .await
        .unwrap()
}

pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn device(index: u16, kni: bool) -> Device {
    Device {
        ifindex: IfIndex(index + 1),
        name: format!("dpdk{index}"),
        port: PortId(index),
        mac: MacAddr([2, 0, 0, 0, 0, index as u8]),
        mtu: 1500,
        kni,
        forward_to_kni: false,
    }
}
