//! The packets of one family between the stages of their look-up.

use crate::conn::{ConnTable, Lookup};
use crate::engine_config::BATCH;
use crate::tuple::Tuple;
use crate::wire::{Family, Flow};

/// Buckets that are prefetched together. A prefetch that misses the TLB needs a page walk, which
/// holds up the instructions behind it. Several prefetches in a row do their page walks at the same
/// time.
const FETCHED_TOGETHER: usize = 8;

/// At most [`BATCH`] packets. Flows and look-ups lie apart from the packets: they are small and
/// stay in the first-level cache.
#[derive(Debug)]
pub(crate) struct Batch<A, B> {
    packets: Vec<B>,
    /// The work of each packet. Entries past the last packet are left over from earlier batches.
    work: Box<[Work<A>; BATCH]>,
}

/// A packet's flow, and the state of its look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<A> {
    pub(crate) flow: Flow<A>,
    pub(crate) lookup: Lookup,
}

impl<A: Family> Work<A> {
    /// A placeholder, of no packet.
    fn blank() -> Self {
        let flow = Flow {
            tuple: Tuple::default(),
            total_len: 0,
            l4_at: 0,
            is_fragment: false,
        };
        Self {
            flow,
            lookup: Lookup::NOWHERE,
        }
    }
}

impl<A: Family, B> Batch<A, B> {
    pub(crate) fn new() -> Self {
        Self {
            packets: Vec::with_capacity(BATCH),
            work: Box::new([Work::blank(); BATCH]),
        }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Adds a packet. The last packet of each group prefetches the buckets of the group. The batch
    /// must not be full.
    #[inline(always)]
    pub(crate) fn admit(&mut self, conns: &ConnTable<A>, packet: B, flow: Flow<A>) {
        let at = self.packets.len();
        debug_assert!(at < BATCH, "the engine takes no more at once");
        self.packets.push(packet);
        let lookup = conns.locate(&flow.tuple);
        self.work[at % BATCH] = Work { flow, lookup };
        if at % FETCHED_TOGETHER == FETCHED_TOGETHER - 1 {
            let group = at % BATCH / FETCHED_TOGETHER;
            fetch_buckets(conns, &self.work.as_chunks::<FETCHED_TOGETHER>().0[group]);
        }
    }

    /// Runs each stage for all packets before the next one, so that what a stage prefetches is in
    /// the cache when the next one reads it.
    #[inline(always)]
    pub(crate) fn choose_conns(&mut self, conns: &ConnTable<A>) {
        let work = &mut self.work[..self.packets.len()];
        let fetched = work.len() / FETCHED_TOGETHER * FETCHED_TOGETHER;
        fetch_buckets(conns, &work[fetched..]);
        let mut are_all_chosen = true;
        for item in &mut *work {
            if !conns.choose(&mut item.lookup) {
                are_all_chosen = false;
            }
        }
        if !are_all_chosen {
            for item in work {
                conns.choose_again(&mut item.lookup);
            }
        }
    }

    /// Takes all packets out, each with its work.
    #[inline(always)]
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (&Work<A>, B)> {
        let work = &self.work;
        // The work is indexed: a zip of two iterators would check two ends.
        let packets = self.packets.drain(..).enumerate();
        packets.map(|(at, packet)| (&work[at % BATCH], packet))
    }

    /// All packets with their flows.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut B, &Flow<A>)> {
        let flows = self.work.iter().map(|item| &item.flow);
        self.packets.iter_mut().zip(flows)
    }

    /// The flow of one packet.
    pub(crate) fn flow(&self, at: usize) -> Option<&Flow<A>> {
        let work = &self.work[..self.packets.len()];
        work.get(at).map(|item| &item.flow)
    }

    /// Whether one of the packets is a first fragment.
    pub(crate) fn has_fragments(&self) -> bool {
        let work = &self.work[..self.packets.len()];
        work.iter().any(|item| item.flow.is_fragment)
    }

    /// Takes out one packet. The packets behind it move up.
    pub(crate) fn remove(&mut self, at: usize) -> (B, Flow<A>) {
        let flow = self.work[at].flow;
        self.work[at..].rotate_left(1);
        (self.packets.remove(at), flow)
    }
}

#[inline(always)]
fn fetch_buckets<A: Family>(conns: &ConnTable<A>, work: &[Work<A>]) {
    for item in work {
        conns.fetch_bucket(&item.lookup);
    }
}
