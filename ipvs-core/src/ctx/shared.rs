//! The part of an engine that does not depend on the address family.

use std::sync::Arc;

use packet::PacketBuf;

use rss::WorkerId;

use crate::config::{DestId, Event, Service, ServiceId, Snapshot};
use crate::conn::WaysBack;
use crate::drop_reason::DropReason;
use crate::engine_config::{EngineConfig, Origin};
use crate::io::{Handoff, Io};
use crate::sched::{Load, Scheduling};
use crate::state::{
    DestCache, Identifications, Laddrs, NeighQueue, ServiceState, SharedState, WorkerStats,
    load_of, service_state_of,
};
use crate::time::Now;

/// ICMP errors per worker: 1000 a second, 100 in a burst. RFC 1812, 4.3.2.8 and RFC 4443, 2.4 (f)
/// ask for a limit.
const ICMP_ERROR_LIMIT: inet::RateLimit = inet::RateLimit::new(1000, 100);

/// Resets per worker for segments that belong to nobody: as many as ICMP errors, so that forged
/// segments do not make the director a source of a flood.
const RESET_LIMIT: inet::RateLimit = inet::RateLimit::new(1000, 100);

/// What the packets of both families share.
#[derive(Debug)]
pub(crate) struct Shared<B> {
    pub(crate) config: EngineConfig,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The counters of all workers, by worker. Limits and loads are sums over all of them.
    pub(crate) all_stats: Vec<Arc<WorkerStats>>,
    pub(crate) stats: Arc<WorkerStats>,
    /// The tables of all workers that this one reads, by worker.
    pub(crate) all_state: Vec<Arc<SharedState>>,
    pub(crate) state: Arc<SharedState>,
    pub(crate) laddrs: Laddrs,
    pub(crate) dest_cache: DestCache,
    pub(crate) service_states: Vec<ServiceState>,
    /// Where the next search for expired persistence templates begins
    template_cursor: usize,
    /// Where the next search for expired FTP expectations begins
    pub(crate) expectation_cursor: usize,
    pub(crate) scheduling: Scheduling,
    pub(crate) neigh_queue: NeighQueue<B>,
    pub(crate) ways_back: WaysBack,
    pub(crate) icmp_limit: inet::RateLimit,
    pub(crate) identifications: Identifications,
    reset_limit: inet::RateLimit,
    /// Where the packets at hand come from
    pub(crate) origin: Origin,
    /// The time of the packets or of the command at hand. Each entrance of the engine sets it.
    pub(crate) now: Now,
}

impl<B: PacketBuf> Shared<B> {
    pub(crate) fn new(
        config: EngineConfig,
        all_stats: Vec<Arc<WorkerStats>>,
        all_state: Vec<Arc<SharedState>>,
        now: Now,
    ) -> Self {
        let stats = Arc::clone(&all_stats[config.worker.index()]);
        let state = Arc::clone(&all_state[config.worker.index()]);
        Self {
            snapshot: Arc::default(),
            laddrs: Laddrs::default(),
            dest_cache: DestCache::new(stats.max_dests()),
            service_states: Vec::new(),
            template_cursor: 0,
            expectation_cursor: 0,
            scheduling: Scheduling::new(
                stats.max_dests(),
                Arc::clone(&stats.overloads),
                all_stats
                    .iter()
                    .map(|stats| Arc::clone(&stats.overloads))
                    .collect(),
            ),
            neigh_queue: NeighQueue::new(config.max_held, config.max_held_per_neighbour),
            ways_back: WaysBack::new(),
            icmp_limit: ICMP_ERROR_LIMIT,
            identifications: Identifications::new(
                config.worker,
                config.owners.workers(),
                config.keys.sequence.0[0],
            ),
            reset_limit: RESET_LIMIT,
            origin: Origin::Nic,
            now,
            all_stats,
            stats,
            all_state,
            state,
            config,
        }
    }

    /// What this worker remembers of a service.
    pub(crate) fn service_state(&mut self, service: &Service) -> &mut ServiceState {
        service_state_of(&mut self.service_states, service, self.config.worker)
    }

    /// Counts a new conn of a service.
    pub(crate) fn note_conn(&mut self, service: ServiceId, dest: DestId) {
        self.dest_cache.set_service(dest, service);
        let stats = self.stats.service(service);
        stats.conns_made.add(1);
        stats.conns.add(1);
    }

    /// A client's template is held by one more conn.
    pub(crate) fn hold_template(&self, key: u64, dest: DestId, timeout_s: u32) {
        let now = self.now.tick();
        let change = self.state.templates.hold(key, dest, timeout_s, now);
        if let Some(dest) = change.came {
            self.stats.dest(dest).persistent_conns.add(1);
        }
        if let Some(dest) = change.went {
            self.stats.dest(dest).persistent_conns.sub(1);
        }
    }

    /// Removes a few expired templates.
    pub(crate) fn expire_templates(&mut self) {
        let now = self.now.tick();
        let gone = |dest| self.stats.dest(dest).persistent_conns.sub(1);
        let templates = &self.state.templates;
        templates.expire_some(&mut self.template_cursor, now, gone);
    }

    /// Whether one more reset may be sent now to somebody without a conn.
    pub(crate) fn allows_reset(&mut self) -> bool {
        self.reset_limit.allow(self.now.ns / 1_000_000)
    }

    /// The conns of a dest over all workers.
    pub(crate) fn load_of(&self, dest: DestId) -> Load {
        load_of(&self.all_stats, dest)
    }

    /// Drops a packet and counts the reason.
    #[inline]
    pub(crate) fn drop(&self, packet: B, reason: DropReason) {
        self.stats.drops_by(reason).add(1);
        drop(packet);
    }

    /// Gives a packet to the kernel, if its device has kni. Otherwise it is dropped.
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

    /// How many workers have handed this packet on. The mark of a packet from a NIC has no meaning.
    pub(crate) fn hand_overs(&self, packet: &B) -> u32 {
        match self.origin {
            Origin::Nic => 0,
            Origin::Worker => packet.mark(),
        }
    }

    /// Hands a packet to another worker, which no NIC could have known.
    pub(crate) fn redirect(&self, packet: B, worker: WorkerId, io: &mut impl Io<B>) {
        self.redirect_for(packet, worker, Handoff::Unforeseen, io);
    }

    /// Hands a packet to another worker.
    pub(crate) fn redirect_for(
        &self,
        mut packet: B,
        worker: WorkerId,
        handoff: Handoff,
        io: &mut impl Io<B>,
    ) {
        packet.set_mark(self.hand_overs(&packet) + 1);
        self.stats.redirected.add(1);
        io.redirect(worker, packet, handoff);
    }

    /// Sends an event to control. An event that finds no room is counted as lost; its cause comes
    /// again.
    pub(crate) fn send_event(&self, event: Event, io: &mut impl Io<B>) {
        if io.event(event).is_err() {
            self.stats.events_lost.add(1);
        }
    }

    /// Counts a packet that the director makes.
    pub(crate) fn count_originated(&self) {
        self.stats.received.add(1);
        self.stats.originated.add(1);
    }

    #[cold]
    pub(crate) fn show_to_kernel(&self, packet: &B, io: &mut impl Io<B>) {
        io.copy_to_kernel(packet);
        self.count_originated();
        self.stats.to_kernel.add(1);
    }
}
