//! The run loop of a worker lcore: run to completion, from the NIC to the NIC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control::LoopStats;
use dpdk::{Burst, Mbuf};
use ipvs_core::{Command, Engine, Event, Now, Origin};

use crate::clock::Clock;
use crate::shell::Shell;

/// Loops between two rounds of housekeeping, when there is work.
const HOUSEKEEPING_LOOPS: u64 = 8;
/// Commands of control carried out per round: each is short, together they must stay so.
const COMMANDS_PER_ROUND: usize = 16;
/// Packets of the kernel sent per round.
const KERNEL_BURST: usize = 64;

/// What a worker does when nothing comes.
#[derive(Debug, Clone, Copy)]
pub enum Idle {
    /// Polls on: the lowest latency, a whole CPU.
    Poll,
    /// Sleeps for a moment after so many loops without a packet.
    Sleep {
        /// Empty loops before the first sleep
        after_loops: u32,
        /// How long, each time
        pause: Duration,
    },
}

/// One worker lcore with all it owns.
#[derive(Debug)]
pub struct Worker {
    /// Decides about packets
    pub engine: Engine<Mbuf>,
    /// Queues and rings
    pub shell: Shell,
    /// From control
    pub commands: rtrb::Consumer<Command>,
    /// The time
    pub clock: Clock,
    /// When nothing comes
    pub idle: Idle,
    /// What the loop counts
    pub stats: Arc<LoopStats>,
    /// An answer to control that found its ring full: nothing more is taken from control before
    /// it has left.
    pub unsent: Option<Event>,
}

impl Worker {
    /// Runs until told to stop.
    pub fn run(mut self, stop: &AtomicBool) {
        let mut burst = Burst::new();
        let mut empty_loops = 0;
        while !stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            let packets = self.receive(now, &mut burst) + self.take_redirected(now, &mut burst);
            self.shell.flush();
            if packets == 0 || self.stats.loops.get().is_multiple_of(HOUSEKEEPING_LOOPS) {
                self.keep_house(now);
            }
            self.stats.record(self.clock.now().ns - now.ns, packets > 0);
            empty_loops = if packets == 0 { empty_loops + 1 } else { 0 };
            self.rest(empty_loops);
        }
    }

    fn receive(&mut self, now: Now, burst: &mut Burst) -> usize {
        let mut packets = 0;
        for at in 0..self.shell.ports() {
            let received = self.shell.receive(at, burst);
            self.stats.record_burst(received, dpdk::burst::CAPACITY);
            if received > 0 {
                packets += received;
                self.stats.rx_bytes.add(burst.bytes());
                burst.fetch_headers();
                self.engine
                    .process(now, Origin::Nic, burst.drain(), &mut self.shell);
            }
        }
        packets
    }

    fn take_redirected(&mut self, now: Now, burst: &mut Burst) -> usize {
        let mut packets = 0;
        for at in 0..self.shell.rings.redirect_from.len() {
            while !burst.is_full()
                && let Ok(packet) = self.shell.rings.redirect_from[at].pop()
            {
                burst.push(packet);
            }
            if !burst.is_empty() {
                packets += burst.len();
                burst.fetch_headers();
                self.engine
                    .process(now, Origin::Worker, burst.drain(), &mut self.shell);
            }
        }
        packets
    }

    /// What need not be done for every burst.
    fn keep_house(&mut self, now: Now) {
        self.take_commands(now);
        self.engine.housekeep(now, &mut self.shell);
        self.shell.send_for_kernel(KERNEL_BURST);
        self.shell.flush();
        self.shell.keep_alive();
        self.stats.tx_bytes.set(self.shell.tx_bytes);
    }

    fn take_commands(&mut self, now: Now) {
        use ipvs_core::Io as _;
        for _ in 0..COMMANDS_PER_ROUND {
            if let Some(answer) = self.unsent.take()
                && let Err(answer) = self.shell.event(answer)
            {
                self.unsent = Some(answer);
                return;
            }
            let Ok(command) = self.commands.pop() else {
                return;
            };
            self.unsent = self.engine.apply(now, command, &mut self.shell).err();
        }
    }

    fn rest(&self, empty_loops: u32) {
        match self.idle {
            Idle::Sleep { after_loops, pause } if empty_loops > after_loops => {
                std::thread::sleep(pause)
            }
            _ => std::hint::spin_loop(),
        }
    }
}
