//! Macswap and directors in turns of a few milliseconds on the same traffic: what the machine does
//! meanwhile happens to all of them.

use dpdk::{Burst, Mbuf};
use ipvs_core::{Engine, Origin};
use packet::PacketBuf;

use super::ports::Lab;
use super::traffic::Traffic;
use crate::timing::{Comparison, Core, Cost, Stopwatch, Timed};

/// A turn of any side, of time on the CPU.
const TURN_NS: u64 = 4_000_000;
/// What comes before it and does not count: caches are still another side's.
const WARM_UP_NS: u64 = 500_000;
/// Bursts of a lap, and between two rounds of housekeeping, as in the daemon.
pub const BURSTS: u32 = 8;

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

/// Lets all directors forward the same traffic, beside macswap.
pub fn compare<const DIRECTORS: usize>(
    lab: &mut Lab,
    engines: &mut [Engine<Mbuf>; DIRECTORS],
    traffic: &mut impl Traffic,
    effort: Effort,
) -> [Comparison; DIRECTORS] {
    let core = lab.core;
    let mut comparisons = [(); DIRECTORS].map(|()| Comparison::default());
    for _ in 0..effort.runs {
        let costs = in_turns(1 + DIRECTORS, effort.turns(), |side| {
            turn(core, || match side.checked_sub(1) {
                None => swap(lab, traffic),
                Some(at) => forward(lab, &mut engines[at], traffic),
            })
        });
        for (comparison, director) in comparisons.iter_mut().zip(&costs[1..]) {
            comparison.add_run(costs[0], *director);
        }
    }
    comparisons
}

/// Gives each side, by its number, so many turns, there and back; what its turns took, without the first.
pub fn in_turns(sides: usize, turns: usize, mut turn: impl FnMut(usize) -> Timed) -> Vec<Cost> {
    let mut taken = vec![Vec::with_capacity(turns); sides];
    for number in 0..turns {
        for at in 0..sides {
            let side = if number % 2 == 0 { at } else { sides - 1 - at };
            taken[side].push(turn(side));
        }
    }
    taken.iter().map(|turns| Cost::of(&turns[1..])).collect()
}

/// A turn of whole laps.
pub fn turn(core: Core, mut bursts: impl FnMut() -> usize) -> Timed {
    run_for(WARM_UP_NS, core, &mut bursts);
    run_for(TURN_NS, core, &mut bursts)
}

fn run_for(least_ns: u64, core: Core, bursts: &mut impl FnMut() -> usize) -> Timed {
    let mut stopwatch = Stopwatch::start(core);
    while stopwatch.timed().on_cpu.ns < least_ns {
        stopwatch.lap(bursts());
    }
    stopwatch.timed()
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
        burst.fetch_headers();
        engine.process(now, Origin::Nic, burst.drain(), &mut lab.sink);
        lab.sink.flush();
    }
    engine.housekeep(lab.now(), &mut lab.sink);
    packets
}
