//! What an engine has once, whatever the family of a packet.

use std::sync::Arc;

use packet::PacketBuf;

use crate::command::Event;
use crate::dest_hops::DestHops;
use crate::drop_reason::DropReason;
use crate::engine::{EngineConfig, Origin};
use crate::held::Held;
use crate::icmp_send::ERROR_LIMIT;
use crate::io::Io;
use crate::laddrs::Laddrs;
use crate::sched::{Memory, Turn};
use crate::snapshot::Snapshot;
use crate::stats::WorkerStats;

/// The part of an engine that both lanes work with.
#[derive(Debug)]
pub(crate) struct Shared<B> {
    pub(crate) config: EngineConfig,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Of all workers, for what must be right over all of them; `[worker]` is this one's.
    pub(crate) all_stats: Vec<Arc<WorkerStats>>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) laddrs: Laddrs,
    pub(crate) dest_hops: DestHops,
    pub(crate) turns: Vec<Turn>,
    pub(crate) scheduling: Memory,
    pub(crate) held: Held<B>,
    pub(crate) icmp_limit: inet::RateLimit,
    pub(crate) origin: Origin,
}

impl<B: PacketBuf> Shared<B> {
    pub(crate) fn new(config: EngineConfig, all_stats: Vec<Arc<WorkerStats>>) -> Self {
        let stats = Arc::clone(&all_stats[usize::from(config.worker)]);
        Self {
            snapshot: Arc::default(),
            laddrs: Laddrs::default(),
            dest_hops: DestHops::new(stats.max_dests()),
            turns: Vec::new(),
            scheduling: Memory::new(stats.max_dests()),
            held: Held::new(config.max_held, config.max_held_per_neighbour),
            icmp_limit: ERROR_LIMIT,
            origin: Origin::Nic,
            all_stats,
            stats,
            config,
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

    /// Tells control; an event that finds no room is counted and lost, and its cause comes again.
    pub(crate) fn tell(&self, event: Event, io: &mut impl Io<B>) {
        if io.event(event).is_err() {
            self.stats.events_lost.add(1);
        }
    }

    #[cold]
    pub(crate) fn show_to_kernel(&self, packet: &B, io: &mut impl Io<B>) {
        io.copy_to_kernel(packet);
        self.stats.received.add(1);
        self.stats.originated.add(1);
        self.stats.to_kernel.add(1);
    }
}
