//! The run loop of a worker lcore. Each packet runs to completion: from rx_burst to tx_burst on the
//! same lcore.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use control::LoopStats;
use crossbeam_utils::CachePadded;
use dpdk::{Burst, Mbuf};
use ipvs_core::{Command, Engine, Event, Io as _, Now, Origin};

use crate::config::Idle;

use super::clock::Clock;
use super::shell::Shell;

/// While packets come, housekeeping is done in one of this many turns of the loop.
const HOUSEKEEPING_LOOPS: u64 = 8;
/// Most commands of control that are carried out per housekeeping. Each is short, and so must they
/// be together.
const COMMANDS_PER_ROUND: usize = 16;
/// Most packets of the kernel that are sent per housekeeping.
const KERNEL_BURST: usize = 64;

/// One worker lcore with all it owns.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Decides about packets.
    pub(super) engine: Engine<Mbuf>,
    /// The queues and rings.
    pub(super) shell: Shell,
    /// Commands of control.
    pub(super) commands: rtrb::Consumer<Command>,
    /// The time.
    pub(super) clock: Clock,
    /// What to do when no packet comes.
    pub(super) idle: Idle,
    /// What the loop counts. Control reads it, and no other worker's counters share its cache
    /// lines.
    pub(super) stats: Arc<CachePadded<LoopStats>>,
    /// An answer to control that found its ring full. No further command is taken before it is
    /// sent.
    pub(super) unsent: Option<Event>,
}

impl Worker {
    /// Runs until told to stop.
    pub(crate) fn run(mut self, stop: &AtomicBool) {
        let mut burst = Burst::new();
        let mut empty_loops = 0;
        while !stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            let received = self.process_received(now, &mut burst);
            let redirected = self.process_redirected(now, &mut burst);
            self.shell.tx_burst();
            let packets = received + redirected;
            if packets == 0 || self.stats.loops.get().is_multiple_of(HOUSEKEEPING_LOOPS) {
                self.housekeep(now);
            }
            self.stats.record(self.clock.now().ns - now.ns, packets > 0);
            empty_loops = if packets == 0 { empty_loops + 1 } else { 0 };
            self.rest(empty_loops);
        }
    }

    /// rx_burst of every port, and each burst through the engine. Returns the number of packets.
    fn process_received(&mut self, now: Now, burst: &mut Burst) -> usize {
        let mut packets = 0;
        for port in 0..self.shell.ports() {
            let received = self.shell.rx_burst(port, burst);
            self.stats.record_burst(received, dpdk::burst::CAPACITY);
            if received > 0 {
                packets += received;
                self.stats.rx_bytes.add(burst.bytes());
                self.process(now, Origin::Nic, burst);
            }
        }
        packets
    }

    /// The packets that other workers handed over, through the engine. Returns their number.
    fn process_redirected(&mut self, now: Now, burst: &mut Burst) -> usize {
        let mut packets = 0;
        for ring in 0..self.shell.rings.redirect.from.len() {
            while !burst.is_full()
                && let Ok(packet) = self.shell.rings.redirect.from[ring].pop()
            {
                burst.push(packet);
            }
            if !burst.is_empty() {
                packets += burst.len();
                self.process(now, Origin::Worker, burst);
            }
        }
        packets
    }

    #[inline(always)]
    fn process(&mut self, now: Now, origin: Origin, burst: &mut Burst) {
        burst.fetch_headers();
        self.engine
            .process(now, origin, burst.drain(), &mut self.shell);
    }

    /// What need not be done for every burst: commands, timers, packets of the kernel.
    fn housekeep(&mut self, now: Now) {
        self.take_commands(now);
        self.engine.housekeep(now, &mut self.shell);
        self.shell.send_for_kernel(KERNEL_BURST);
        self.shell.tx_burst();
        self.shell.keep_alive();
        self.stats.tx_bytes.set(self.shell.tx_bytes);
    }

    fn take_commands(&mut self, now: Now) {
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
