//! The stages of a batch's packets of one address family.

use packet::ip::IpFacts;

use crate::conn::{ConnExts, ConnTable, LEAVING_TOGETHER, Leaving};
use crate::ctx::Shared;
use crate::ctx::miss::Miss;
use crate::engine_config::{BATCH, EngineConfig};
use crate::state::{DestRemovals, Fragments};
use crate::time::Now;
use crate::tuple::Tuple;
use crate::wire::{Family, Flow};

/// What an engine has for each address family.
#[derive(Debug)]
pub(crate) struct FamilyState<A, B> {
    pub(crate) conns: ConnTable<A>,
    pub(crate) exts: ConnExts,
    pub(crate) dest_removals: DestRemovals,
    pub(crate) fragments: Fragments<A, B>,
    /// Later fragments of this batch: their first may be in it too.
    pub(crate) later_fragments: Vec<B>,
    /// First fragments of SCTP of this batch that had no conn when it began: another packet in it may make one.
    pub(crate) early_fragments: Vec<(B, Flow<A>)>,
    /// Those whose first belongs to no conn of this lane.
    pub(crate) stray_fragments: Vec<(B, IpFacts<A>, Tuple<A>)>,
    /// Of the latest packet that went from IPv6 to IPv4 and may be fragmented there
    pub(crate) identification: u16,
    /// This batch has first fragments.
    pub(crate) has_first_fragments: bool,
    /// This batch had fragments.
    pub(crate) has_fragments: bool,
    /// Packets of this batch that have no conn.
    pub(crate) misses: Vec<Miss<A, B>>,
    /// An empty one, to take the place of `misses` while those are dealt with.
    pub(crate) spare_misses: Vec<Miss<A, B>>,
    /// Conns whose time is over.
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
            early_fragments: Vec::with_capacity(BATCH),
            stray_fragments: Vec::with_capacity(BATCH),
            identification: 0,
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
