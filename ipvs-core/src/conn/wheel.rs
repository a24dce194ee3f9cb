//! The timer wheel: when a conn is to be visited. Lists in flat arrays.
//!
//! A packet only writes the time into its conn. The wheel visits the conn at a deadline that may be
//! out of date by then. The visit finds out whether the conn expires or when to come again. So the
//! links are touched only when a conn is made, when its timeout gets shorter, and when it ends.
//!
//! The wheel has several rings of slots, by what a conn is worth when the table is full. Of the
//! rings whose conns give way, the conn that was to be visited first is found in constant time.

use zerocopy::FromZeros;

use super::ConnId;
use super::ring::Ring;
use super::slot_set::{SLOTS, SlotSet};
use crate::simd::prefetch;
use crate::time::Tick;

/// log2 of a slot's ticks: 134 ms, the most by which a conn outlives its timeout. With [`SLOTS`]
/// slots, a ring spans 18 minutes. Later deadlines are visited on the way and put off again.
const SLOT_SHIFT: u32 = 6;
const SLOT_TICKS: u32 = 1 << SLOT_SHIFT;

const NIL: u32 = u32::MAX;
/// Set in a `prev` that is not a conn, but the list whose first conn this is. In the rings that
/// give way, a `next` that is the list whose last conn this is.
const IS_LIST: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
struct Link {
    next: u32,
    prev: u32,
    /// Beside those of the wheel, since it is written together with them
    queue: QueueLink,
}

/// The ids, each plus one, of both neighbours in a queue of closing conns: 0 is none.
#[derive(Debug, Clone, Copy, Default, FromZeros)]
#[repr(C)]
pub(super) struct QueueLink {
    /// Not kept for the first one, so that the one behind need not be touched when that leaves
    pub(super) before: u32,
    pub(super) behind: u32,
}

/// The wheel, and the list of free conns, which uses the same links.
#[derive(Debug)]
pub(super) struct Wheel {
    links: Box<[Link]>,
    /// The first conn of each list: the slots of the first ring, then those of the second, ...
    heads: Box<[u32]>,
    /// The last conn of each list of the rings that give way
    tails: Box<[u32]>,
    /// The slots in use of the rings that give way
    used: Box<[SlotSet; Ring::YIELDING]>,
    /// The next slot to visit, counted without wrapping around the wheel.
    current: u32,
    free: u32,
    /// Conns from here on were never used. Their links are not written yet.
    untouched: u32,
}

/// The result of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visit {
    /// This conn's slot has come.
    Due(ConnId),
    /// There is nothing more within the budget, or until time goes on.
    Nothing,
}

impl Wheel {
    pub(crate) fn new(conns: u32, now: Tick) -> Self {
        let links = <[Link]>::new_box_zeroed_with_elems(conns as usize)
            .expect("a conn table of a size that fits in memory has links that do");
        Self {
            links,
            heads: vec![NIL; SLOTS as usize * Ring::ALL.len()].into(),
            tails: vec![NIL; SLOTS as usize * Ring::YIELDING].into(),
            used: Box::new([SlotSet::EMPTY; Ring::YIELDING]),
            current: now.0 >> SLOT_SHIFT,
            free: NIL,
            untouched: 0,
        }
    }

    /// Bytes of memory of a wheel for so many conns.
    pub(super) const fn bytes_for(conns: usize) -> usize {
        let lists = SLOTS as usize * (Ring::ALL.len() + Ring::YIELDING);
        conns * size_of::<Link>() + lists * size_of::<u32>() + size_of::<SlotSet>() * Ring::YIELDING
    }

    pub(crate) fn bytes(&self) -> usize {
        Self::bytes_for(self.links.len())
    }

    /// Address and length in bytes of the links.
    pub(crate) fn memory(&self) -> (*const u8, usize) {
        (self.links.as_ptr().cast(), size_of_val(&*self.links))
    }

    /// A free conn, for use.
    pub(super) fn take_free(&mut self) -> Option<ConnId> {
        if self.free != NIL {
            let id = self.free;
            self.free = self.links[id as usize].next;
            return Some(ConnId(id));
        }
        let id = self.untouched;
        if id as usize >= self.links.len() {
            return None;
        }
        self.untouched += 1;
        Some(ConnId(id))
    }

    /// The conn that [`Self::take_free`] returns next, or a number beyond all conns if none is
    /// free. Prefetches its link.
    #[inline]
    pub(super) fn fetch_next_free(&self) -> ConnId {
        let next = if self.free == NIL {
            self.untouched
        } else {
            self.free
        };
        if let Some(link) = self.links.get(next as usize) {
            prefetch(link);
        }
        ConnId(next)
    }

    /// The place of a conn in a queue of closing conns.
    pub(super) fn queue_link(&self, id: ConnId) -> QueueLink {
        self.links[id.0 as usize].queue
    }

    /// The same, to be changed.
    pub(super) fn queue_link_mut(&mut self, id: ConnId) -> &mut QueueLink {
        &mut self.links[id.0 as usize].queue
    }

    /// Makes a conn free that is not in the wheel.
    pub(super) fn put_free(&mut self, id: ConnId) {
        self.links[id.0 as usize].next = self.free;
        self.free = id.0;
    }

    /// How many conns were ever in use. The slots behind are all zero.
    pub(super) const fn touched(&self) -> u32 {
        self.untouched
    }

    /// Schedules a visit at `deadline`, or up to a slot later.
    pub(crate) fn insert(&mut self, id: ConnId, deadline: Tick, ring: Ring) {
        let now = Tick(self.current << SLOT_SHIFT);
        // Rounded up, so that the deadline has passed when the slot is visited.
        let ahead = (deadline.since(now).0 + SLOT_TICKS) >> SLOT_SHIFT;
        let slot = (self.current + ahead.clamp(1, SLOTS - 1)) % SLOTS;
        if let Some(ring_at) = ring.yielding() {
            self.used[ring_at].insert(slot);
            return self.append(id, ring.list(slot));
        }
        let next = self.heads[slot as usize];
        let link = &mut self.links[id.0 as usize];
        (link.next, link.prev) = (next, IS_LIST | slot);
        if next != NIL {
            self.links[next as usize].prev = id.0;
        }
        self.heads[slot as usize] = id.0;
    }

    /// Appends a conn to a list of a ring that gives way, so that the oldest is first.
    fn append(&mut self, id: ConnId, list: u32) {
        let end = IS_LIST | list;
        let last = &mut self.tails[(list - SLOTS) as usize];
        let prev = if *last == NIL { end } else { *last };
        *last = id.0;
        let link = &mut self.links[id.0 as usize];
        (link.next, link.prev) = (end, prev);
        if prev == end {
            self.heads[list as usize] = id.0;
        } else {
            self.links[prev as usize].next = id.0;
        }
    }

    /// Removes a conn from the wheel.
    pub(crate) fn remove(&mut self, id: ConnId) {
        let Link { next, prev, .. } = self.links[id.0 as usize];
        let is_last_of_yielding = next & IS_LIST != 0 && next != NIL;
        if prev & IS_LIST != 0 {
            let rest = if is_last_of_yielding { NIL } else { next };
            self.heads[(prev & !IS_LIST) as usize] = rest;
        } else {
            self.links[prev as usize].next = next;
        }
        if is_last_of_yielding {
            self.cut_tail(next & !IS_LIST, prev);
        } else if next != NIL {
            self.links[next as usize].prev = prev;
        }
    }

    /// The last conn of a list leaves, and `prev` becomes the last one, if that is a conn.
    fn cut_tail(&mut self, list: u32, prev: u32) {
        let is_empty = prev & IS_LIST != 0;
        self.tails[(list - SLOTS) as usize] = if is_empty { NIL } else { prev };
        if is_empty {
            let (ring_at, slot) = (list / SLOTS - 1, list % SLOTS);
            self.used[ring_at as usize].remove(slot);
        }
    }

    /// The conn of a ring that is to be visited first, if the ring gives way.
    pub(super) fn first_of(&self, ring: Ring) -> Option<ConnId> {
        let slot = self.used[ring.yielding()?].next_from(self.current % SLOTS)?;
        Some(ConnId(self.heads[ring.list(slot) as usize]))
    }

    /// The first conn of a slot, of any ring.
    fn head_of(&self, slot: u32) -> Option<ConnId> {
        let heads = Ring::ALL.map(|ring| self.heads[ring.list(slot) as usize]);
        heads.into_iter().find(|head| *head != NIL).map(ConnId)
    }

    /// Takes the next conn whose slot has come out of the wheel. `budget` bounds the slots that are
    /// looked at.
    pub(super) fn visit(&mut self, now: Tick, budget: &mut u32) -> Visit {
        let now = now.0 >> SLOT_SHIFT;
        // Ticks wrap, and slots wrap after 2^25 of them.
        while now.wrapping_sub(self.current) & (u32::MAX >> SLOT_SHIFT)
            <= u32::MAX >> (SLOT_SHIFT + 1)
        {
            if let Some(head) = self.head_of(self.current % SLOTS) {
                self.remove(head);
                return Visit::Due(head);
            }
            if now == self.current || *budget == 0 {
                break;
            }
            *budget -= 1;
            self.current = (self.current + 1) & (u32::MAX >> SLOT_SHIFT);
        }
        Visit::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::time::Span;

    fn due(wheel: &mut Wheel, now: Tick) -> Vec<u32> {
        let mut budget = u32::MAX;
        let mut found = Vec::new();
        while let Visit::Due(id) = wheel.visit(now, &mut budget) {
            found.push(id.0);
        }
        found
    }

    #[test]
    fn a_conn_is_visited_after_its_deadline_and_at_most_two_slots_later() {
        let mut wheel = Wheel::new(4, Tick(0));
        let id = wheel.take_free().unwrap();
        wheel.insert(id, Tick(1000), Ring::Lasting);
        assert_eq!(due(&mut wheel, Tick(1000)), []);
        assert_eq!(due(&mut wheel, Tick(1000 + 2 * SLOT_TICKS)), [id.0]);
    }

    #[test]
    fn time_may_wrap() {
        let start = Tick(u32::MAX - 500);
        let mut wheel = Wheel::new(1, start);
        let id = wheel.take_free().unwrap();
        wheel.insert(id, start.after(Span(2000)), Ring::Lasting);
        assert_eq!(due(&mut wheel, start.after(Span(1900))), []);
        assert_eq!(
            due(&mut wheel, start.after(Span(2000 + 2 * SLOT_TICKS))),
            [id.0]
        );
    }

    #[test]
    fn every_conn_is_free_once() {
        let mut wheel = Wheel::new(3, Tick(0));
        let ids: Vec<_> = std::iter::from_fn(|| wheel.take_free()).collect();
        assert_eq!(ids, [ConnId(0), ConnId(1), ConnId(2)]);
        wheel.put_free(ConnId(1));
        assert_eq!(wheel.take_free(), Some(ConnId(1)));
        assert_eq!(wheel.take_free(), None);
    }

    #[test]
    fn the_conns_of_a_ring_that_gives_way_are_offered_in_the_order_they_came() {
        let mut wheel = Wheel::new(6, Tick(0));
        for (id, ring) in [Ring::Closing, Ring::Lasting, Ring::Adopted]
            .repeat(2)
            .into_iter()
            .zip(0..)
            .map(|(ring, id)| (id, ring))
        {
            wheel.insert(ConnId(id), Tick(7000), ring);
        }
        let mut offered = Vec::new();
        for ring in Ring::ALL {
            while let Some(id) = wheel.first_of(ring) {
                offered.push(id.0);
                wheel.remove(id);
            }
        }
        assert_eq!(offered, [2, 5, 0, 3]);
        assert_eq!(due(&mut wheel, Tick(8000)), [4, 1], "the lasting ones");
    }

    proptest! {
        /// Compared with a sorted map of deadlines, within the span of the wheel.
        #[test]
        fn it_visits_what_a_sorted_map_would(
            steps in prop::collection::vec(
                (0u32..8, 0u32..200_000, 0u32..20_000, prop::sample::select(&Ring::ALL[..])),
                1..200,
            ),
        ) {
            let mut wheel = Wheel::new(8, Tick(0));
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            let mut now = 0;
            for (id, ahead, pass, ring) in steps {
                if model.remove(&id).is_some() {
                    wheel.remove(ConnId(id));
                }
                wheel.insert(ConnId(id), Tick(now + ahead), ring);
                model.insert(id, now + ahead);
                now += pass;
                for id in due(&mut wheel, Tick(now)) {
                    let deadline = model.remove(&id).expect("a conn is visited once");
                    prop_assert!(deadline <= now);
                }
                for deadline in model.values() {
                    prop_assert!(now < deadline + 2 * SLOT_TICKS);
                }
            }
        }
    }
}
