//! The cost of a SYN with few services or dests and with many, in turns.

use ipvs_core::{HashOptions, HashTarget, SchedulerKind};
use serde_json::{Map, Value, json};

use benches::director::{Spec, WAN_MAC};
use benches::frames::{self, Frame, Segment};
use benches::measure::Spread;

use crate::error::Error;
use crate::lab::{Lab, Replay, forward, in_turns, make_and_free, resident_engine};
use crate::timing::{Core, Cost, Stopwatch, Time, Timed, by_both_times};

/// The seed of the order in which the clients come.
const ARRIVAL_ORDER: u64 = 5;
/// SYNs of a turn, which take some milliseconds.
const SYNS: u64 = 32_768;
/// Turns of a run, of which the first does not count.
const TURNS: usize = 12;
/// Conns of a run, with room for bursts that go beyond the end of a turn.
const CONNS: u32 = TURNS as u32 * SYNS as u32 + 65_536;

/// Two directors that differ in one number.
#[derive(Debug)]
pub(crate) struct Case {
    /// The scheduler
    name: &'static str,
    /// What there are few or many of
    counted: &'static str,
    few: (u32, Spec),
    many: (u32, Spec),
}

/// One service on the VIP or 10,000, with SYNs to one of them. Two dests or 1,000, with each
/// scheduler whose cost could depend on that.
pub(crate) fn cases() -> Vec<Case> {
    let by_port = HashOptions {
        port: true,
        ..HashOptions::default()
    };
    let schedulers = [
        ("rr", SchedulerKind::Rr),
        ("wrr", SchedulerKind::Wrr),
        ("lc", SchedulerKind::Lc),
        ("wlc", SchedulerKind::Wlc),
        ("sed", SchedulerKind::Sed),
        ("nq", SchedulerKind::Nq),
        ("sh", SchedulerKind::Sh(by_port)),
        ("mh", SchedulerKind::Mh(by_port)),
        ("conhash", SchedulerKind::Conhash(HashTarget::Sip)),
    ];
    let by_dests = schedulers.map(|(name, scheduler)| {
        let of = |dests| {
            let spec = Spec {
                dests,
                scheduler,
                ..Spec::default()
            };
            (dests, spec)
        };
        Case {
            name,
            counted: "dests",
            few: of(2),
            many: of(1_000),
        }
    });
    let of = |services| {
        let spec = Spec {
            services,
            dests: 2,
            ..Spec::default()
        };
        (services, spec)
    };
    let by_services = Case {
        name: "rr",
        counted: "services",
        few: of(1),
        many: of(10_000),
    };
    std::iter::once(by_services).chain(by_dests).collect()
}

/// The cost of a SYN with few and with many, run by run.
#[derive(Debug)]
pub(crate) struct Syns {
    runs: Vec<Run>,
}

/// The cost of one packet. That of a director includes making the packet.
#[derive(Debug, Clone, Copy)]
struct Run {
    generator: Cost,
    few: Cost,
    many: Cost,
}

/// Sends the same SYNs to both directors of a case.
pub(crate) fn run(lab: &mut Lab, case: &Case, runs: u32) -> Result<Syns, Error> {
    let order = frames::shuffled(CONNS, ARRIVAL_ORDER).into_iter();
    let frames = order.map(|flow| Segment::syn(flow).frame(WAN_MAC, lab.wan_port));
    let frames: Vec<Frame> = frames.collect();
    let runs = (0..runs).map(|_| costs(lab, case, &frames));
    Ok(Syns {
        runs: runs.collect::<Result<_, _>>()?,
    })
}

fn costs(lab: &mut Lab, case: &Case, frames: &[Frame]) -> Result<Run, Error> {
    let core = lab.core;
    let mut engines = [&case.few, &case.many].map(|(_, spec)| {
        let spec = Spec {
            lan: lab.sink.lan_port,
            wan: lab.wan_port,
            max_conns: CONNS,
            ..spec.clone()
        };
        resident_engine(lab, &spec)
    });
    let mut replays = [(); 3].map(|()| Replay::new(frames.to_vec(), lab.sink.pool));
    let costs = in_turns(3, TURNS, |side| {
        let replay = &mut replays[side];
        turn(core, || match side.checked_sub(1) {
            None => make_and_free(replay),
            Some(at) => forward(lab, &mut engines[at], replay),
        })
    });
    for engine in &engines {
        let stats = engine.stats();
        if stats.conns.get() != stats.received.get() {
            return Err(format!("{} SYNs made no conn", stats.drops_total()).into());
        }
    }
    match costs[..] {
        [generator, few, many] => Ok(Run {
            generator,
            few,
            many,
        }),
        _ => Err("there are three sides".into()),
    }
}

/// A turn of so many SYNs.
fn turn(core: Core, mut bursts: impl FnMut() -> usize) -> Timed {
    let mut stopwatch = Stopwatch::start(core);
    while stopwatch.timed().on_cpu.done < SYNS {
        stopwatch.lap(bursts());
    }
    stopwatch.timed()
}

impl Run {
    /// Nanoseconds of a SYN with few and with many, without the cost of making the packet.
    fn ns(&self, time: Time) -> Option<(f64, f64)> {
        let generator = self.generator.ns(time)?;
        Some((
            self.few.ns(time)? - generator,
            self.many.ns(time)? - generator,
        ))
    }
}

impl Syns {
    /// The entry of the report.
    pub(crate) fn json(&self, case: &Case) -> Value {
        let mut object = Map::new();
        object.insert("scheduler".to_owned(), json!(case.name));
        object.insert("of".to_owned(), json!(case.counted));
        object.insert("few".to_owned(), json!(case.few.0));
        object.insert("many".to_owned(), json!(case.many.0));
        let costs = self.runs.iter().map(|run| &run.many);
        by_both_times(&mut object, costs, |time, object| self.put(time, object));
        Value::Object(object)
    }

    fn put(&self, time: Time, object: &mut Map<String, Value>) {
        let costs: Vec<(f64, f64)> = self.runs.iter().filter_map(|run| run.ns(time)).collect();
        if costs.is_empty() {
            return;
        }
        Spread::of(costs.iter().map(|(few, _)| *few)).put(object, "few_ns", 1);
        Spread::of(costs.iter().map(|(_, many)| *many)).put(object, "many_ns", 1);
        let ratios = costs.iter().map(|(few, many)| many / few);
        Spread::of(ratios).put(object, "ratio", 3);
    }
}
