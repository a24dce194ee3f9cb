//! The stages of a batch's packets of one address family.

use packet::PacketBuf;
use packet::ip::IpFacts;

use crate::classify::Flow;
use crate::closing::Closing;
use crate::conn::{ConnTable, Leaving, Lookup};
use crate::connect::Unknown;
use crate::engine::{BATCH, EngineConfig};
use crate::extra::Extras;
use crate::family::Family;
use crate::fragments::Fragments;
use crate::io::Io;
use crate::lifetime;
use crate::shared::Shared;
use crate::time::Now;
use crate::tuple::Tuple;

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
    /// This batch had fragments.
    pub(crate) has_fragments: bool,
    /// Packets whose conns are on their way into the cache.
    pub(crate) work: Vec<Work<A, B>>,
    /// Packets that have none.
    pub(crate) unknown: Vec<Unknown<A, B>>,
    /// Conns whose time is over.
    pub(crate) leaving: Vec<Leaving>,
}

/// A packet between the stages of its look-up.
#[derive(Debug)]
pub(crate) struct Work<A, B> {
    pub(crate) packet: B,
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
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
            has_fragments: false,
            work: Vec::with_capacity(BATCH),
            unknown: Vec::with_capacity(BATCH),
            leaving: Vec::with_capacity(lifetime::LEAVING_TOGETHER),
        }
    }

    /// Takes a packet into the stages.
    pub(crate) fn admit(&mut self, packet: B, flow: Flow<A>) {
        admit(&self.conns, &mut self.work, packet, flow);
    }
}

/// Buckets that are fetched at once. A fetch of a page whose address is not known yet keeps what comes after it waiting;
/// some of them in a row wait together.
const FETCHED_TOGETHER: usize = 8;

/// Takes a packet into the stages; with the last of a group its buckets are fetched.
#[inline(always)]
pub(crate) fn admit<A: Family, B>(
    conns: &ConnTable<A>,
    work: &mut Vec<Work<A, B>>,
    packet: B,
    flow: Flow<A>,
) {
    work.push(Work {
        lookup: conns.locate(&flow.tuple),
        packet,
        flow,
    });
    if work.len().is_multiple_of(FETCHED_TOGETHER) {
        fetch_buckets(conns, &work[work.len() - FETCHED_TOGETHER..]);
    }
}

#[inline(always)]
fn fetch_buckets<A: Family, B>(conns: &ConnTable<A>, work: &[Work<A, B>]) {
    for item in work {
        conns.fetch_bucket(&item.lookup);
    }
}

/// The engine as the packets of one family see it.
#[derive(Debug)]
pub(crate) struct Forwarder<'a, A, B> {
    pub(crate) shared: &'a mut Shared<B>,
    pub(crate) lane: &'a mut Lane<A, B>,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// One stage for all packets, then the next: what a stage prefetches is there when the next wants it. Those
    /// without a conn are left in `unknown`.
    #[inline]
    pub(crate) fn run_stages(&mut self, now: Now, io: &mut impl Io<B>) {
        let mut work = std::mem::take(&mut self.lane.work);
        let mut unknown = std::mem::take(&mut self.lane.unknown);
        let fetched = work.len() / FETCHED_TOGETHER * FETCHED_TOGETHER;
        fetch_buckets(&self.lane.conns, &work[fetched..]);
        for item in &mut work {
            self.lane.conns.choose(&mut item.lookup);
        }
        for item in &mut work {
            self.lane.conns.choose_again(&mut item.lookup);
        }
        for Work {
            packet,
            flow,
            lookup,
        } in work.drain(..)
        {
            match self.lane.conns.finish(&lookup, &flow.tuple) {
                Some(found) => self.forward(now, packet, &flow, found, io),
                None => unknown.push(Unknown::new(packet, flow, lookup)),
            }
        }
        self.lane.work = work;
        self.lane.unknown = unknown;
    }

    /// First fragments of this batch: their later ones find the way by these notes.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_first_fragments(&mut self, now: Now, io: &mut impl Io<B>) {
        let mut work = std::mem::take(&mut self.lane.work);
        for item in work.iter_mut().filter(|item| item.flow.is_fragment) {
            self.note_fragment(now, &mut item.packet, &item.flow);
        }
        let mut at = 0;
        while let Some(item) = work.get(at) {
            if self.needs_last_fragment(&item.flow) {
                let Work { packet, flow, .. } = work.remove(at);
                self.await_last_fragment(now, packet, flow.tuple, io);
            } else {
                at += 1;
            }
        }
        self.lane.work = work;
    }
}
