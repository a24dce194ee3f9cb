//! How workers, the exception path and control are tied together: who holds which end of which ring.

use std::sync::Arc;

use control::{ConnTableSize, WorkerHandle};
use dpdk::{Eal, Mbuf, Mempool};
use ipvs_core::{Engine, EngineConfig, Keys, Now, WorkerStats};

use crate::clock::Clock;
use crate::config::{Config, IdleConfig, WorkerPlan};
use crate::exception_path::{ExceptionPath, KniPort};
use crate::ports::StartedPort;
use crate::shell::{PortQueues, Rings, Shell};
use crate::worker::{Idle, Worker};

/// Commands and events that may wait: control is asked to wait beyond that, never a worker.
const CONTROL_RING: usize = 4096;
/// Packets that may wait for another worker.
const REDIRECT_RING: usize = 2048;
/// Packets that may wait for the kernel, and from it.
const KERNEL_RING: usize = 1024;
/// Most packets held for neighbours by a worker, all neighbours together.
const MOST_HELD: u32 = 4096;

/// Everything that runs, before it runs.
#[derive(Debug)]
pub struct Wired {
    /// By the lcores they run on
    pub workers: Vec<(u32, Worker)>,
    /// What control knows of them
    pub handles: Vec<WorkerHandle>,
    /// What serves the kni devices
    pub exception_path: ExceptionPath,
}

/// The ends of one worker's rings.
struct Ends {
    rings: Rings,
    commands: rtrb::Consumer<ipvs_core::Command>,
}

/// Ties everything together.
pub fn wire(
    config: &Config,
    keys: Keys,
    eal: &Eal,
    ports: &mut [StartedPort],
    kni_ports: Vec<KniPort>,
    pool: Mempool,
) -> Wired {
    let clock = Clock::new(dpdk::eal::tsc_hz());
    let count = config.workers.len();
    let (max_dests, max_conns) = (config.max_dests as usize, config.max_conns as usize);
    let all_stats: Vec<_> = (0..count)
        .map(|_| Arc::new(WorkerStats::new(max_dests, max_conns)))
        .collect();
    let mut redirects = redirect_rings(count);
    let (to_worker, from_kernel) = rtrb::RingBuffer::new(KERNEL_RING);
    let mut from_kernel = Some(from_kernel);
    let mut from_workers = Vec::new();
    let (mut workers, mut handles) = (Vec::new(), Vec::new());
    for (number, plan) in config.workers.iter().enumerate() {
        let (to_kernel, kernel_end) = rtrb::RingBuffer::new(KERNEL_RING);
        from_workers.push(kernel_end);
        let (commands, command_end) = rtrb::RingBuffer::new(CONTROL_RING);
        let (event_end, events) = rtrb::RingBuffer::new(CONTROL_RING);
        let (redirect_to, redirect_from) = redirects.take(number);
        let rings = Rings {
            redirect_to,
            redirect_from,
            to_kernel,
            from_kernel: from_kernel.take(),
            events: event_end,
        };
        let ends = Ends {
            rings,
            commands: command_end,
        };
        let engine = engine(config, keys, number, &all_stats, clock.now());
        let worker = worker(config, ports, pool, engine, ends, clock);
        handles.push(WorkerHandle {
            lcore: plan.lcore,
            socket: eal.socket_of(plan.lcore),
            queues: describe_queues(config, plan),
            commands,
            events,
            stats: Arc::clone(&all_stats[number]),
            loop_stats: Arc::clone(&worker.stats),
            conn_table: conn_table_size(config, &worker.engine),
        });
        workers.push((plan.lcore, worker));
    }
    Wired {
        workers,
        handles,
        exception_path: ExceptionPath {
            ports: kni_ports,
            from_workers,
            to_worker,
            mempool: pool,
        },
    }
}

fn conn_table_size(config: &Config, engine: &Engine<Mbuf>) -> ConnTableSize {
    let parts = engine.conn_table_memory().concat();
    ConnTableSize {
        max_conns: config.max_conns.saturating_add(config.max_conns_v6),
        bytes: parts.iter().map(|(_, len)| len).sum(),
    }
}

fn worker(
    config: &Config,
    ports: &mut [StartedPort],
    pool: Mempool,
    engine: Engine<Mbuf>,
    ends: Ends,
    clock: Clock,
) -> Worker {
    // The n-th worker takes the n-th queue of every port: see `config::plan`.
    let queues = ports
        .iter_mut()
        .filter_map(|started| {
            let (rx, tx) = started.port.take_queues()?;
            Some(PortQueues {
                port: started.port.id(),
                rx,
                tx,
                pending: dpdk::Burst::new(),
            })
        })
        .collect();
    let shell = Shell::new(queues, ends.rings, pool, Arc::clone(engine.stats()));
    let idle = match config.idle {
        IdleConfig::Poll => Idle::Poll,
        IdleConfig::Sleep { after_loops, pause } => Idle::Sleep { after_loops, pause },
    };
    Worker {
        engine,
        shell,
        commands: ends.commands,
        clock,
        idle,
        stats: Arc::default(),
        unsent: None,
    }
}

/// A worker's engine, whose tables are in memory from the beginning.
fn engine(
    config: &Config,
    keys: Keys,
    worker: usize,
    all_stats: &[Arc<WorkerStats>],
    now: Now,
) -> Engine<Mbuf> {
    let engine = Engine::new(engine_config(config, keys, worker), all_stats.to_vec(), now);
    for (start, len) in engine.conn_table_memory().concat() {
        dpdk::memory::make_resident(start, len);
    }
    engine
}

fn engine_config(config: &Config, keys: Keys, worker: usize) -> EngineConfig {
    EngineConfig {
        worker: worker as u16,
        workers: config.workers.len() as u16,
        max_conns: config.max_conns,
        max_conns_v6: config.max_conns_v6,
        keys,
        max_held: MOST_HELD,
        max_held_per_neighbour: config.neighbours.queue_length,
    }
}

fn describe_queues(config: &Config, plan: &WorkerPlan) -> Vec<String> {
    plan.queues
        .iter()
        .map(|queue| {
            format!(
                "{}:rx{},tx{}",
                config.devices[queue.device].name, queue.queue, queue.queue
            )
        })
        .collect()
}

/// One ring for every ordered pair of workers.
struct RedirectRings {
    to: Vec<Vec<Option<rtrb::Producer<Mbuf>>>>,
    from: Vec<Vec<rtrb::Consumer<Mbuf>>>,
}

fn redirect_rings(workers: usize) -> RedirectRings {
    let mut rings = RedirectRings {
        to: (0..workers).map(|_| Vec::new()).collect(),
        from: (0..workers).map(|_| Vec::new()).collect(),
    };
    for sender in 0..workers {
        for receiver in 0..workers {
            let ends = (sender != receiver).then(|| rtrb::RingBuffer::new(REDIRECT_RING));
            let (producer, consumer) = ends.unzip();
            rings.to[sender].push(producer);
            rings.from[receiver].extend(consumer);
        }
    }
    rings
}

impl RedirectRings {
    fn take(
        &mut self,
        worker: usize,
    ) -> (Vec<Option<rtrb::Producer<Mbuf>>>, Vec<rtrb::Consumer<Mbuf>>) {
        (
            std::mem::take(&mut self.to[worker]),
            std::mem::take(&mut self.from[worker]),
        )
    }
}
