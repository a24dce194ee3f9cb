//! Macswap and directors take the same traffic in turns of a few milliseconds, so that disturbances
//! of the machine meet all of them alike.

use dpdk::{Burst, Mbuf};
use ipvs_core::{Engine, Origin};
use packet::PacketBuf;

use super::ports::Lab;
use super::traffic::Traffic;
use crate::timing::{Comparison, Core, Cost, Stopwatch, Timed};

/// The CPU time of a turn.
const TURN_NS: u64 = 4_000_000;
/// The CPU time before a turn that does not count, since the caches still hold the data of another
/// side.
const WARM_UP_NS: u64 = 500_000;
/// Bursts of a lap, after which comes housekeeping, as in the daemon.
pub(crate) const BURSTS: u32 = 8;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// The number of runs, of which the median is reported
    pub runs: u32,
    /// The CPU time of macswap and one director in each run
    pub seconds: f64,
}

impl Effort {
    /// Turns of each side in a run.
    pub(crate) fn turns(self) -> usize {
        ((self.seconds * 1e9 / (2.0 * TURN_NS as f64)) as usize).max(3)
    }
}

/// Lets macswap and all directors forward the same traffic in turns.
pub(crate) fn compare<const DIRECTORS: usize>(
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

/// Gives each side so many turns, in ascending and descending order alternately. Returns the cost
/// of each side, without its first turn.
pub(crate) fn in_turns(
    sides: usize,
    turns: usize,
    mut turn: impl FnMut(usize) -> Timed,
) -> Vec<Cost> {
    let mut taken = vec![Vec::with_capacity(turns); sides];
    for number in 0..turns {
        for at in 0..sides {
            let side = if number % 2 == 0 { at } else { sides - 1 - at };
            taken[side].push(turn(side));
        }
    }
    taken.iter().map(|turns| Cost::of(&turns[1..])).collect()
}

/// One turn, which is made of whole laps.
pub(crate) fn turn(core: Core, mut bursts: impl FnMut() -> usize) -> Timed {
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

/// Receives some bursts and sends them back with their MAC addresses exchanged.
pub(crate) fn swap(lab: &mut Lab, traffic: &mut impl Traffic) -> usize {
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
pub(crate) fn swap_macs(packet: &mut Mbuf) {
    if let Some(macs) = packet.bytes_mut().first_chunk_mut::<12>() {
        macs.rotate_left(6);
    }
}

/// Sends some bursts through the engine, as the run loop of the daemon does.
pub(crate) fn forward(
    lab: &mut Lab,
    engine: &mut Engine<Mbuf>,
    traffic: &mut impl Traffic,
) -> usize {
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
