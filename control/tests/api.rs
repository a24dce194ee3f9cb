//! The API over a real socket, with a worker that does what it is told and forwards nothing.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use control::{Control, ControlConfig, LinkInfo, LoopStats, Platform, PlatformError, WorkerHandle};
use hyper_util::rt::TokioIo;
use inet::neighbour::NeighbourConfig;
use inet::{Device, IfIndex};
use ipvs_core::{Command, Event, Timeouts, WorkerStats};
use packet::{MacAddr, PortId};
use proto::v1::change::Change as Kind;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use proto::v1::{
    Change, Dest, DestRequest, Empty, FwdMode, IpAddress, Laddr, LaddrRequest, ListServicesRequest,
    Protocol, ServiceKey, VirtualService,
};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint, Uri};

struct NoPorts;

impl Platform for NoPorts {
    fn link(&self, _: PortId) -> LinkInfo {
        LinkInfo::default()
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

/// What the worker forwards by.
#[derive(Default)]
struct Seen {
    services: AtomicUsize,
    dests: AtomicUsize,
}

/// A worker's side of the rings, on a thread of its own.
struct FakeWorker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeWorker {
    fn start(
        mut commands: rtrb::Consumer<Command>,
        mut events: rtrb::Producer<Event>,
        seen: Arc<Seen>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut pools = HashMap::new();
            let mut unsent: Option<Event> = None;
            while !until.load(Relaxed) {
                if let Some(event) = unsent.take()
                    && let Err(rtrb::PushError::Full(event)) = events.push(event)
                {
                    unsent = Some(event);
                    continue;
                }
                let Ok(command) = commands.pop() else {
                    std::thread::yield_now();
                    continue;
                };
                unsent = match command {
                    Command::Publish(snapshot) => {
                        let dests = snapshot.services.iter().map(|service| service.dests.len());
                        seen.dests.store(dests.sum(), Relaxed);
                        seen.services
                            .store(snapshot.services.iter().count(), Relaxed);
                        Some(Event::Retired(snapshot))
                    }
                    Command::AddLaddr { id, pool, .. } => {
                        pools.insert(id, pool);
                        None
                    }
                    Command::RemoveLaddr(id) => {
                        pools.remove(&id).map(|pool| Event::LaddrGone(id, pool))
                    }
                    Command::CloseDest(id) => Some(Event::DestGone(id)),
                    Command::ListConns(mut page) => {
                        page.done = true;
                        Some(Event::Conns(page))
                    }
                    Command::Transmit { .. } => None,
                };
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Bed {
    seen: Arc<Seen>,
    socket: std::path::PathBuf,
    _folder: tempfile::TempDir,
    _worker: FakeWorker,
}

async fn bed() -> Bed {
    let (commands, command_end) = rtrb::RingBuffer::new(64);
    let (event_end, events) = rtrb::RingBuffer::new(64);
    let seen = Arc::new(Seen::default());
    let worker = FakeWorker::start(command_end, event_end, Arc::clone(&seen));
    let handle = WorkerHandle {
        lcore: 1,
        socket: 0,
        queues: Vec::new(),
        commands,
        events,
        stats: Arc::new(WorkerStats::new(1 << 20)),
        loop_stats: Arc::new(LoopStats::default()),
    };
    let device = Device {
        ifindex: IfIndex(1),
        name: "dpdk0".into(),
        port: PortId(0),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        kni: false,
        forward_to_kni: false,
    };
    let control = Control::new(ControlConfig {
        devices: vec![device],
        workers: vec![handle],
        platform: Arc::new(NoPorts),
        timeouts: Timeouts::default(),
        neighbours: NeighbourConfig::default(),
        max_dests: 1 << 20,
    });
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(Arc::clone(&control).run(std::future::pending()));
    tokio::spawn(control::serve(control, listener, std::future::pending()));
    Bed {
        seen,
        socket,
        _folder: folder,
        _worker: worker,
    }
}

impl Bed {
    async fn client(&self) -> IpvsServiceClient<Channel> {
        let path = self.socket.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://dpvsd");
        IpvsServiceClient::new(endpoint.connect_with_connector(connector).await.unwrap())
    }

    /// Waits until the worker forwards by so many services and dests.
    async fn published(&self, services: usize, dests: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while (
            self.seen.services.load(Relaxed),
            self.seen.dests.load(Relaxed),
        ) != (services, dests)
        {
            assert!(
                Instant::now() < deadline,
                "{services} services and {dests} dests were not published"
            );
            tokio::time::sleep(Duration::from_millis(5)).await; // until the deadline
        }
    }

    async fn services(&self) -> usize {
        let request = ListServicesRequest::default();
        let stream = self
            .client()
            .await
            .list_services(request)
            .await
            .unwrap()
            .into_inner();
        stream.collect::<Vec<_>>().await.len()
    }
}

fn addr(addr: u32) -> Option<IpAddress> {
    Some(IpAddress {
        bytes: Ipv4Addr::from(addr).octets().to_vec(),
    })
}

fn key(number: u32) -> ServiceKey {
    ServiceKey {
        protocol: Protocol::Tcp.into(),
        address: addr(0x0a00_0001 + number),
        port: 80,
    }
}

fn add_service(number: u32) -> Change {
    let service = VirtualService {
        key: Some(key(number)),
        scheduler: "rr".into(),
        ..VirtualService::default()
    };
    Change {
        change: Some(Kind::AddService(service)),
    }
}

fn add_dest(service: u32, number: u32) -> Change {
    let dest = Dest {
        address: addr(0xc0a8_0001 + number),
        port: 80,
        fwd_mode: FwdMode::FullNat.into(),
        weight: 1,
        ..Dest::default()
    };
    let request = DestRequest {
        service: Some(key(service)),
        dest: Some(dest),
    };
    Change {
        change: Some(Kind::AddDest(request)),
    }
}

#[tokio::test]
async fn ten_thousand_services_with_a_hundred_dests_each_arrive_whole() {
    let bed = bed().await;
    let changes = (0..10_000).flat_map(|service| {
        std::iter::once(add_service(service))
            .chain((0..100).map(move |dest| add_dest(service, dest)))
    });
    let start = Instant::now();
    bed.client()
        .await
        .apply(tokio_stream::iter(changes))
        .await
        .unwrap();
    bed.published(10_000, 1_000_000).await;
    println!(
        "10,000 services x 100 dests: {:.1} s",
        start.elapsed().as_secs_f64()
    );
    // and one change among them is one service's, not all
    let start = Instant::now();
    bed.client()
        .await
        .apply(tokio_stream::iter([add_dest(77, 100)]))
        .await
        .unwrap();
    bed.published(10_000, 1_000_001).await;
    println!(
        "one dest among them: {:.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
}

#[tokio::test]
async fn a_list_of_changes_is_carried_out_whole_or_not_at_all() {
    let bed = bed().await;
    let laddr = Laddr {
        address: addr(0xc0a8_00c8),
        device: "dpdk7".into(),
        ..Laddr::default()
    };
    let wrong = LaddrRequest {
        service: Some(key(0)),
        laddr: Some(laddr),
    };
    let wrong = Change {
        change: Some(Kind::AddLaddr(wrong)),
    };
    let changes = [add_service(0), add_dest(0, 0), wrong, add_service(1)];
    let error = bed
        .client()
        .await
        .apply(tokio_stream::iter(changes))
        .await
        .unwrap_err();
    assert!(
        error.message().starts_with("change 3: no device 'dpdk7'"),
        "{}",
        error.message()
    );
    assert_eq!(bed.services().await, 0);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_changes_nothing() {
    let bed = bed().await;
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let mut client = bed.client().await;
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let call = tokio::spawn(async move { client.apply(stream).await });
    send.send(add_service(0)).await.unwrap();
    call.abort();
    drop(send);
    let _ = call.await;
    let mut stalled = bed
        .client()
        .await
        .list_conns(proto::v1::ListConnsRequest::default())
        .await
        .unwrap()
        .into_inner();
    drop(stalled.next().await);
    assert_eq!(bed.services().await, 0);
    bed.client().await.flush_services(Empty {}).await.unwrap();
}
