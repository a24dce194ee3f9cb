//! How workers, the kni thread and control are tied together: who holds which end of which ring.
//!
//! Every ring here has one producer and one consumer, and so it is an `rtrb` ring. Where several
//! workers send to the same receiver (the kni thread, control), each worker has a ring of its own
//! and the receiver polls them in turn. A queue that many producers share, such as crossbeam's
//! `ArrayQueue`, would be one queue to poll instead of several. But its producers need an atomic
//! read-modify-write per packet, on a cache line that all workers fight for, and one worker in a
//! flood could fill it for all the others. An `rtrb` ring keeps the indices of its two ends in
//! cache lines of their own, so a worker pays for a line of another CPU only when that has moved
//! on.

use std::sync::Arc;

use control::{ConnTableSize, LoopStats, WorkerHandle};
use crossbeam_utils::CachePadded;
use dpdk::{Burst, Eal, LcoreId, Mbuf, Mempool};
use ipvs_core::{
    Arrival, Command, Engine, EngineConfig, Event, Keys, Now, Owners, SharedState, WorkerId,
    WorkerStats,
};

use crate::config::{Config, WorkerPlan};
use crate::devices::{Started, StartedPort};
use crate::kni::{KniNetdev, KniThread};
use crate::steering::RedirectRings;

use super::clock::Clock;
use super::run_loop::Worker;
use super::shell::{PortQueues, Rings, Shell};

/// Commands, and events, that may wait in a ring. If it is full control waits, never a worker.
const CONTROL_RING: usize = 4096;
/// Packets that may wait for the kernel, and packets of the kernel that may wait for a worker.
const KERNEL_RING: usize = 1024;
/// Most packets of a worker that wait for neighbours, all neighbours together.
const MOST_HELD: u32 = 4096;

/// Everything that runs, before it runs.
#[derive(Debug)]
pub(crate) struct Wired {
    /// The workers, each with the lcore that it runs on.
    pub(crate) workers: Vec<(LcoreId, Worker)>,
    /// The workers as control sees them.
    pub(crate) handles: Vec<WorkerHandle>,
    /// The thread between the workers and the kernel.
    pub(crate) kni_thread: KniThread,
}

/// All ends of one worker's rings.
struct Ends {
    /// The worker's, except for its commands.
    rings: Rings,
    /// The worker's end of its commands.
    commands: rtrb::Consumer<Command>,
    /// Control's end of the commands.
    to_worker: rtrb::Producer<Command>,
    /// Control's end of the events.
    events: rtrb::Consumer<Event>,
}

/// The rings, from which one worker after the other takes its ends.
struct AllRings {
    redirect: RedirectRings,
    /// The kni thread's ends of the rings to the kernel.
    to_kernel: Vec<rtrb::Consumer<Mbuf>>,
    /// The first worker takes it.
    from_kernel: Option<rtrb::Consumer<Mbuf>>,
}

impl AllRings {
    fn take(&mut self, worker: WorkerId) -> Ends {
        let (to_kernel, kernel_end) = rtrb::RingBuffer::new(KERNEL_RING);
        self.to_kernel.push(kernel_end);
        let (to_worker, commands) = rtrb::RingBuffer::new(CONTROL_RING);
        let (to_control, events) = rtrb::RingBuffer::new(CONTROL_RING);
        Ends {
            rings: Rings {
                redirect: self.redirect.take(worker),
                to_kernel,
                from_kernel: self.from_kernel.take(),
                events: to_control,
            },
            commands,
            to_worker,
            events,
        }
    }
}

/// What all workers have in common.
struct Common<'a> {
    config: &'a Config,
    owners: Arc<Owners>,
    arrival: Arrival,
    keys: Keys,
    clock: Clock,
    stats: Vec<Arc<WorkerStats>>,
    state: Vec<Arc<SharedState>>,
}

/// Makes all rings, all workers and the kni thread.
pub(crate) fn wire(
    config: &Config,
    keys: Keys,
    eal: &Eal,
    started: &mut Started,
    netdevs: Vec<KniNetdev>,
    pool: Mempool,
) -> Wired {
    let common = Common::new(config, keys, started);
    let (to_worker, from_kernel) = rtrb::RingBuffer::new(KERNEL_RING);
    let mut rings = AllRings {
        redirect: RedirectRings::new(config.workers.len()),
        to_kernel: Vec::new(),
        from_kernel: Some(from_kernel),
    };
    let (mut workers, mut handles) = (Vec::new(), Vec::new());
    for (number, plan) in config.workers.iter().enumerate() {
        let worker = WorkerId(number as u16);
        let ends = rings.take(worker);
        let engine = common.engine(worker);
        let conn_table = conn_table_size(config, &engine);
        let stats = Arc::clone(&common.stats[number]);
        let shell = Shell::new(
            take_queues(&mut started.ports, plan, number),
            ends.rings,
            pool,
            Arc::clone(&stats),
        );
        let loop_stats = Arc::<CachePadded<LoopStats>>::default();
        handles.push(WorkerHandle {
            lcore: plan.lcore.0,
            socket: eal.socket_of(plan.lcore),
            queues: describe_queues(config, plan),
            commands: ends.to_worker,
            events: ends.events,
            stats,
            loop_stats: Arc::clone(&loop_stats),
            conn_table,
        });
        let worker = Worker {
            engine,
            shell,
            commands: ends.commands,
            clock: common.clock,
            idle: config.idle,
            stats: loop_stats,
            unsent: None,
        };
        workers.push((plan.lcore, worker));
    }
    Wired {
        workers,
        handles,
        kni_thread: KniThread {
            netdevs,
            from_workers: rings.to_kernel,
            to_worker,
            mempool: pool,
        },
    }
}

impl<'a> Common<'a> {
    fn new(config: &'a Config, keys: Keys, started: &Started) -> Self {
        let (max_dests, max_conns) = (config.max_dests as usize, config.max_conns as usize);
        let new_stats = |_| Arc::new(WorkerStats::new(max_dests));
        let new_state = |_| Arc::new(SharedState::new(max_conns));
        Self {
            config,
            owners: Arc::clone(&started.owners),
            arrival: started.arrival,
            keys,
            clock: Clock::new(dpdk::tsc::tsc_hz()),
            stats: config.workers.iter().map(new_stats).collect(),
            state: config.workers.iter().map(new_state).collect(),
        }
    }

    /// A worker's engine, whose tables are in memory from the beginning.
    fn engine(&self, worker: WorkerId) -> Engine<Mbuf> {
        let now: Now = self.clock.now();
        let engine = Engine::new(
            self.engine_config(worker),
            self.stats.clone(),
            self.state.clone(),
            now,
        );
        for (start, len) in engine.conn_table_memory().concat() {
            dpdk::memory::make_resident(start, len);
        }
        engine
    }

    fn engine_config(&self, worker: WorkerId) -> EngineConfig {
        EngineConfig {
            worker,
            owners: Arc::clone(&self.owners),
            arrival: self.arrival,
            max_conns: self.config.max_conns,
            max_conns_v6: self.config.max_conns_v6,
            keys: self.keys,
            max_held: MOST_HELD,
            max_held_per_neighbour: self.config.neighbours.queue_length,
        }
    }
}

/// The queues that a worker was given, one of every port. Ports are in the order of the devices.
fn take_queues(ports: &mut [StartedPort], plan: &WorkerPlan, worker: usize) -> Vec<PortQueues> {
    let taken = ports
        .iter_mut()
        .enumerate()
        .filter_map(|(device, started)| {
            let mut queues = plan.queues.iter();
            let queue = queues.find(|queue| queue.device == device)?.queue;
            let (rx, tx) = started.port.take_queues(queue)?;
            Some(PortQueues {
                port: started.port.id(),
                rx,
                tx,
                arrivals: started.steering.arrivals_of(worker),
                pending: Burst::new(),
            })
        });
    taken.collect()
}

fn conn_table_size(config: &Config, engine: &Engine<Mbuf>) -> ConnTableSize {
    let parts = engine.conn_table_memory().concat();
    ConnTableSize {
        max_conns: config.max_conns.saturating_add(config.max_conns_v6),
        bytes: parts.iter().map(|(_, len)| len).sum(),
    }
}

/// The queues as `dpip link show` lists them, e.g. `dpdk0:rx1,tx1`.
fn describe_queues(config: &Config, plan: &WorkerPlan) -> Vec<String> {
    let describe = |device: &str, queue| format!("{device}:rx{queue},tx{queue}");
    let queues = plan.queues.iter();
    queues
        .map(|queue| describe(&config.devices[queue.device].name, queue.queue))
        .collect()
}
