//! Control from end to end: requests by gRPC through a unix socket, and workers that carry out the
//! commands as those of the daemon do, but get no packets.

#![allow(missing_docs, reason = "criterion_group makes a public function")]

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use benches::director::{bare_engine, devices};
use benches::plane::{
    Plane, WorkerEnds, connect, dest_request, key, many_services, nth_dest, nth_vip, worker_rings,
};
use criterion::{Criterion, criterion_group, criterion_main};
use ipvs_core::{Engine, Event, Handoff, Io, Now, Protocol, ServiceKey, WorkerId};
use packet::PortId;
use proto::v1;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use testkit::VecBuf;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

const SERVICES: u32 = 10_000;
const DESTS_EACH: u32 = 100;
const WORKERS: u32 = 2;
/// The number of the service whose dest is changed, and the number of the dest.
const CHANGED: (u32, u32) = (7_777, 42);

/// A worker's thread without ports. It polls as that of the daemon does, but yields the CPU, which
/// it shares with control here.
struct Worker {
    /// How many services its snapshot has
    services: Arc<AtomicU32>,
    /// The weight of that dest in its snapshot
    weight: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct ToControl(rtrb::Producer<Event>);

impl Io<VecBuf> for ToControl {
    fn transmit(&mut self, _: PortId, _: VecBuf) {}
    fn to_kernel(&mut self, _: VecBuf) {}
    fn copy_to_kernel(&mut self, _: &VecBuf) {}
    fn redirect(&mut self, _: WorkerId, _: VecBuf, _: Handoff) {}
    fn allocate(&mut self, _: PortId, _: usize) -> Option<VecBuf> {
        None
    }
    fn event(&mut self, event: Event) -> Result<(), Event> {
        self.0
            .push(event)
            .map_err(|rtrb::PushError::Full(event)| event)
    }
}

impl Worker {
    fn start(ends: WorkerEnds) -> Self {
        let (services, weight) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let stop = Arc::<AtomicBool>::default();
        let seen = (Arc::clone(&services), Arc::clone(&weight));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || work(ends, &seen.0, &seen.1, &told));
        Self {
            services,
            weight,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has printed why.
            let _ = thread.join();
        }
    }
}

fn work(mut ends: WorkerEnds, services: &AtomicU32, weight: &AtomicU32, stop: &AtomicBool) {
    let now = Now::from_secs(1);
    let mut engine: Engine<VecBuf> = bare_engine(1024, ends.stats, now);
    let mut io = ToControl(ends.events);
    let mut unsent = None;
    while !stop.load(Ordering::Relaxed) {
        if let Some(answer) = unsent.take() {
            unsent = io.event(answer).err();
        } else if let Ok(command) = ends.commands.pop() {
            unsent = engine.apply(now, command, &mut io).err();
            let found = engine.snapshot().services.get(&changed_service());
            let dest = found.and_then(|service| service.dests.get(CHANGED.1 as usize));
            weight.store(dest.map_or(0, |dest| dest.weight.into()), Ordering::Release);
            let last = engine.snapshot().services.get(&tcp_key(SERVICES - 1));
            services.store(u32::from(last.is_some()), Ordering::Release);
        } else {
            engine.housekeep(now, &mut io);
            // With a pause the CPU would sleep, and waking up takes 100 us on a virtual machine.
            std::thread::yield_now();
        }
    }
}

fn tcp_key(number: u32) -> ServiceKey {
    ServiceKey {
        matcher: None,
        protocol: Protocol::Tcp,
        addr: IpAddr::V4(nth_vip(number)),
        port: 80,
    }
}

fn changed_service() -> ServiceKey {
    tcp_key(CHANGED.0)
}

/// Control, its workers and a gRPC client.
struct Lab {
    workers: Vec<Worker>,
    client: IpvsServiceClient<Channel>,
    _plane: Plane,
}

impl Lab {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let max_dests = SERVICES * DESTS_EACH;
        let (handles, ends): (Vec<_>, Vec<_>) = (0..WORKERS)
            .map(|number| worker_rings(number, max_dests))
            .unzip();
        let plane = Plane::start(devices(PortId(0), PortId(1)), handles, max_dests)?;
        let client = IpvsServiceClient::new(connect(plane.socket()).await?);
        Ok(Self {
            workers: ends.into_iter().map(Worker::start).collect(),
            client,
            _plane: plane,
        })
    }

    async fn load(&mut self) -> Result<(), Box<dyn Error>> {
        let changes = tokio_stream::iter(many_services(SERVICES, DESTS_EACH));
        self.client.apply(changes).await?;
        self.until_all(|worker| worker.services.load(Ordering::Acquire) == 1)
            .await;
        Ok(())
    }

    /// Changes the weight of the dest. Returns how long it took until every worker used it.
    async fn change(&mut self, weight: u32) -> Result<Duration, Box<dyn Error>> {
        let service = key(v1::Protocol::Tcp, nth_vip(CHANGED.0), 80);
        let addr = nth_dest(CHANGED.0 * DESTS_EACH + CHANGED.1);
        let request = dest_request(&service, addr, 80, weight);
        let start = Instant::now();
        self.client.edit_dest(request).await?;
        self.until_all(|worker| worker.weight.load(Ordering::Acquire) == weight)
            .await;
        Ok(start.elapsed())
    }

    async fn until_all(&self, has_it: impl Fn(&Worker) -> bool) {
        while !self.workers.iter().all(&has_it) {
            tokio::task::yield_now().await;
        }
    }
}

async fn load_fresh_ones(iterations: u64) -> Result<Duration, Box<dyn Error>> {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let mut lab = Lab::start().await?;
        let start = Instant::now();
        lab.load().await?;
        total += start.elapsed();
    }
    Ok(total)
}

async fn change_often(lab: &mut Lab, iterations: u64) -> Result<Duration, Box<dyn Error>> {
    let mut total = Duration::ZERO;
    for iteration in 0..iterations {
        total += lab.change(2 + (iteration % 2) as u32).await?;
    }
    // Sets the weight back for the next round.
    lab.change(1).await?;
    Ok(total)
}

fn runtime() -> Result<Runtime, Box<dyn Error>> {
    // As in the daemon.
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("control");
    group.sample_size(10).warm_up_time(Duration::from_millis(1));
    group.bench_function(
        "10,000 services of 100 dests, live on all workers",
        |bencher| {
            bencher.iter_custom(|iterations| {
                let runtime = runtime().expect("threads for a runtime");
                let loaded = runtime.block_on(load_fresh_ones(iterations));
                loaded.expect("a control plane that takes these services")
            });
        },
    );
    group.finish();
}

fn one_change(criterion: &mut Criterion) {
    let runtime = runtime().expect("threads for a runtime");
    let mut lab = runtime.block_on(async {
        let mut lab = Lab::start().await.expect("a control plane");
        lab.load().await.expect("these services");
        lab
    });
    let mut group = criterion.benchmark_group("control");
    group.bench_function(
        "one dest of 1,000,000 changed, live on all workers",
        |bencher| {
            bencher.iter_custom(|iterations| {
                let changed = runtime.block_on(change_often(&mut lab, iterations));
                changed.expect("a change that control takes")
            });
        },
    );
    group.finish();
}

criterion_group!(benches, loading, one_change);
criterion_main!(benches);
