//! The state of a worker's engine.

use std::sync::Arc;

use packet::PacketBuf;

use crate::config::Snapshot;
use crate::conn::ConnExts;
use crate::ctx::batch::Batch;
use crate::ctx::{FamilyState, Forwarder, Shared};
use crate::engine_config::EngineConfig;
use crate::state::{SharedState, WorkerStats};
use crate::time::Now;

/// The load balancer of one worker.
#[derive(Debug)]
pub struct Engine<B> {
    pub(crate) shared: Shared<B>,
    pub(crate) v4: FamilyState<[u8; 4], B>,
    /// IPv6, and the conns of NAT64
    pub(crate) v6: FamilyState<[u8; 16], B>,
    /// IPv4 packets whose look-up is under way
    pub(crate) v4_batch: Batch<[u8; 4], B>,
    /// IPv6 packets whose look-up is under way
    pub(crate) v6_batch: Batch<[u8; 16], B>,
}

impl<B: PacketBuf> Engine<B> {
    /// An engine without configuration: until the first [`crate::Command::Publish`] every packet
    /// goes to the kernel. `all_stats` and `all_state` are those of all workers, in their order.
    ///
    /// # Panics
    /// If one of them has none for this worker.
    pub fn new(
        config: EngineConfig,
        all_stats: Vec<Arc<WorkerStats>>,
        all_state: Vec<Arc<SharedState>>,
        now: Now,
    ) -> Self {
        Self {
            v4: FamilyState::new(&config, config.max_conns, now),
            v6: FamilyState::new(&config, config.max_conns_v6, now),
            v4_batch: Batch::new(),
            v6_batch: Batch::new(),
            shared: Shared::new(config, all_stats, all_state, now),
        }
    }

    /// What this worker counts.
    pub fn stats(&self) -> &Arc<WorkerStats> {
        &self.shared.stats
    }

    /// The configuration that it forwards by.
    pub fn snapshot(&self) -> &Snapshot {
        &self.shared.snapshot
    }

    /// Address and length in bytes of each part of the conn tables: IPv4's, then IPv6's. The last
    /// part of each is what a new conn with a local port writes beside.
    pub fn conn_table_memory(&self) -> [[(*const u8, usize); 4]; 2] {
        let with = |[conns, index, links]: [_; 3], exts: &ConnExts| {
            [conns, index, links, exts.laddr_use_memory()]
        };
        [
            with(self.v4.conns.memory(), &self.v4.exts),
            with(self.v6.conns.memory(), &self.v6.exts),
        ]
    }

    /// The engine as the packets of IPv4 see it.
    #[inline]
    pub(crate) fn v4(&mut self) -> Forwarder<'_, [u8; 4], B> {
        Forwarder {
            shared: &mut self.shared,
            family: &mut self.v4,
        }
    }

    /// The engine as the packets of IPv6 see it.
    #[inline]
    pub(crate) fn v6(&mut self) -> Forwarder<'_, [u8; 16], B> {
        Forwarder {
            shared: &mut self.shared,
            family: &mut self.v6,
        }
    }
}
