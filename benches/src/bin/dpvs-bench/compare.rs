//! Macswap and the director in turns of a few milliseconds on the same traffic: what the machine does
//! meanwhile happens to both.

use dpdk::{Burst, Mbuf};
use ipvs_core::{Engine, Origin};
use packet::PacketBuf;
use serde_json::{Map, Value, json};

use benches::measure::{Spread, rounded, thread_cpu_ns};

use crate::ports::Lab;
use crate::traffic::Traffic;

/// A turn of either side, of time on the CPU.
const TURN_NS: u64 = 4_000_000;
/// Bursts between two looks at the clock and two rounds of housekeeping; the latter as in the daemon.
const BURSTS: u32 = 32;

/// Rates of both sides in packets per second, one of each run.
#[derive(Debug, Default)]
pub struct Comparison {
    macswap: Vec<f64>,
    director: Vec<f64>,
}

/// Runs both sides `runs` times for `seconds` of CPU time; the first turns of each side are thrown
/// away.
pub fn compare(
    lab: &mut Lab,
    engine: &mut Engine<Mbuf>,
    traffic: &mut impl Traffic,
    runs: u32,
    seconds: f64,
) -> Comparison {
    let turns = ((seconds * 1e9 / (2.0 * TURN_NS as f64)) as usize).max(3);
    let mut comparison = Comparison::default();
    for _ in 0..runs {
        let (mut macswap, mut director) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            macswap.push(turn(|| swap(lab, traffic)));
            director.push(turn(|| forward(lab, engine, traffic)));
        }
        comparison
            .macswap
            .push(Spread::of(macswap.drain(1..)).median);
        comparison
            .director
            .push(Spread::of(director.drain(1..)).median);
    }
    comparison
}

fn turn(mut bursts: impl FnMut() -> usize) -> f64 {
    let start = thread_cpu_ns();
    let mut packets = 0;
    loop {
        packets += bursts();
        let elapsed = thread_cpu_ns() - start;
        if elapsed >= TURN_NS {
            return packets as f64 * 1e9 / elapsed as f64;
        }
    }
}

fn swap(lab: &mut Lab, traffic: &mut impl Traffic) -> usize {
    let mut burst = Burst::new();
    let mut packets = 0;
    for _ in 0..BURSTS {
        packets += traffic.receive(&mut burst);
        for mut packet in burst.drain() {
            swap_macs(&mut packet);
            lab.sink.lan.push(packet);
        }
        lab.sink.flush();
    }
    packets
}

/// What `dpdk-testpmd --forward-mode=macswap` does.
#[inline]
pub fn swap_macs(packet: &mut Mbuf) {
    if let Some(macs) = packet.bytes_mut().first_chunk_mut::<12>() {
        macs.rotate_left(6);
    }
}

/// Some bursts through the engine, as the daemon's run loop takes them.
pub fn forward(lab: &mut Lab, engine: &mut Engine<Mbuf>, traffic: &mut impl Traffic) -> usize {
    let mut burst = Burst::new();
    let mut packets = 0;
    for _ in 0..BURSTS {
        let now = lab.now();
        packets += traffic.receive(&mut burst);
        engine.process(now, Origin::Nic, burst.drain(), &mut lab.sink);
        lab.sink.flush();
    }
    engine.housekeep(lab.now(), &mut lab.sink);
    packets
}

impl Comparison {
    /// What the director adds to the cost of a packet, in nanoseconds.
    fn added_ns(&self) -> Spread {
        let pairs = self.director.iter().zip(&self.macswap);
        Spread::of(pairs.map(|(director, macswap)| 1e9 / director - 1e9 / macswap))
    }

    /// The director's rate, in packets per second.
    pub fn rate(&self) -> f64 {
        Spread::of(self.director.iter().copied()).median
    }

    /// As the report has it.
    pub fn json(&self, flows: u32) -> Value {
        let macswap = Spread::of(self.macswap.iter().copied()).scaled(1e-6);
        let director = Spread::of(self.director.iter().copied()).scaled(1e-6);
        let mut object = Map::new();
        object.insert("flows".to_owned(), json!(flows));
        macswap.put(&mut object, "macswap_mpps", 2);
        director.put(&mut object, "dpvsd_mpps", 2);
        self.added_ns().put(&mut object, "added_ns", 1);
        object.insert(
            "ratio".to_owned(),
            rounded(director.median / macswap.median, 3),
        );
        Value::Object(object)
    }
}
