//! The one writer of the configuration: desired state, neighbours, and what the workers are sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inet::neighbour::NeighbourConfig;
use inet::{Device, LocalAddr, NeighbourTable, Net};
use ipvs_core::{Command, ConnPage, DestId, Event, LaddrId, Snapshot, Timeouts, WorkerStats};
use parking_lot::Mutex;
use sapool::{PoolShare, PoolUsage, PortPool};
use tokio::sync::{Notify, oneshot};

use crate::counters::counts_of;
use crate::desired::{Desired, Effect};
use crate::fleet::{Fleet, Report, WorkerHandle};
use crate::platform::Platform;

/// Between two looks at the rings of the workers.
const TICK: Duration = Duration::from_millis(1);
/// Between two samples of the rates.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// How long a worker may take to answer before the caller is told so.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a control plane is made with.
pub struct ControlConfig {
    /// Devices, with the indices they are shown by
    pub devices: Vec<Device>,
    /// The workers
    pub workers: Vec<WorkerHandle>,
    /// The ports
    pub platform: Arc<dyn Platform>,
    /// Timeouts of conns
    pub timeouts: Timeouts,
    /// Times and bounds of the neighbour table
    pub neighbours: NeighbourConfig,
    /// Most dests
    pub max_dests: u32,
}

impl std::fmt::Debug for ControlConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ControlConfig({} devices, {} workers)",
            self.devices.len(),
            self.workers.len()
        )
    }
}

/// The control plane.
pub struct Control {
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) worker_stats: Vec<Arc<WorkerStats>>,
    state: Mutex<State>,
    started: Instant,
    /// Something is to be published now rather than at the next tick.
    changed: Notify,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Control({} workers)", self.worker_stats.len())
    }
}

/// All that is behind the lock.
pub(crate) struct State {
    pub(crate) desired: Desired,
    pub(crate) neighbours: NeighbourTable,
    pub(crate) fleet: Fleet,
    /// Of each local address, at each worker.
    pub(crate) pool_usage: HashMap<LaddrId, Vec<Arc<PoolUsage>>>,
    snapshot: Snapshot,
    waiting_pages: HashMap<u64, oneshot::Sender<Box<ConnPage>>>,
    next_token: u64,
    last_sample: Instant,
}

impl Control {
    /// A control plane that has published its devices.
    pub fn new(config: ControlConfig) -> Arc<Self> {
        let worker_stats = config
            .workers
            .iter()
            .map(|worker| Arc::clone(&worker.stats))
            .collect();
        let net = Net::new(config.devices.clone());
        let state = State {
            desired: Desired::new(config.devices, config.timeouts, config.max_dests),
            neighbours: NeighbourTable::new(config.neighbours),
            fleet: Fleet::new(config.workers),
            pool_usage: HashMap::new(),
            snapshot: Snapshot {
                net,
                ..Snapshot::default()
            },
            waiting_pages: HashMap::new(),
            next_token: 0,
            last_sample: Instant::now(),
        };
        let control = Self {
            platform: config.platform,
            worker_stats,
            state: Mutex::new(state),
            started: Instant::now(),
            changed: Notify::new(),
        };
        control.tick();
        Arc::new(control)
    }

    /// Takes what the workers said, does what is due, publishes what changed.
    pub fn tick(&self) {
        let now_ms = self.now_ms();
        let mut state = self.state.lock();
        state.take_reports(now_ms);
        state.ask_neighbours(now_ms);
        state.commit();
        if state.last_sample.elapsed() >= SAMPLE_EVERY {
            state.sample_rates(&self.worker_stats);
        }
    }

    /// Ticks until `shutdown`: every millisecond, and at once after a change.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = ticks.tick() => {}
                () = self.changed.notified() => {}
            }
            self.tick();
        }
    }

    /// Looks at the state.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock())
    }

    /// Changes the state: all of it, or, if `change` fails, nothing. The workers hear of it next.
    pub(crate) fn write<R, E>(
        &self,
        change: impl FnOnce(&mut State) -> Result<R, E>,
    ) -> Result<R, E> {
        let result = change(&mut self.state.lock())?;
        self.changed.notify_one();
        Ok(result)
    }

    /// Carries a whole list of changes out, or none of them.
    pub(crate) fn write_all<E>(
        &self,
        change: impl FnOnce(&mut Desired) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write(|state| {
            let before = state.desired.clone();
            let result = change(&mut state.desired);
            if result.is_err() {
                state.desired = before;
            }
            result
        })
    }

    /// The next page of a worker's conns; `None` if the worker does not answer in time.
    pub(crate) async fn conn_page(
        &self,
        worker: usize,
        mut page: Box<ConnPage>,
    ) -> Option<Box<ConnPage>> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state.lock();
            state.next_token += 1;
            page.token = state.next_token;
            state.waiting_pages.insert(page.token, answer);
            state.fleet.send(worker, Command::ListConns(page));
        }
        tokio::time::timeout(ANSWER_WITHIN, answered)
            .await
            .ok()?
            .ok()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl State {
    fn take_reports(&mut self, now_ms: u64) {
        for report in self.fleet.reports() {
            match report {
                Report::DestGone(id) => self.desired.dest_ids.give_back(id.0),
                Report::LaddrGone(id) => {
                    self.pool_usage.remove(&id);
                    self.desired.laddr_ids.give_back(id.0);
                }
                Report::Event(Event::Resolve { ifindex, addr }) => {
                    self.neighbours.resolve(now_ms, ifindex, addr)
                }
                Report::Event(Event::Neighbour(news)) => self.neighbours.learn(now_ms, &news),
                Report::Event(Event::Conns(page)) => {
                    // Nobody waits any more if the client went away.
                    let waiting = self.waiting_pages.remove(&page.token);
                    drop(waiting.map(|answer| answer.send(page)));
                }
                Report::Event(Event::Retired(_) | Event::LaddrGone(..) | Event::DestGone(_)) => {}
            }
        }
        self.waiting_pages.retain(|_, answer| !answer.is_closed());
    }

    fn ask_neighbours(&mut self, now_ms: u64) {
        for (port, frame) in self.neighbours.poll(now_ms, &self.snapshot.net) {
            self.fleet.send(0, Command::Transmit { port, frame });
        }
    }

    /// Brings the workers up to date, in an order in which nothing refers to what is not there.
    fn commit(&mut self) {
        let effects = std::mem::take(&mut self.desired.effects);
        for effect in &effects {
            if let Effect::AddPools(id, addr) = effect {
                self.add_pools(*id, *addr);
            }
        }
        self.publish();
        for effect in effects {
            match effect {
                Effect::AddPools(..) => {}
                Effect::RemovePools(id) => self.fleet.remove_laddr(id),
                Effect::CloseDest(id) => self.fleet.close_dest(id),
                Effect::Announce(ifindex, addr) => self.announce(ifindex, addr),
            }
        }
        self.fleet.flush();
    }

    fn add_pools(&mut self, id: LaddrId, addr: IpAddr) {
        let workers = u16::try_from(self.fleet.len()).unwrap_or(u16::MAX);
        let mut usages = Vec::new();
        for worker in 0..workers {
            let Some(share) = PoolShare::new(worker, workers) else {
                continue;
            };
            let pool = Box::new(PortPool::new(share));
            usages.push(pool.usage());
            self.fleet
                .send(usize::from(worker), Command::AddLaddr { id, addr, pool });
        }
        self.pool_usage.insert(id, usages);
    }

    fn announce(&mut self, ifindex: inet::IfIndex, addr: std::net::Ipv4Addr) {
        if let Some(device) = self.snapshot.net.device(ifindex) {
            let (port, frame) = (device.port, inet::arp::gratuitous(device, addr));
            self.fleet.send(0, Command::Transmit { port, frame });
        }
    }

    /// Publishes a snapshot if anything changed. Only what changed is made anew.
    fn publish(&mut self) {
        let mut dirty = std::mem::take(&mut self.desired.dirty);
        if dirty.net {
            self.update_net();
        }
        let neighbours_changed = self.neighbours.publish(&mut self.snapshot.net);
        if dirty.timeouts {
            self.snapshot.timeouts = self.desired.timeouts;
        }
        let changed =
            dirty.net || neighbours_changed || dirty.timeouts || !dirty.services.is_empty();
        if !changed {
            return;
        }
        let desired = &self.desired;
        let (present, absent): (Vec<_>, Vec<_>) = dirty
            .services
            .drain()
            .partition(|key| desired.services.contains_key(key));
        for key in absent {
            self.snapshot.services.remove(&key);
        }
        let compiled = present
            .iter()
            .filter_map(|key| desired.services.get(key))
            .map(|service| service.compile());
        self.snapshot.services.insert_all(compiled);
        self.fleet.publish(&Arc::new(self.snapshot.clone()));
    }

    fn update_net(&mut self) {
        let (net, desired) = (&mut self.snapshot.net, &self.desired);
        net.devices = desired.devices.clone().into();
        net.routes = desired.routes.clone();
        net.set_local_addrs(desired.addresses.iter().map(|address| LocalAddr {
            addr: address.addr,
            ifindex: address.ifindex,
            sapool: address.sapool,
        }));
        net.invalidate_nexthops();
    }

    fn sample_rates(&mut self, workers: &[Arc<WorkerStats>]) {
        let ms = u64::try_from(self.last_sample.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_sample = Instant::now();
        for dest in self
            .desired
            .services
            .values_mut()
            .flat_map(|service| &mut service.dests)
        {
            let counts = counts_of(workers, dest.id);
            dest.baseline.rates = (counts - dest.baseline.sampled).per_second(ms);
            dest.baseline.sampled = counts;
        }
    }

    /// Ports in use, free and missed of a local address, at each worker.
    pub(crate) fn usage_of(&self, id: LaddrId) -> &[Arc<PoolUsage>] {
        self.pool_usage.get(&id).map_or(&[], Vec::as_slice)
    }
}

/// The baseline of a dest that gets this number now.
pub(crate) fn baseline_of(workers: &[Arc<WorkerStats>], id: DestId) -> crate::counters::Baseline {
    crate::counters::Baseline::at(counts_of(workers, id))
}
