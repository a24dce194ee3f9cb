//! The longest turn of a worker's loop while control does its longest jobs: services are loaded,
//! local addresses are added and removed, conns expire. Control is asked through its API and has a
//! thread of its own.
//!
//! The CPU time of a turn is measured, so other programs on the machine do not count. Interrupts do
//! count, and so do pauses that the host of a virtual machine makes. Three figures show how much
//! that is: the quiet phase, which has traffic only; the turns without housekeeping (control's
//! commands and expiry come in every eighth turn); and at last a loop that only reads memory, as
//! much as the conns take and for as long as all phases before it. A stall that the worker causes
//! comes in every run, a pause of the machine does not. So the median of several runs is reported.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dpdk::{Burst, Mbuf};
use ipvs_core::{Command, Engine, Event, Io, Now, Origin, Protocol, ServiceKey};
use proto::v1;
use proto::v1::address_service_client::AddressServiceClient;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Map, Value, json};

use benches::director::{self, LAN};
use benches::frames::{self, Frame, VIP};
use benches::measure::{Spread, rounded, thread_cpu_ns};
use benches::plane::{self, Plane, WorkerEnds, worker_rings};

use crate::error::Error;
use crate::lab::{Lab, Replay, Traffic, first_datagram};

const SERVICES: u32 = 10_000;
const DESTS_EACH: u32 = 100;
const DESTS_OF_VIP: u32 = 16;
/// How many conns expire at once.
const CONNS: u32 = 1_000_000;
/// How many of those still have packets.
const BUSY_FLOWS: u32 = 10_000;
/// A timeout longer than all phases before the one in which the conns expire.
const CONN_TIMEOUT_S: u32 = 600;
/// How many local addresses are added and removed.
const LADDR_CHANGES: u32 = 100;
/// How long the quiet phase takes.
const QUIET: Duration = Duration::from_secs(2);
/// Longer than any phase takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The goal. Turns that take longer are counted.
const GOAL_NS: u64 = 200_000;
/// As in the daemon's run loop.
const HOUSEKEEPING_LOOPS: u64 = 8;
const COMMANDS_PER_ROUND: usize = 16;

/// The phases, by what happens beside the traffic.
const PHASES: [&str; 5] = [
    "quiet",
    "services_loaded",
    "laddrs_come_and_go",
    "conns_expire",
    "nothing_but_memory",
];
/// The phases in which control does something.
const BUSY_PHASES: std::ops::Range<usize> = 1..4;

/// The longest turns of a phase in nanoseconds, and how many took too long.
#[derive(Debug, Clone, Copy, Default)]
struct Phase {
    /// The longest turn with housekeeping
    worst_housekeeping_ns: u64,
    /// The longest turn without housekeeping
    worst_forwarding_ns: u64,
    too_long: u64,
    loops: u64,
    /// The time of all turns
    total_ns: u64,
}

impl Phase {
    fn record(&mut self, ns: u64, has_housekeeping: bool) {
        let worst = if has_housekeeping {
            &mut self.worst_housekeeping_ns
        } else {
            &mut self.worst_forwarding_ns
        };
        *worst = ns.max(*worst);
        self.too_long += u64::from(ns > GOAL_NS);
        self.total_ns += ns;
        self.loops += 1;
    }

    fn worst_ns(&self) -> u64 {
        self.worst_housekeeping_ns.max(self.worst_forwarding_ns)
    }
}

/// A worker like that of the daemon, whose turns are timed.
struct Worker<'a> {
    lab: &'a mut Lab,
    engine: Engine<Mbuf>,
    commands: rtrb::Consumer<Command>,
    unsent: Option<Event>,
    traffic: Replay,
    /// Nanoseconds that are added to the clock, to let conns expire
    ahead_ns: u64,
    loops: u64,
}

impl Worker<'_> {
    fn now(&self) -> Now {
        Now {
            ns: self.lab.now().ns + self.ahead_ns,
        }
    }

    /// Runs the loop until something has happened.
    fn run_until(&mut self, mut is_over: impl FnMut(&Self) -> bool) -> Result<Phase, Error> {
        let (mut phase, mut burst) = (Phase::default(), Burst::new());
        let began = Instant::now();
        let mut before = thread_cpu_ns();
        loop {
            self.turn(&mut burst);
            let after = thread_cpu_ns();
            let has_housekeeping = self.loops.is_multiple_of(HOUSEKEEPING_LOOPS);
            phase.record(after - before, has_housekeeping);
            before = after;
            if has_housekeeping {
                if is_over(self) {
                    return Ok(phase);
                }
                if began.elapsed() > PATIENCE {
                    return Err(format!("a phase has not ended after {PATIENCE:?}").into());
                }
                before = thread_cpu_ns();
            }
        }
    }

    fn turn(&mut self, burst: &mut Burst) {
        let now = self.now();
        self.traffic.receive(burst);
        burst.fetch_headers();
        self.engine
            .process(now, Origin::Nic, burst.drain(), &mut self.lab.sink);
        self.lab.sink.flush();
        self.loops += 1;
        if self.loops.is_multiple_of(HOUSEKEEPING_LOOPS) {
            self.take_commands(now);
            self.engine.housekeep(now, &mut self.lab.sink);
            self.lab.sink.flush();
        }
    }

    fn take_commands(&mut self, now: Now) {
        for _ in 0..COMMANDS_PER_ROUND {
            if let Some(answer) = self.unsent.take()
                && let Err(answer) = self.lab.sink.event(answer)
            {
                self.unsent = Some(answer);
                return;
            }
            let Ok(command) = self.commands.pop() else {
                return;
            };
            self.unsent = self.engine.apply(now, command, &mut self.lab.sink).err();
        }
    }

    fn has_service(&self, protocol: Protocol, addr: Ipv4Addr) -> bool {
        let key = ServiceKey {
            protocol,
            addr: IpAddr::V4(addr),
            port: 80,
            matcher: None,
        };
        let services = &self.engine.snapshot().services;
        services
            .get(&key)
            .is_some_and(|service| !service.dests.is_empty())
    }
}

/// Runs all phases so many times.
pub(crate) fn run(lab: &mut Lab, runs: u32, cpu: u32) -> Result<Stalls, Error> {
    let all = (0..runs).map(|_| run_once(lab, cpu));
    Ok(Stalls(all.collect::<Result<Vec<_>, _>>()?))
}

fn run_once(lab: &mut Lab, cpu: u32) -> Result<[Phase; PHASES.len()], Error> {
    let max_dests = SERVICES * DESTS_EACH + DESTS_OF_VIP;
    let (handle, ends) = worker_rings(0, max_dests);
    let devices = director::devices(lab.sink.lan_port, lab.wan_port);
    let wanted = Arc::new(AtomicU32::new(0));
    let operator = Operator {
        wanted: Arc::clone(&wanted),
        done: Arc::new(AtomicU32::new(0)),
    };
    let done = Arc::clone(&operator.done);
    let thread = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let ended = leave_cpu(cpu)
                .and_then(|()| operator.run(|| Plane::start(devices, vec![handle], max_dests)));
            if let Err(error) = ended {
                eprintln!("dpvs-bench: control plane: {error}");
            }
        })?;
    let phases = phases(lab, ends, &wanted, &done);
    wanted.store(STOP, Ordering::Release);
    thread.join().map_err(|_| "the control thread panicked")?;
    phases
}

fn phases(
    lab: &mut Lab,
    ends: WorkerEnds,
    wanted: &AtomicU32,
    done: &AtomicU32,
) -> Result<[Phase; PHASES.len()], Error> {
    let wan = lab.wan_port;
    let now = lab.now();
    let busy = frames::shuffled(BUSY_FLOWS, 1).into_iter();
    let busy: Vec<Frame> = busy.map(|flow| first_datagram(flow, wan)).collect();
    lab.sink.events = Some(ends.events);
    let pool = lab.sink.pool;
    let mut worker = Worker {
        engine: director::bare_engine(CONNS + CONNS / 8, ends.stats, now),
        lab,
        commands: ends.commands,
        unsent: None,
        traffic: Replay::new(busy, pool),
        ahead_ns: 0,
        loops: 0,
    };
    for (start, len) in worker.engine.conn_table_memory().concat() {
        dpdk::memory::make_resident(start, len);
    }
    worker.run_until(|worker| {
        done.load(Ordering::Acquire) >= SET_UP && worker.has_service(Protocol::Udp, VIP.0)
    })?;
    let flows = frames::shuffled(CONNS, 2).into_iter();
    let first = flows.map(|flow| first_datagram(flow, wan));
    worker.lab.play(&mut worker.engine, first);
    let began = Instant::now();
    let quiet = worker.run_until(|_| began.elapsed() > QUIET)?;
    wanted.store(SERVICES_LOADED, Ordering::Release);
    let last = plane::nth_vip(SERVICES - 1);
    let loading = worker.run_until(|worker| {
        done.load(Ordering::Acquire) >= SERVICES_LOADED && worker.has_service(Protocol::Tcp, last)
    })?;
    wanted.store(LADDRS_CHANGED, Ordering::Release);
    let laddrs = worker.run_until(|_| done.load(Ordering::Acquire) >= LADDRS_CHANGED)?;
    worker.ahead_ns = u64::from(CONN_TIMEOUT_S + 60) * 1_000_000_000;
    let conns = |worker: &Worker<'_>| worker.engine.stats().conns.get();
    let expiring = worker.run_until(|worker| conns(worker) <= u64::from(BUSY_FLOWS))?;
    worker.lab.sink.events = None;
    let together_ns = [quiet, loading, laddrs, expiring]
        .iter()
        .map(|phase| phase.total_ns)
        .sum();
    Ok([
        quiet,
        loading,
        laddrs,
        expiring,
        nothing_but_memory(together_ns),
    ])
}

/// A loop whose turns only read as many random cache lines as a burst has packets. Its pauses are
/// caused by the machine alone.
fn nothing_but_memory(for_ns: u64) -> Phase {
    const LINE: usize = 64;
    const READ_PER_TURN: usize = 64;
    let memory = vec![1_u8; CONNS as usize * LINE];
    let order = frames::shuffled(CONNS, 3);
    let mut order = order.iter().copied().cycle();
    let mut phase = Phase::default();
    let mut before = thread_cpu_ns();
    while phase.total_ns < for_ns {
        let lines = order.by_ref().take(READ_PER_TURN);
        let read: u32 = lines
            .map(|line| u32::from(memory[line as usize * LINE]))
            .sum();
        std::hint::black_box(read);
        let after = thread_cpu_ns();
        phase.record(after - before, false);
        before = after;
    }
    phase
}

/// What the operator is asked to do next, and what it has done.
const SET_UP: u32 = 1;
const SERVICES_LOADED: u32 = 2;
const LADDRS_CHANGED: u32 = 3;
const STOP: u32 = 4;

/// Asks control for the changes of each phase, when the worker wants the phase to begin.
struct Operator {
    wanted: Arc<AtomicU32>,
    done: Arc<AtomicU32>,
}

impl Operator {
    fn run(self, start: impl FnOnce() -> Result<Plane, Error>) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let plane = start()?;
            let channel = plane::connect(plane.socket()).await?;
            plane::set_up(&channel, DESTS_OF_VIP, CONN_TIMEOUT_S).await?;
            self.done.store(SET_UP, Ordering::Release);
            self.until_wanted(SERVICES_LOADED).await;
            let mut ipvs = IpvsServiceClient::new(channel.clone());
            let services = plane::many_services(SERVICES, DESTS_EACH);
            ipvs.apply(tokio_stream::iter(services)).await?;
            self.done.store(SERVICES_LOADED, Ordering::Release);
            self.until_wanted(LADDRS_CHANGED).await;
            let mut addresses = AddressServiceClient::new(channel);
            for number in 0..LADDR_CHANGES {
                come_and_go(&mut ipvs, &mut addresses, number).await?;
            }
            self.done.store(LADDRS_CHANGED, Ordering::Release);
            self.until_wanted(STOP).await;
            Ok(())
        })
    }

    async fn until_wanted(&self, what: u32) {
        while self.wanted.load(Ordering::Acquire) < what {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Adds a local address to the busy service, removes it, and removes the address from the device.
async fn come_and_go(
    ipvs: &mut IpvsServiceClient<tonic::transport::Channel>,
    addresses: &mut AddressServiceClient<tonic::transport::Channel>,
    number: u32,
) -> Result<(), Error> {
    let addr = Ipv4Addr::from(u32::from(LAN.0) + (201 << 8) + number % 250);
    let vip = plane::key(v1::Protocol::Udp, VIP.0, VIP.1);
    let laddr = plane::laddr_request(&vip, addr);
    ipvs.add_laddr(laddr.clone()).await?;
    tokio::time::sleep(Duration::from_millis(2)).await;
    ipvs.del_laddr(laddr).await?;
    // Control may have added the address along with the local address.
    let _ = addresses.del_address(plane::address(addr, "dpdk0")).await;
    Ok(())
}

/// Leaves the CPU to the worker, if there is another one.
fn leave_cpu(cpu: u32) -> Result<(), Error> {
    let mut set = CpuSet::new();
    let cpus = (0..CpuSet::MAX_CPU).take_while(|&at| {
        let path = format!("/sys/devices/system/cpu/cpu{at}");
        std::path::Path::new(&path).exists()
    });
    for other in cpus.filter(|&at| at != cpu as usize) {
        set.set(other);
    }
    if set.count() > 0 {
        sched_setaffinity(None, &set)?;
    }
    Ok(())
}

/// The phases of every run.
#[derive(Debug)]
pub(crate) struct Stalls(Vec<[Phase; PHASES.len()]>);

impl Stalls {
    /// The longest turn of each run in microseconds while control does something.
    pub(crate) fn worst_us(&self) -> Spread {
        let worst = |run: &[Phase; PHASES.len()]| {
            let busy = run[BUSY_PHASES].iter();
            busy.map(Phase::worst_ns).max().unwrap_or(0)
        };
        Spread::of(self.0.iter().map(|run| worst(run) as f64 / 1e3))
    }

    /// The entry of the report: the longest turns of each phase.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        for (at, name) in PHASES.iter().enumerate() {
            let of_phase = || self.0.iter().map(|run| run[at]);
            let us =
                |ns: fn(&Phase) -> u64| Spread::of(of_phase().map(|phase| ns(&phase) as f64 / 1e3));
            let mut entry = Map::new();
            us(Phase::worst_ns).put(&mut entry, "worst_us", 1);
            let housekeeping = us(|phase| phase.worst_housekeeping_ns);
            housekeeping.put(&mut entry, "worst_housekeeping_us", 1);
            us(|phase| phase.worst_forwarding_ns).put(&mut entry, "worst_forwarding_us", 1);
            let too_long: u64 = of_phase().map(|phase| phase.too_long).sum();
            let loops: u64 = of_phase().map(|phase| phase.loops).sum();
            entry.insert("loops_over_200_us".to_owned(), json!(too_long));
            entry.insert("loops".to_owned(), json!(loops));
            let total_ns: u64 = of_phase().map(|phase| phase.total_ns).sum();
            entry.insert("seconds".to_owned(), rounded(total_ns as f64 / 1e9, 2));
            object.insert((*name).to_owned(), Value::Object(entry));
        }
        Value::Object(object)
    }
}
