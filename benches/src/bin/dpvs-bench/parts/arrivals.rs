//! New conns: only their first packets, with an empty conn table and with one that is nearly full.

use dpdk::Mbuf;
use ipvs_core::Engine;
use serde_json::{Map, Value};

use benches::director::{Spec, WAN_MAC};
use benches::frames::{self, Frame, Segment};
use benches::measure::{Spread, rounded};
use packet::PortId;

use crate::error::Error;
use crate::lab::{BURSTS, Lab, Replay, first_datagram, forward, make_and_free, resident_engine};
use crate::timing::{Core, Cost, Stopwatch, Time, Timed, by_both_times};

/// The seed of the order in which the clients come.
const ARRIVAL_ORDER: u64 = 4;
/// How many percent of the table are filled while time is taken: the first percent, and those from
/// 90 % on.
const SLICE_PERCENT: u64 = 5;

/// The cost of new conns, run by run.
#[derive(Debug)]
pub(crate) struct Arrivals {
    runs: Vec<Run>,
}

/// The cost of one packet. That of a conn includes making the packet.
#[derive(Debug, Clone, Copy)]
struct Run {
    generator: Cost,
    /// With an empty table
    empty: Cost,
    /// With a table that is 90 % full
    full: Cost,
}

/// First packets of UDP flows.
pub(crate) fn udp(lab: &mut Lab, capacity: u32, runs: u32) -> Result<Arrivals, Error> {
    arrivals(lab, capacity, runs, first_datagram)
}

/// First segments of TCP flows.
pub(crate) fn tcp(lab: &mut Lab, capacity: u32, runs: u32) -> Result<Arrivals, Error> {
    arrivals(lab, capacity, runs, |flow, wan| {
        Segment::syn(flow).frame(WAN_MAC, wan)
    })
}

fn arrivals(
    lab: &mut Lab,
    capacity: u32,
    runs: u32,
    first: impl Fn(u32, PortId) -> Frame,
) -> Result<Arrivals, Error> {
    let spec = Spec {
        lan: lab.sink.lan_port,
        wan: lab.wan_port,
        max_conns: capacity,
        ..Spec::default()
    };
    let order = frames::shuffled(capacity, ARRIVAL_ORDER).into_iter();
    let frames: Vec<Frame> = order.map(|flow| first(flow, spec.wan)).collect();
    let slice = u64::from(capacity) * SLICE_PERCENT / 100;
    let mut arrivals = Arrivals { runs: Vec::new() };
    for _ in 0..runs {
        let mut replay = Replay::new(frames.clone(), lab.sink.pool);
        let generator = make(lab.core, &mut replay, slice);
        let mut replay = Replay::new(frames.clone(), lab.sink.pool);
        let mut engine = resident_engine(lab, &spec);
        let empty = fill(lab, &mut engine, &mut replay, slice)?;
        fill(lab, &mut engine, &mut replay, u64::from(capacity) * 9 / 10)?;
        let before = engine.stats().conns.get();
        let full = fill(lab, &mut engine, &mut replay, before + slice)?;
        arrivals.runs.push(Run {
            generator: generator.cost(),
            empty: empty.cost(),
            full: full.cost(),
        });
    }
    Ok(arrivals)
}

/// Makes packets and frees them.
fn make(core: Core, replay: &mut Replay, packets: u64) -> Timed {
    let mut stopwatch = Stopwatch::start(core);
    while stopwatch.timed().on_cpu.done < packets {
        stopwatch.lap((0..BURSTS).map(|_| make_and_free(replay)).sum());
    }
    stopwatch.timed()
}

/// Receives first packets until there are so many conns.
fn fill(
    lab: &mut Lab,
    engine: &mut Engine<Mbuf>,
    replay: &mut Replay,
    conns: u64,
) -> Result<Timed, Error> {
    let before = engine.stats().conns.get();
    let mut stopwatch = Stopwatch::start(lab.core);
    while engine.stats().conns.get() < conns {
        stopwatch.lap(forward(lab, engine, replay));
        if engine.stats().conns.get() < before + stopwatch.timed().on_cpu.done {
            let drops = engine.stats().drops_total();
            return Err(format!("{drops} of the first packets made no conn").into());
        }
    }
    Ok(stopwatch.timed())
}

/// Conns per second, without the cost of making the packets.
#[derive(Debug, Clone, Copy)]
struct Rates {
    empty: f64,
    full: f64,
}

impl Run {
    fn rates(&self, time: Time) -> Option<Rates> {
        let generator = self.generator.ns(time)?;
        Some(Rates {
            empty: 1e9 / (self.empty.ns(time)? - generator),
            full: 1e9 / (self.full.ns(time)? - generator),
        })
    }
}

impl Arrivals {
    /// Conns per second of CPU time with an empty table.
    pub(crate) fn to_empty_table(&self) -> Spread {
        let rates = self.runs.iter().filter_map(|run| run.rates(Time::OnCpu));
        Spread::of(rates.map(|rates| rates.empty))
    }

    /// The entry of the report.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        let costs = self.runs.iter().flat_map(|run| [&run.empty, &run.full]);
        by_both_times(&mut object, costs, |time, object| self.put(time, object));
        let generator = self.runs.iter().map(|run| run.generator.on_cpu_ns);
        let generator = rounded(Spread::of(generator).median, 1);
        object.insert("generator_ns".to_owned(), generator);
        Value::Object(object)
    }

    fn put(&self, time: Time, object: &mut Map<String, Value>) {
        let rates: Vec<Rates> = self.runs.iter().filter_map(|run| run.rates(time)).collect();
        if rates.is_empty() {
            return;
        }
        let empty = Spread::of(rates.iter().map(|rates| rates.empty));
        let full = Spread::of(rates.iter().map(|rates| rates.full));
        empty.put(object, "empty_per_cpu_s", 0);
        full.put(object, "at_90_percent_per_cpu_s", 0);
        object.insert("ratio".to_owned(), rounded(full.median / empty.median, 3));
    }
}
