//! The packets of one address family between the stages of their look-ups.

use crate::classify::Flow;
use crate::conn::{ConnTable, Lookup};
use crate::engine::BATCH;
use crate::family::Family;

/// Buckets that are fetched at once. A fetch of a page whose address is not known yet keeps what comes after it waiting;
/// some of them in a row wait together.
const FETCHED_TOGETHER: usize = 8;

/// Packets, and apart from them what the stages work on: that is small, and stays where it is.
#[derive(Debug)]
pub(crate) struct Batch<A, B> {
    packets: Vec<B>,
    /// Of each packet
    work: Vec<Work<A>>,
}

/// A packet's flow, and how far its look-up is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<A> {
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
}

impl<A, B> Default for Batch<A, B> {
    fn default() -> Self {
        Self {
            packets: Vec::new(),
            work: Vec::new(),
        }
    }
}

impl<A: Family, B> Batch<A, B> {
    pub(crate) fn new() -> Self {
        Self {
            packets: Vec::with_capacity(BATCH),
            work: Vec::with_capacity(BATCH),
        }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        self.work.len() >= BATCH
    }

    /// Takes a packet in; with the last of a group its buckets are fetched.
    #[inline(always)]
    pub(crate) fn admit(&mut self, conns: &ConnTable<A>, packet: B, flow: Flow<A>) {
        self.packets.push(packet);
        let lookup = conns.locate(&flow.tuple);
        self.work.push(Work { flow, lookup });
        if self.work.len().is_multiple_of(FETCHED_TOGETHER) {
            fetch_buckets(conns, &self.work[self.work.len() - FETCHED_TOGETHER..]);
        }
    }

    /// One stage for all packets, then the next: what a stage prefetches is there when the next wants it.
    #[inline(always)]
    pub(crate) fn choose_conns(&mut self, conns: &ConnTable<A>) {
        let fetched = self.work.len() / FETCHED_TOGETHER * FETCHED_TOGETHER;
        fetch_buckets(conns, &self.work[fetched..]);
        let mut are_all_chosen = true;
        for item in &mut self.work {
            are_all_chosen &= conns.choose(&mut item.lookup);
        }
        if !are_all_chosen {
            for item in &mut self.work {
                conns.choose_again(&mut item.lookup);
            }
        }
    }

    /// Takes all packets out, each with its work.
    #[inline(always)]
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (&Work<A>, B)> {
        self.work.iter().zip(self.packets.drain(..))
    }

    /// Forgets what was worked on. To be called after [`Self::drain`].
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.work.clear();
    }

    /// All packets with their flows.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut B, &Flow<A>)> {
        let flows = self.work.iter().map(|item| &item.flow);
        self.packets.iter_mut().zip(flows)
    }

    /// Whether there are first fragments among them.
    pub(crate) fn has_fragments(&self) -> bool {
        self.work.iter().any(|item| item.flow.is_fragment)
    }

    /// The flow of one packet.
    pub(crate) fn flow(&self, at: usize) -> Option<&Flow<A>> {
        self.work.get(at).map(|item| &item.flow)
    }

    /// Takes out one packet.
    pub(crate) fn remove(&mut self, at: usize) -> (B, Flow<A>) {
        (self.packets.remove(at), self.work.remove(at).flow)
    }
}

#[inline(always)]
fn fetch_buckets<A: Family>(conns: &ConnTable<A>, work: &[Work<A>]) {
    for item in work {
        conns.fetch_bucket(&item.lookup);
    }
}
