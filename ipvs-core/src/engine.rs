//! The engine of one worker: a batch of packets in, each of them to exactly one end.

use std::sync::Arc;

use packet::{PacketBuf, ipv4};

use crate::classify::{Aside, Flow, classify, reason_of};
use crate::closing::Closing;
use crate::conn::{ConnTable, Lookup};
use crate::connect::{Opening, Unknown};
use crate::dest_hops::DestHops;
use crate::drop_reason::DropReason;
use crate::fragments::Fragments;
use crate::held::Held;
use crate::icmp_send::ERROR_LIMIT;
use crate::io::Io;
use crate::laddrs::Laddrs;
use crate::sched::{Memory, Turn};
use crate::snapshot::Snapshot;
use crate::stats::WorkerStats;
use crate::time::Now;
use crate::tuple::HashKey;

/// Packets that go through the stages together. Enough to hide a memory access behind the others'
/// work, few enough that their headers stay in the first-level cache.
pub const BATCH: usize = 64;

/// What an engine is made with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// This worker, from 0.
    pub worker: u16,
    /// All workers. Their order decides who owns which local port.
    pub workers: u16,
    /// Most conns at once.
    pub max_conns: u32,
    /// Random per process: the conn table's hash, the initial sequence numbers.
    pub keys: Keys,
    /// Most packets that wait for neighbours at once.
    pub max_held: u32,
    /// Of those, for the same neighbour: `unres_queue_length` of DPVS.
    pub max_held_per_neighbour: u16,
}

/// Secrets, so that nobody outside can choose tuples that collide or guess sequence numbers.
#[derive(Clone, Copy)]
pub struct Keys {
    /// Of the conn table's hash
    pub conns: HashKey,
    /// Of the initial sequence numbers (RFC 6528)
    pub sequence: HashKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Where a batch of packets comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A NIC
    Nic,
    /// Another worker, which thought that the conn is here. Their marks count the hand-overs.
    Worker,
}

/// The load balancer of one worker.
#[derive(Debug)]
pub struct Engine<B> {
    pub(crate) config: EngineConfig,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Of all workers, for what must be right over all of them; `[worker]` is this one's.
    pub(crate) all_stats: Vec<Arc<WorkerStats>>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) conns: ConnTable<[u8; 4]>,
    pub(crate) laddrs: Laddrs,
    pub(crate) dest_hops: DestHops,
    pub(crate) turns: Vec<Turn>,
    pub(crate) scheduling: Memory,
    pub(crate) held: Held<B>,
    pub(crate) closing: Closing,
    pub(crate) fragments: Fragments<B>,
    /// Later fragments of this batch: their first may be in it too.
    pub(crate) later_fragments: Vec<B>,
    /// This batch had fragments.
    pub(crate) has_fragments: bool,
    pub(crate) icmp_limit: inet::RateLimit,
    pub(crate) origin: Origin,
    /// Packets whose headers are on their way into the cache.
    batch: Vec<B>,
    /// Packets whose conns are.
    work: Vec<Work<B>>,
    /// Packets that have none.
    unknown: Vec<Unknown<B>>,
    /// Packets that are getting one.
    pub(crate) openings: Vec<Opening<B>>,
}

/// A packet between the stages of its look-up.
#[derive(Debug)]
struct Work<B> {
    packet: B,
    flow: Flow,
    lookup: Lookup,
}

impl<B: PacketBuf> Engine<B> {
    /// An engine without configuration: until the first [`crate::Command::Publish`] every packet
    /// goes to the kernel. `all_stats` are those of all workers, in their order.
    ///
    /// # Panics
    /// If `all_stats` has none for this worker.
    pub fn new(config: EngineConfig, all_stats: Vec<Arc<WorkerStats>>, now: Now) -> Self {
        let stats = Arc::clone(&all_stats[usize::from(config.worker)]);
        Self {
            snapshot: Arc::default(),
            conns: ConnTable::new(config.max_conns, config.keys.conns, now.tick()),
            laddrs: Laddrs::default(),
            dest_hops: DestHops::new(stats.max_dests()),
            turns: Vec::new(),
            scheduling: Memory::new(stats.max_dests()),
            held: Held::new(config.max_held, config.max_held_per_neighbour),
            closing: Closing::default(),
            fragments: Fragments::new(config.keys.conns),
            later_fragments: Vec::with_capacity(BATCH),
            has_fragments: false,
            icmp_limit: ERROR_LIMIT,
            origin: Origin::Nic,
            batch: Vec::with_capacity(BATCH),
            work: Vec::with_capacity(BATCH),
            unknown: Vec::with_capacity(BATCH),
            openings: Vec::with_capacity(BATCH),
            all_stats,
            stats,
            config,
        }
    }

    /// What this worker counts.
    pub fn stats(&self) -> &Arc<WorkerStats> {
        &self.stats
    }

    /// The configuration it forwards by.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Bytes of the conn table when full.
    pub fn conn_table_bytes(&self) -> usize {
        self.conns.bytes()
    }

    /// Where the memory of the conn table is, and how many bytes each part has.
    pub fn conn_table_memory(&self) -> [(*const u8, usize); 3] {
        self.conns.memory()
    }

    /// Takes packets from NICs or from other workers to their ends. At most [`BATCH`] of them go
    /// through the stages together; more are taken in several rounds.
    #[inline]
    pub fn process(
        &mut self,
        now: Now,
        origin: Origin,
        mut packets: impl Iterator<Item = B>,
        io: &mut impl Io<B>,
    ) {
        self.origin = origin;
        let mut batch = std::mem::take(&mut self.batch);
        loop {
            for packet in packets.by_ref().take(BATCH) {
                packet.prefetch();
                batch.push(packet);
            }
            if batch.is_empty() {
                break;
            }
            self.stats.received.add(batch.len() as u64);
            if origin == Origin::Worker {
                self.stats.redirected_in.add(batch.len() as u64);
            }
            self.run_stages(now, &mut batch, io);
        }
        self.batch = batch;
    }

    /// One stage for all packets, then the next: what a stage prefetches is there when the next wants it.
    #[inline]
    fn run_stages(&mut self, now: Now, batch: &mut Vec<B>, io: &mut impl Io<B>) {
        let mut work = std::mem::take(&mut self.work);
        let mut unknown = std::mem::take(&mut self.unknown);
        let mut has_first_fragments = false;
        for mut packet in batch.drain(..) {
            match self.classify(&mut packet, io) {
                Ok(flow) => {
                    // Noted later: a reference taken here would keep every packet's flow in memory instead of
                    // in registers, a quarter of the whole cost.
                    has_first_fragments |= flow.is_fragment;
                    work.push(Work {
                        lookup: self.conns.begin(&flow.tuple),
                        packet,
                        flow,
                    });
                }
                Err(aside) => self.take_aside(now, packet, aside, io),
            }
        }
        if has_first_fragments {
            self.note_first_fragments(now, &mut work);
        }
        for item in &mut work {
            self.conns.choose(&mut item.lookup);
        }
        for item in &mut work {
            self.conns.choose_again(&mut item.lookup);
        }
        for Work {
            packet,
            flow,
            lookup,
        } in work.drain(..)
        {
            match self.conns.finish(&lookup, &flow.tuple) {
                Some(found) => self.forward(now, packet, &flow, found, io),
                None => unknown.push(Unknown {
                    packet,
                    flow,
                    lookup,
                }),
            }
        }
        if !unknown.is_empty() {
            self.connect_all(now, &mut unknown, io);
        }
        self.work = work;
        self.unknown = unknown;
        if self.has_fragments {
            self.follow_first_fragments(now, io);
        }
    }

    /// Their later ones find the way by these notes.
    #[cold]
    #[inline(never)]
    fn note_first_fragments(&mut self, now: Now, work: &mut [Work<B>]) {
        for item in work.iter_mut().filter(|item| item.flow.is_fragment) {
            self.note_fragment(now, &mut item.packet, &item.flow);
        }
    }

    #[inline(always)]
    fn classify(&self, packet: &mut B, io: &mut impl Io<B>) -> Result<Flow, Aside> {
        let Some(device) = self.snapshot.net.device_of(packet.port()) else {
            return Err(Aside::Kernel);
        };
        if device.forward_to_kni {
            self.show_to_kernel(packet, io);
        }
        classify(packet, device.mac)
    }

    #[cold]
    fn show_to_kernel(&self, packet: &B, io: &mut impl Io<B>) {
        io.copy_to_kernel(packet);
        self.stats.received.add(1);
        self.stats.originated.add(1);
        self.stats.to_kernel.add(1);
    }

    /// What needs no conn of its own, or is for nobody.
    #[cold]
    fn take_aside(&mut self, now: Now, mut packet: B, aside: Aside, io: &mut impl Io<B>) {
        match aside {
            Aside::Icmp | Aside::Fragment => match ipv4::check(&mut packet) {
                Ok(ip) if ip.is_fragment => self.receive_fragment(packet, &ip, io),
                Ok(ip) => self.receive_icmp(now, packet, &ip, io),
                Err(error) => self.drop(packet, reason_of(error)),
            },
            Aside::Arp => self.receive_arp(packet, io),
            Aside::Kernel => self.to_kernel(packet, io),
            Aside::Drop(reason) => self.drop(packet, reason),
        }
    }

    /// Ends a packet that is of no use to anyone.
    #[inline]
    pub(crate) fn drop(&self, packet: B, reason: DropReason) {
        self.stats.drops_by(reason).add(1);
        drop(packet);
    }

    /// Gives a packet to whom it may concern behind the kni device.
    #[inline]
    pub(crate) fn to_kernel(&self, packet: B, io: &mut impl Io<B>) {
        let has_kni = self
            .snapshot
            .net
            .device_of(packet.port())
            .is_none_or(|device| device.kni);
        if has_kni {
            self.stats.to_kernel.add(1);
            io.to_kernel(packet);
        } else {
            self.drop(packet, DropReason::KniDisabled);
        }
    }

    /// How often a packet was handed over already. What a NIC's driver leaves in the mark means nothing.
    pub(crate) fn hand_overs(&self, packet: &B) -> u32 {
        match self.origin {
            Origin::Nic => 0,
            Origin::Worker => packet.mark(),
        }
    }

    /// Hands a packet to the worker whose conn it belongs to.
    pub(crate) fn redirect(&self, mut packet: B, worker: u16, io: &mut impl Io<B>) {
        packet.set_mark(self.hand_overs(&packet) + 1);
        self.stats.redirected.add(1);
        io.redirect(worker, packet);
    }
}
