//! CPU time, and how much of it had a whole core.
//!
//! A virtual CPU is a hardware thread of a core whose other thread may belong to another machine.
//! While that one is busy, this one has half of the core, which CPU time does not show. No-ops show
//! it: a core executes a fixed number of them a cycle, for both threads together.

use dpdk::tsc::rdtsc;

use benches::measure::{Spread, thread_cpu_ns};

/// Probes for the calibration, which take half a second.
const CALIBRATION_PROBES: u32 = 500_000;
/// Hundreds of no-ops in a probe, which takes about a microsecond.
const PROBE_HUNDREDS: u32 = 80;
/// A whole core takes at most this much of the least time. Changes of its clock make up a tenth. A
/// probe takes about twice the time while the other thread is busy.
const WHOLE_AT_MOST_PERCENT: u64 = 120;
/// With fewer laps there is too little of a whole core to report.
const LEAST_LAPS: u32 = 8;
/// With fewer turns there is no median to report.
const LEAST_TURNS: usize = 5;

/// The core that the worker runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core {
    /// The most that a probe takes while the other hardware thread is idle, in counts of the time
    /// stamp counter
    whole_at_most: u64,
}

impl Core {
    /// Finds out how long a probe takes with a whole core. Even a core that is mostly shared is
    /// whole for some microseconds now and then.
    pub(crate) fn calibrated() -> Self {
        let least = (0..CALIBRATION_PROBES).map(|_| probe()).min();
        Self {
            whole_at_most: least.unwrap_or(0) * WHOLE_AT_MOST_PERCENT / 100,
        }
    }

    /// Whether the other hardware thread is idle at this moment.
    #[inline]
    fn is_whole(self) -> bool {
        probe() <= self.whole_at_most
    }
}

/// How long some thousand no-ops take, in counts of the time stamp counter.
#[inline(never)]
fn probe() -> u64 {
    let start = rdtsc();
    for _ in 0..PROBE_HUNDREDS {
        // SAFETY: a no-op touches no register, no flag and no memory.
        unsafe {
            core::arch::asm!(
                ".rept 100",
                "nop",
                ".endr",
                options(nomem, nostack, preserves_flags)
            );
        }
    }
    rdtsc() - start
}

/// Work, and the CPU time that it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// How many packets or conns
    pub done: u64,
    /// Nanoseconds of CPU time
    pub ns: u64,
    /// How many laps
    laps: u32,
}

impl Tally {
    fn add(&mut self, done: u64, ns: u64) {
        self.done += done;
        self.ns += ns;
        self.laps += 1;
    }

    fn add_all(&mut self, other: Self) {
        self.done += other.done;
        self.ns += other.ns;
        self.laps += other.laps;
    }

    /// Nanoseconds of one packet or conn.
    pub(crate) fn each_ns(&self) -> f64 {
        self.ns as f64 / self.done as f64
    }
}

/// The work of all laps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timed {
    /// All laps
    pub on_cpu: Tally,
    /// The laps that began and ended with a whole core
    pub whole_core: Tally,
}

impl Timed {
    /// The work of both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.on_cpu.add_all(other.on_cpu);
        self.whole_core.add_all(other.whole_core);
        self
    }

    /// The cost of one packet or conn.
    pub(crate) fn cost(&self) -> Cost {
        let is_enough = self.whole_core.laps >= LEAST_LAPS;
        Cost {
            on_cpu_ns: self.on_cpu.each_ns(),
            whole_core_ns: is_enough.then(|| self.whole_core.each_ns()),
            whole_core_share: self.whole_core.ns as f64 / self.on_cpu.ns as f64,
        }
    }
}

/// Which part of the CPU time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// All CPU time
    OnCpu,
    /// The CPU time with a whole core
    WholeCore,
}

/// The cost of one packet or conn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Nanoseconds of CPU time
    pub on_cpu_ns: f64,
    /// Nanoseconds with a whole core, if there was enough of that
    pub whole_core_ns: Option<f64>,
    /// The share of CPU time that had a whole core
    pub whole_core_share: f64,
}

impl Cost {
    /// The median of several turns.
    pub(crate) fn of(turns: &[Timed]) -> Self {
        let costs: Vec<Self> = turns.iter().map(Timed::cost).collect();
        let whole: Vec<f64> = costs.iter().filter_map(|cost| cost.whole_core_ns).collect();
        let is_enough = whole.len() >= LEAST_TURNS;
        let all = turns.iter().copied().reduce(Timed::and).unwrap_or_default();
        Self {
            on_cpu_ns: Spread::of(costs.iter().map(|cost| cost.on_cpu_ns)).median,
            whole_core_ns: is_enough.then(|| Spread::of(whole).median),
            whole_core_share: all.cost().whole_core_share,
        }
    }

    /// The cost of so many.
    pub(crate) fn times(self, count: f64) -> Self {
        Self {
            on_cpu_ns: self.on_cpu_ns * count,
            whole_core_ns: self.whole_core_ns.map(|ns| ns * count),
            ..self
        }
    }

    /// The cost of this and of the other together.
    pub(crate) fn and(self, other: Self) -> Self {
        let whole_core = self.whole_core_ns.zip(other.whole_core_ns);
        Self {
            on_cpu_ns: self.on_cpu_ns + other.on_cpu_ns,
            whole_core_ns: whole_core.map(|(this, other)| this + other),
            ..self
        }
    }

    /// Nanoseconds, if there was enough of this time.
    pub(crate) fn ns(self, time: Time) -> Option<f64> {
        match time {
            Time::OnCpu => Some(self.on_cpu_ns),
            Time::WholeCore => self.whole_core_ns,
        }
    }
}

/// Takes the time of laps. They should be short: whether the core was whole is checked only at the
/// ends of a lap.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    core: Core,
    was_whole: bool,
    lap_start_ns: u64,
    timed: Timed,
}

impl Stopwatch {
    /// Starts the first lap.
    pub(crate) fn start(core: Core) -> Self {
        Self {
            core,
            was_whole: core.is_whole(),
            lap_start_ns: thread_cpu_ns(),
            timed: Timed::default(),
        }
    }

    /// Ends a lap in which so much was done, and starts the next.
    pub(crate) fn lap(&mut self, done: usize) {
        let ns = thread_cpu_ns() - self.lap_start_ns;
        let is_whole = self.core.is_whole();
        self.timed.on_cpu.add(done as u64, ns);
        if self.was_whole && is_whole {
            self.timed.whole_core.add(done as u64, ns);
        }
        self.was_whole = is_whole;
        self.lap_start_ns = thread_cpu_ns();
    }

    /// The work so far.
    pub(crate) fn timed(&self) -> Timed {
        self.timed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(laps: u32, whole_laps: u32, ns: u64) -> Timed {
        let tally = |laps: u32| Tally {
            done: u64::from(laps),
            ns: u64::from(laps) * ns,
            laps,
        };
        Timed {
            on_cpu: tally(laps),
            whole_core: tally(whole_laps),
        }
    }

    #[test]
    fn turns_with_too_little_of_a_whole_core_do_not_count_for_it() {
        let mut turns = vec![turn(40, LEAST_LAPS - 1, 9); 10];
        assert_eq!(Cost::of(&turns).ns(Time::WholeCore), None);
        turns.extend([turn(40, LEAST_LAPS, 4); LEAST_TURNS]);
        let cost = Cost::of(&turns);
        assert_eq!(cost.ns(Time::OnCpu), Some(9.0));
        assert_eq!(cost.ns(Time::WholeCore), Some(4.0));
    }

    #[test]
    fn a_core_is_whole_now_and_then() {
        let core = Core::calibrated();
        assert!((0..CALIBRATION_PROBES).any(|_| core.is_whole()));
    }
}
