//! What a SYN costs where there are few of something to choose from and where there are many, in turns.

use ipvs_core::{HashOptions, HashTarget, SchedulerKind};
use serde_json::{Map, Value, json};

use benches::director::{Spec, WAN_MAC};
use benches::frames::{self, Frame, Segment};
use benches::measure::{Spread, thread_cpu_ns};

use crate::Error;
use crate::compare::{forward, in_turns};
use crate::established::resident_engine;
use crate::ports::Lab;
use crate::traffic::{Replay, make_and_free};

/// The order in which the clients come.
const ARRIVAL_ORDER: u64 = 5;
/// SYNs of a turn: some milliseconds.
const SYNS: usize = 32_768;
/// Turns of a run, of which the first does not count.
const TURNS: usize = 12;
/// Conns of a run, with room for a last burst that is not all of a turn's.
const CONNS: u32 = (TURNS * SYNS) as u32 + 65_536;

/// Two directors that differ in one number.
#[derive(Debug)]
pub struct Case {
    /// What they choose by
    name: &'static str,
    /// What is few and many
    counted: &'static str,
    few: (u32, Spec),
    many: (u32, Spec),
}

/// 1 service or 10,000 on the VIP, the same of which is called; 2 dests or 1,000, by each scheduler that looks at
/// what it has.
pub fn cases() -> Vec<Case> {
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

/// Nanoseconds of a SYN, without what it takes to make the packet.
#[derive(Debug)]
pub struct Syns {
    few: Vec<f64>,
    many: Vec<f64>,
}

/// Sends the same SYNs to both directors of a case.
pub fn run(lab: &mut Lab, case: &Case, runs: u32) -> Result<Syns, Error> {
    let order = frames::shuffled(CONNS, ARRIVAL_ORDER).into_iter();
    let frames = order.map(|flow| Segment::syn(flow).frame(WAN_MAC, lab.wan_port));
    let frames: Vec<Frame> = frames.collect();
    let mut syns = Syns {
        few: Vec::new(),
        many: Vec::new(),
    };
    for _ in 0..runs {
        let [generator, few, many] = costs(lab, case, &frames)?;
        syns.few.push(few - generator);
        syns.many.push(many - generator);
    }
    Ok(syns)
}

/// What making a packet, and a SYN to either director with it, costs in one run.
fn costs(lab: &mut Lab, case: &Case, frames: &[Frame]) -> Result<[f64; 3], Error> {
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
        cost(|| match side.checked_sub(1) {
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
    <[f64; 3]>::try_from(costs).map_err(|_| "there are three sides".into())
}

/// Nanoseconds of a packet of a turn.
fn cost(mut bursts: impl FnMut() -> usize) -> f64 {
    let start = thread_cpu_ns();
    let mut packets = 0;
    while packets < SYNS {
        packets += bursts();
    }
    (thread_cpu_ns() - start) as f64 / packets as f64
}

impl Syns {
    /// As the report has it.
    pub fn json(&self, case: &Case) -> Value {
        let mut object = Map::new();
        object.insert("scheduler".to_owned(), json!(case.name));
        object.insert("of".to_owned(), json!(case.counted));
        object.insert("few".to_owned(), json!(case.few.0));
        object.insert("many".to_owned(), json!(case.many.0));
        for (name, costs) in [("few_ns", &self.few), ("many_ns", &self.many)] {
            Spread::of(costs.iter().copied()).put(&mut object, name, 1);
        }
        let ratios = self
            .many
            .iter()
            .zip(&self.few)
            .map(|(many, few)| many / few);
        Spread::of(ratios).put(&mut object, "ratio", 3);
        Value::Object(object)
    }
}
