//! New conns: the first packet only, into an empty table and into one that is nearly full.

use dpdk::Mbuf;
use ipvs_core::Engine;
use serde_json::{Map, Value};

use benches::director::{Spec, WAN_MAC};
use benches::frames::{self, Frame, Segment};
use benches::measure::{Spread, rounded, thread_cpu_ns};
use packet::PortId;

use crate::Error;
use crate::compare::forward;
use crate::established::{first_datagram, resident_engine};
use crate::ports::Lab;
use crate::traffic::{Replay, make_and_free};

/// The order in which the clients come.
const ARRIVAL_ORDER: u64 = 4;
/// Percent of the table that are measured: the first ones, and those from 90 on.
const SLICE_PERCENT: u64 = 5;

/// New conns per second of CPU time, without what it takes to make the packets.
#[derive(Debug)]
pub struct Arrivals {
    /// Into an empty table
    pub empty: Spread,
    /// From 90 % on
    full: Spread,
    /// What it takes to make a packet
    generator_ns: f64,
}

/// First packets of UDP flows.
pub fn udp(lab: &mut Lab, capacity: u32, runs: u32) -> Result<Arrivals, Error> {
    arrivals(lab, capacity, runs, first_datagram)
}

/// First segments of TCP flows.
pub fn tcp(lab: &mut Lab, capacity: u32, runs: u32) -> Result<Arrivals, Error> {
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
    let (mut empty, mut full, mut generator) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let mut replay = Replay::new(frames.clone(), lab.sink.pool);
        let generator_ns = generator_ns(&mut replay, slice);
        let mut replay = Replay::new(frames.clone(), lab.sink.pool);
        let mut engine = resident_engine(lab, &spec);
        let first_ns = fill(lab, &mut engine, &mut replay, slice)?;
        fill(lab, &mut engine, &mut replay, u64::from(capacity) * 9 / 10)?;
        let before = engine.stats().conns.get();
        let last_ns = fill(lab, &mut engine, &mut replay, before + slice)?;
        empty.push(1e9 / (first_ns - generator_ns));
        full.push(1e9 / (last_ns - generator_ns));
        generator.push(generator_ns);
    }
    Ok(Arrivals {
        empty: Spread::of(empty),
        full: Spread::of(full),
        generator_ns: Spread::of(generator).median,
    })
}

/// Nanoseconds to make a packet and to free it.
fn generator_ns(replay: &mut Replay, packets: u64) -> f64 {
    let start = thread_cpu_ns();
    let mut made = 0;
    while made < packets {
        made += make_and_free(replay) as u64;
    }
    (thread_cpu_ns() - start) as f64 / made as f64
}

/// Lets clients come until there are so many conns; nanoseconds for each.
fn fill(
    lab: &mut Lab,
    engine: &mut Engine<Mbuf>,
    replay: &mut Replay,
    conns: u64,
) -> Result<f64, Error> {
    let (start, before) = (thread_cpu_ns(), engine.stats().conns.get());
    let mut packets = 0;
    while engine.stats().conns.get() < conns {
        packets += forward(lab, engine, replay) as u64;
        if engine.stats().conns.get() < before + packets {
            let drops = engine.stats().drops_total();
            return Err(format!("{drops} of the first packets made no conn").into());
        }
    }
    Ok((thread_cpu_ns() - start) as f64 / packets as f64)
}

impl Arrivals {
    /// As the report has it.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        self.empty.put(&mut object, "empty_per_cpu_s", 0);
        self.full.put(&mut object, "at_90_percent_per_cpu_s", 0);
        let ratio = self.full.median / self.empty.median;
        object.insert("ratio".to_owned(), rounded(ratio, 3));
        let generator = rounded(self.generator_ns, 1);
        object.insert("generator_ns".to_owned(), generator);
        Value::Object(object)
    }
}
