//! What an engine has for each address family.

use packet::ip::IpFacts;

use crate::conn::{ConnExts, ConnTable, LEAVING_TOGETHER, Leaving};
use crate::ctx::Shared;
use crate::ctx::miss::Miss;
use crate::engine_config::{BATCH, EngineConfig};
use crate::state::{DestRemovals, Fragments};
use crate::time::Now;
use crate::tuple::Tuple;
use crate::wire::{Family, Flow};

/// The state of one address family.
#[derive(Debug)]
pub(crate) struct FamilyState<A, B> {
    pub(crate) conns: ConnTable<A>,
    pub(crate) exts: ConnExts,
    pub(crate) dest_removals: DestRemovals,
    pub(crate) fragments: Fragments<A, B>,
    /// Later fragments of this batch. Their first fragment may be in the same batch, so they wait
    /// until its end.
    pub(crate) later_fragments: Vec<B>,
    /// First fragments of SCTP in this batch that found no conn. Another packet of the batch may
    /// make it, so they wait until the end of the batch.
    pub(crate) set_aside_fragments: Vec<(B, Flow<A>)>,
    /// Later fragments whose first one belongs to no conn of this family. NAT64 may have the conn.
    pub(crate) stray_fragments: Vec<(B, IpFacts<A>, Tuple<A>)>,
    /// This batch has first fragments.
    pub(crate) has_first_fragments: bool,
    /// This batch has or had fragments.
    pub(crate) has_fragments: bool,
    /// Packets of this batch that found no conn.
    pub(crate) misses: Vec<Miss<A, B>>,
    /// An empty vector that takes the place of `misses` while those are dealt with.
    pub(crate) spare_misses: Vec<Miss<A, B>>,
    /// Expired conns that are about to be removed. Kept for its memory.
    pub(crate) leaving: Vec<Leaving>,
}

impl<A: Family, B> FamilyState<A, B> {
    pub(crate) fn new(config: &EngineConfig, max_conns: u32, now: Now) -> Self {
        Self {
            conns: ConnTable::new(max_conns, config.keys.conns, now.tick()),
            exts: ConnExts::new(max_conns),
            dest_removals: DestRemovals::default(),
            fragments: Fragments::new(config.keys.conns),
            later_fragments: Vec::with_capacity(BATCH),
            set_aside_fragments: Vec::with_capacity(BATCH),
            stray_fragments: Vec::with_capacity(BATCH),
            has_first_fragments: false,
            has_fragments: false,
            misses: Vec::with_capacity(BATCH),
            spare_misses: Vec::with_capacity(BATCH),
            leaving: Vec::with_capacity(LEAVING_TOGETHER),
        }
    }
}

/// The engine as the packets of one family see it.
#[derive(Debug)]
pub(crate) struct Forwarder<'a, A, B> {
    pub(crate) shared: &'a mut Shared<B>,
    pub(crate) family: &'a mut FamilyState<A, B>,
}
