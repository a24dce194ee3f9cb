//! The workers as control sees them: rings there and back, and what does not fit into them yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ipvs_core::{Command, DestId, Event, LaddrId, Snapshot, WorkerStats};

use crate::loop_stats::LoopStats;

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
    pub loop_stats: Arc<LoopStats>,
}

#[derive(Debug)]
struct Worker {
    handle: WorkerHandle,
    /// Commands that wait for room in the ring, in order.
    waiting: VecDeque<Command>,
}

/// All workers.
#[derive(Debug)]
pub(crate) struct Fleet {
    workers: Vec<Worker>,
    /// How many workers have still to say that something is gone.
    leaving_dests: HashMap<DestId, usize>,
    leaving_laddrs: HashMap<LaddrId, usize>,
}

/// What a worker said that concerns others than the fleet.
#[derive(Debug)]
pub(crate) enum Report {
    /// Of some worker
    Event(Event),
    /// No worker knows the dest any more
    DestGone(DestId),
    /// No worker knows the local address any more
    LaddrGone(LaddrId),
}

impl Fleet {
    pub(crate) fn new(handles: Vec<WorkerHandle>) -> Self {
        Self {
            workers: handles
                .into_iter()
                .map(|handle| Worker {
                    handle,
                    waiting: VecDeque::new(),
                })
                .collect(),
            leaving_dests: HashMap::new(),
            leaving_laddrs: HashMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn handles(&self) -> impl Iterator<Item = &WorkerHandle> {
        self.workers.iter().map(|worker| &worker.handle)
    }

    /// Sends a command to one worker, after all that wait for it.
    pub(crate) fn send(&mut self, worker: usize, command: Command) {
        let worker = &mut self.workers[worker];
        worker.waiting.push_back(command);
        worker.flush();
    }

    /// Publishes a snapshot. One that still waits for room is replaced by it.
    pub(crate) fn publish(&mut self, snapshot: &Arc<Snapshot>) {
        for worker in &mut self.workers {
            if matches!(worker.waiting.back(), Some(Command::Publish(_))) {
                worker.waiting.pop_back();
            }
            worker
                .waiting
                .push_back(Command::Publish(Arc::clone(snapshot)));
            worker.flush();
        }
    }

    /// Lets all workers end the conns of a dest.
    pub(crate) fn close_dest(&mut self, id: DestId) {
        self.leaving_dests.insert(id, self.workers.len());
        for worker in 0..self.workers.len() {
            self.send(worker, Command::CloseDest(id));
        }
    }

    /// Lets all workers give their pools of a local address back.
    pub(crate) fn remove_laddr(&mut self, id: LaddrId) {
        self.leaving_laddrs.insert(id, self.workers.len());
        for worker in 0..self.workers.len() {
            self.send(worker, Command::RemoveLaddr(id));
        }
    }

    /// Moves what waits into the rings, as far as there is room.
    pub(crate) fn flush(&mut self) {
        self.workers.iter_mut().for_each(Worker::flush);
    }

    /// What the workers have said. Snapshots that they gave back are freed here.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        for at in 0..self.workers.len() {
            while let Ok(event) = self.workers[at].handle.events.pop() {
                match event {
                    Event::Retired(snapshot) => drop(snapshot),
                    Event::DestGone(id) => {
                        reports.extend(
                            is_last(&mut self.leaving_dests, id).then_some(Report::DestGone(id)),
                        );
                    }
                    Event::LaddrGone(id, pool) => {
                        drop(pool);
                        reports.extend(
                            is_last(&mut self.leaving_laddrs, id).then_some(Report::LaddrGone(id)),
                        );
                    }
                    other => reports.push(Report::Event(other)),
                }
            }
        }
        reports
    }
}

impl Worker {
    fn flush(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(rtrb::PushError::Full(command)) = self.handle.commands.push(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }
}

/// Counts one worker's report; true when it was the last.
fn is_last<K: std::hash::Hash + Eq>(leaving: &mut HashMap<K, usize>, id: K) -> bool {
    let Some(left) = leaving.get_mut(&id) else {
        return false;
    };
    *left -= 1;
    let last = *left == 0;
    if last {
        leaving.remove(&id);
    }
    last
}
