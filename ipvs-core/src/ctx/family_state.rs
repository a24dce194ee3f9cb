//! The stages of a batch's packets of one address family.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::conn::ext::Extras;
use crate::conn::{ConnTable, LEAVING_TOGETHER, Leaving};
use crate::ctx::batch::{Batch, Work};
use crate::ctx::miss::Miss;
use crate::ctx::shared::Shared;
use crate::engine_config::{BATCH, EngineConfig};
use crate::io::Io;
use crate::state::dest_removals::Closing;
use crate::state::fragments::Fragments;
use crate::time::Now;
use crate::tuple::Tuple;
use crate::wire::family::Family;
use crate::wire::flow::Flow;

/// What an engine has for each address family.
#[derive(Debug)]
pub(crate) struct Lane<A, B> {
    pub(crate) conns: ConnTable<A>,
    pub(crate) extras: Extras,
    pub(crate) closing: Closing,
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
    /// Conns whose time is over.
    pub(crate) leaving: Vec<Leaving>,
}

impl<A: Family, B> Lane<A, B> {
    pub(crate) fn new(config: &EngineConfig, max_conns: u32, now: Now) -> Self {
        Self {
            conns: ConnTable::new(max_conns, config.keys.conns, now.tick()),
            extras: Extras::new(max_conns),
            closing: Closing::default(),
            fragments: Fragments::new(config.keys.conns),
            later_fragments: Vec::with_capacity(BATCH),
            early_fragments: Vec::with_capacity(BATCH),
            stray_fragments: Vec::with_capacity(BATCH),
            identification: 0,
            has_first_fragments: false,
            has_fragments: false,
            misses: Vec::with_capacity(BATCH),
            leaving: Vec::with_capacity(LEAVING_TOGETHER),
        }
    }
}

/// The engine as the packets of one family see it.
#[derive(Debug)]
pub(crate) struct Forwarder<'a, A, B> {
    pub(crate) shared: &'a mut Shared<B>,
    pub(crate) lane: &'a mut Lane<A, B>,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Looks up the conns of a batch, then takes each packet its way. Those without a conn are left in `unknown`.
    #[inline]
    pub(crate) fn run_stages(&mut self, batch: &mut Batch<A, B>, io: &mut impl Io<B>) {
        batch.choose_conns(&self.lane.conns);
        for (Work { flow, lookup }, packet) in batch.drain() {
            let Some((found, conn)) = self.lane.conns.finish_mut(lookup, &flow.tuple) else {
                let miss = Miss::new(packet, *flow, *lookup);
                self.lane.misses.push(miss);
                continue;
            };
            let sent = self
                .shared
                .forward_steady(conn, packet, flow, found.direction, io);
            if let Err(packet) = sent {
                self.forward(packet, flow, found, io);
            }
        }
    }

    /// First fragments of this batch: their later ones find the way by these notes.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_first_fragments(&mut self, batch: &mut Batch<A, B>, io: &mut impl Io<B>) {
        self.lane.has_first_fragments = false;
        for (packet, flow) in batch.iter_mut().filter(|(_, flow)| flow.is_fragment) {
            self.note_fragment(packet, flow);
        }
        let mut at = 0;
        while let Some(flow) = batch.flow(at) {
            if self.needs_last_fragment(flow) {
                let (packet, flow) = batch.remove(at);
                self.await_last_fragment(packet, flow.tuple, io);
            } else {
                at += 1;
            }
        }
    }
}
