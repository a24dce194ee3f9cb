//! Macswap and directors in turns of a few milliseconds on the same traffic: what the machine does
//! meanwhile happens to all of them.

use dpdk::{Burst, Mbuf};
use ipvs_core::{Engine, Origin};
use packet::PacketBuf;
use serde_json::{Map, Value, json};

use benches::measure::{Spread, rounded, thread_cpu_ns};

use crate::ports::Lab;
use crate::traffic::Traffic;

/// A turn of any side, of time on the CPU.
const TURN_NS: u64 = 4_000_000;
/// What comes before it and does not count: caches are still another side's.
const WARM_UP_NS: u64 = 500_000;
/// Bursts between two looks at the clock and two rounds of housekeeping; the latter as in the daemon.
const BURSTS: u32 = 32;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Of these the median counts
    pub runs: u32,
    /// CPU time of macswap and one director in each
    pub seconds: f64,
}

impl Effort {
    /// Turns of each side in a run.
    pub fn turns(self) -> usize {
        ((self.seconds * 1e9 / (2.0 * TURN_NS as f64)) as usize).max(3)
    }
}

/// Rates of macswap and a director in packets per second, one of each run.
#[derive(Debug)]
pub struct Comparison {
    macswap: Vec<f64>,
    director: Vec<f64>,
}

/// Lets all directors forward the same traffic, beside macswap.
pub fn compare<const DIRECTORS: usize>(
    lab: &mut Lab,
    engines: &mut [Engine<Mbuf>; DIRECTORS],
    traffic: &mut impl Traffic,
    effort: Effort,
) -> [Comparison; DIRECTORS] {
    let mut comparisons = [const { Comparison::new() }; DIRECTORS];
    for _ in 0..effort.runs {
        let rates = in_turns(1 + DIRECTORS, effort.turns(), |side| {
            rate(|| match side.checked_sub(1) {
                None => swap(lab, traffic),
                Some(at) => forward(lab, &mut engines[at], traffic),
            })
        });
        for (comparison, director) in comparisons.iter_mut().zip(&rates[1..]) {
            comparison.add_run(rates[0], *director);
        }
    }
    comparisons
}

/// Gives each side, by its number, so many turns, there and back; the median of what its turns gave, without the first.
pub fn in_turns(sides: usize, turns: usize, mut turn: impl FnMut(usize) -> f64) -> Vec<f64> {
    let mut given = vec![Vec::with_capacity(turns); sides];
    for number in 0..turns {
        for at in 0..sides {
            let side = if number % 2 == 0 { at } else { sides - 1 - at };
            given[side].push(turn(side));
        }
    }
    let medians = given.iter().map(|given| {
        let counted = given.iter().skip(1).copied();
        Spread::of(counted).median
    });
    medians.collect()
}

/// Packets per second of a turn.
pub fn rate(mut bursts: impl FnMut() -> usize) -> f64 {
    run_for(WARM_UP_NS, &mut bursts);
    let (packets, ns) = run_for(TURN_NS, &mut bursts);
    packets as f64 * 1e9 / ns as f64
}

/// Packets, and nanoseconds on the CPU.
fn run_for(least_ns: u64, bursts: &mut impl FnMut() -> usize) -> (usize, u64) {
    let start = thread_cpu_ns();
    let mut packets = 0;
    loop {
        packets += bursts();
        let elapsed = thread_cpu_ns() - start;
        if elapsed >= least_ns {
            return (packets, elapsed);
        }
    }
}

/// Some bursts whose MAC addresses are exchanged.
pub fn swap(lab: &mut Lab, traffic: &mut impl Traffic) -> usize {
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
    /// Of no runs yet.
    pub const fn new() -> Self {
        Self {
            macswap: Vec::new(),
            director: Vec::new(),
        }
    }

    /// The rates of a run.
    pub fn add_run(&mut self, macswap: f64, director: f64) {
        self.macswap.push(macswap);
        self.director.push(director);
    }

    /// The rate of a director to another's, run by run.
    pub fn to(&self, other: &Self) -> Spread {
        let pairs = self.director.iter().zip(&other.director);
        Spread::of(pairs.map(|(this, other)| this / other))
    }

    /// What a director adds to macswap, to what another adds, run by run.
    pub fn added_to(&self, other: &Self) -> Spread {
        let pairs = self.added().zip(other.added());
        Spread::of(pairs.map(|(this, other)| this / other))
    }

    /// What the director adds to the cost of a packet in each run, in nanoseconds.
    fn added(&self) -> impl Iterator<Item = f64> {
        let pairs = self.director.iter().zip(&self.macswap);
        pairs.map(|(director, macswap)| 1e9 / director - 1e9 / macswap)
    }

    /// As the report has it.
    pub fn json(&self, flows: u32) -> Value {
        let macswap = Spread::of(self.macswap.iter().copied()).scaled(1e-6);
        let director = Spread::of(self.director.iter().copied()).scaled(1e-6);
        let mut object = Map::new();
        object.insert("flows".to_owned(), json!(flows));
        macswap.put(&mut object, "macswap_mpps", 2);
        director.put(&mut object, "dpvsd_mpps", 2);
        Spread::of(self.added()).put(&mut object, "added_ns", 1);
        object.insert(
            "ratio".to_owned(),
            rounded(director.median / macswap.median, 3),
        );
        Value::Object(object)
    }
}
