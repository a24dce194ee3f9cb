//! The workers as control sees them: their rings, and what does not fit into these yet.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::AHashMap;
use crossbeam_utils::CachePadded;
use inet::{AddressConflict, IfIndex, NeighbourNews};

use ipvs_core::{Command, ConnPage, DestId, Event, LaddrId, Snapshot, WorkerStats};

use crate::telemetry::LoopStats;

/// Frames that wait for a worker's ring. A worker that is so far behind has no use for more.
const MOST_WAITING_FRAMES: usize = 1024;

/// How large a worker's conn table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnTableSize {
    /// Most conns at once, of both families
    pub max_conns: u32,
    /// Bytes of conns, index and timer links
    pub bytes: usize,
}

/// One worker, as the daemon hands it over.
#[derive(Debug)]
pub struct WorkerHandle {
    /// Its lcore: `cpu1` is lcore 1
    pub lcore: u32,
    /// NUMA node
    pub socket: i32,
    /// `dpdk0:rx0,tx0`
    pub queues: Vec<String>,
    /// To the worker
    pub commands: rtrb::Producer<Command>,
    /// From the worker
    pub events: rtrb::Consumer<Event>,
    /// What its engine counts
    pub stats: Arc<WorkerStats>,
    /// What its loop counts
    pub loop_stats: Arc<CachePadded<LoopStats>>,
    /// Its conn table
    pub conn_table: ConnTableSize,
}

#[derive(Debug)]
struct Worker {
    handle: WorkerHandle,
    /// Commands that wait for room in the ring, in order
    waiting: VecDeque<Command>,
    /// Dests whose conns have to end. These commands are sent last, since there may be very many.
    ending: VecDeque<DestId>,
    /// The snapshots on their way to the worker, by number
    on_the_way: VecDeque<u64>,
    /// The number of the snapshot that it forwards by
    obeys: u64,
}

/// All workers.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// The number of the latest snapshot
    published: u64,
    /// How many workers have not yet given back their port pool, by local address
    leaving_laddrs: AHashMap<LaddrId, usize>,
    /// The counters of dests, services and their local addresses with ids below these have memory
    provided: [u32; 3],
}

/// An event of a worker that concerns control.
#[derive(Debug)]
pub(crate) enum Report {
    /// A worker has replaced this snapshot
    Retired(Arc<Snapshot>),
    /// No worker has a port pool of this address any more
    LaddrGone(LaddrId),
    /// A worker has queued a packet for this neighbour
    Resolve {
        /// The device
        ifindex: IfIndex,
        /// The neighbour
        addr: IpAddr,
    },
    /// A worker has learned this
    Neighbour(NeighbourNews),
    /// A worker has seen another host use an address of ours
    AddressConflict(AddressConflict),
    /// The answer to a question
    Conns(Box<ConnPage>),
}

impl Workers {
    pub(crate) fn new(handles: Vec<WorkerHandle>) -> Self {
        Self {
            workers: handles
                .into_iter()
                .map(|handle| Worker {
                    handle,
                    waiting: VecDeque::new(),
                    ending: VecDeque::new(),
                    on_the_way: VecDeque::new(),
                    obeys: 0,
                })
                .collect(),
            published: 0,
            leaving_laddrs: AHashMap::new(),
            provided: [0; 3],
        }
    }

    /// Gives memory to the counters of all dests, services and their local addresses below these
    /// ids, before workers use them.
    pub(crate) fn provide(&mut self, ends: [u32; 3]) {
        let [dests, services, laddr_uses] = [0, 1, 2].map(|at| self.provided[at]..ends[at]);
        if self.provided != ends {
            for handle in self.handles() {
                let (dests, services) = (dests.clone(), services.clone());
                handle.stats.provide(dests, services, laddr_uses.clone());
            }
            self.provided = ends;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn handles(&self) -> impl Iterator<Item = &WorkerHandle> {
        self.workers.iter().map(|worker| &worker.handle)
    }

    /// Sends a command to one worker, behind those that wait.
    pub(crate) fn send(&mut self, worker: usize, command: Command) {
        let Some(worker) = self.workers.get_mut(worker) else {
            return;
        };
        let is_frame = matches!(command, Command::Transmit { .. });
        if is_frame && worker.waiting.len() >= MOST_WAITING_FRAMES {
            return;
        }
        worker.waiting.push_back(command);
        worker.flush();
    }

    /// Takes a question back that has not reached the worker.
    pub(crate) fn take_back_page(&mut self, worker: usize, token: u64) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.waiting.retain(
                |command| !matches!(command, Command::ListConns(page) if page.token == token),
            );
        }
    }

    /// Publishes a snapshot. It replaces one that still waits for room.
    pub(crate) fn publish(&mut self, snapshot: &Arc<Snapshot>) {
        self.published += 1;
        for worker in &mut self.workers {
            if matches!(worker.waiting.back(), Some(Command::Publish(_))) {
                worker.waiting.pop_back();
                worker.on_the_way.pop_back();
            }
            worker.on_the_way.push_back(self.published);
            worker
                .waiting
                .push_back(Command::Publish(Arc::clone(snapshot)));
            worker.flush();
        }
    }

    /// The number of the latest snapshot.
    pub(crate) const fn published(&self) -> u64 {
        self.published
    }

    /// Whether every worker forwards by this snapshot or a later one.
    pub(crate) fn all_obey(&self, snapshot: u64) -> bool {
        self.workers.iter().all(|worker| worker.obeys >= snapshot)
    }

    /// The lcores of the workers that do not forward by this snapshot or a later one.
    pub(crate) fn later_than(&self, snapshot: u64) -> Vec<u32> {
        let late = self.workers.iter().filter(|worker| worker.obeys < snapshot);
        late.map(|worker| worker.handle.lcore).collect()
    }

    /// Has all workers end the conns of a dest.
    pub(crate) fn end_conns(&mut self, id: DestId) {
        for worker in &mut self.workers {
            worker.ending.push_back(id);
        }
    }

    /// Has all workers end the conns that use a local address.
    pub(crate) fn end_conns_of_laddr(&mut self, addr: IpAddr) {
        for worker in 0..self.workers.len() {
            self.send(worker, Command::EndConnsOfLaddr(addr));
        }
    }

    /// Has all workers give back their port pools of a local address.
    pub(crate) fn remove_laddr(&mut self, id: LaddrId) {
        self.leaving_laddrs.insert(id, self.workers.len());
        for worker in 0..self.workers.len() {
            self.send(worker, Command::RemoveLaddr(id));
        }
    }

    /// Moves waiting commands into the rings, as far as there is room.
    pub(crate) fn flush(&mut self) {
        for worker in &mut self.workers {
            worker.flush();
            worker.flush_ending();
        }
    }

    /// The events of all workers so far.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        for at in 0..self.workers.len() {
            // Only those that are there now: a busy worker must not hold this up.
            for _ in 0..self.workers[at].handle.events.slots() {
                let Ok(event) = self.workers[at].handle.events.pop() else {
                    break;
                };
                if matches!(event, Event::Retired(_)) {
                    self.workers[at].has_replaced();
                }
                reports.extend(self.report(event));
            }
        }
        reports
    }

    fn report(&mut self, event: Event) -> Option<Report> {
        match event {
            Event::Retired(snapshot) => Some(Report::Retired(snapshot)),
            Event::LaddrGone(id, pool) => {
                drop(pool);
                self.is_laddr_gone(id).then_some(Report::LaddrGone(id))
            }
            Event::Resolve { ifindex, addr } => Some(Report::Resolve { ifindex, addr }),
            Event::Neighbour(news) => Some(Report::Neighbour(news)),
            Event::AddressConflict(conflict) => Some(Report::AddressConflict(conflict)),
            Event::Conns(page) => Some(Report::Conns(page)),
        }
    }

    /// Counts one worker's report; true when it was the last.
    fn is_laddr_gone(&mut self, id: LaddrId) -> bool {
        let Some(left) = self.leaving_laddrs.get_mut(&id) else {
            return false;
        };
        *left -= 1;
        let last = *left == 0;
        if last {
            self.leaving_laddrs.remove(&id);
        }
        last
    }
}

impl Worker {
    /// The worker has taken the next snapshot.
    fn has_replaced(&mut self) {
        self.obeys = self.on_the_way.pop_front().unwrap_or(self.obeys);
    }

    fn flush(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(rtrb::PushError::Full(command)) = self.handle.commands.push(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }

    /// Fills the room that is left with commands to end the conns of dests.
    fn flush_ending(&mut self) {
        while self.waiting.is_empty() && !self.handle.commands.is_full() {
            let Some(id) = self.ending.pop_front() else {
                return;
            };
            self.waiting.push_back(Command::EndConns(id));
            self.flush();
        }
    }
}
