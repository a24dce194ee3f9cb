//! The timer wheel: when a conn is to be visited. Lists in flat arrays.
//!
//! A packet only writes the time into its conn. The wheel visits the conn at a deadline that may be
//! out of date by then. The visit finds out whether the conn expires or when to come again. So the
//! links are touched only when a conn is made, when its timeout gets shorter, and when it ends.

use zerocopy::FromZeros;

use super::ConnId;
use crate::simd::prefetch;
use crate::time::Tick;

/// Slots of the wheel. With [`SLOT_TICKS`] they span 18 minutes. Later deadlines are visited on the
/// way and put off again.
const SLOTS: u32 = 8192;
/// log2 of a slot's ticks: 134 ms, the most by which a conn outlives its timeout.
const SLOT_SHIFT: u32 = 6;
const SLOT_TICKS: u32 = 1 << SLOT_SHIFT;

const NIL: u32 = u32::MAX;
/// Set in a `prev` that is not a conn, but the slot whose first conn this is.
const IS_SLOT: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C)]
struct Link {
    next: u32,
    prev: u32,
}

/// The wheel, and the list of free conns, which uses the same links.
#[derive(Debug)]
pub(super) struct Wheel {
    links: Box<[Link]>,
    heads: Box<[u32]>,
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
            heads: vec![NIL; SLOTS as usize].into(),
            current: now.0 >> SLOT_SHIFT,
            free: NIL,
            untouched: 0,
        }
    }

    /// Bytes of memory of a wheel for so many conns.
    pub(super) const fn bytes_for(conns: usize) -> usize {
        conns * size_of::<Link>() + SLOTS as usize * size_of::<u32>()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.links) + size_of_val(&*self.heads)
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
    pub(crate) fn insert(&mut self, id: ConnId, deadline: Tick) {
        let now = Tick(self.current << SLOT_SHIFT);
        // Rounded up, so that the deadline has passed when the slot is visited.
        let ahead = (deadline.since(now).0 + SLOT_TICKS) >> SLOT_SHIFT;
        let slot = (self.current + ahead.clamp(1, SLOTS - 1)) % SLOTS;
        let next = self.heads[slot as usize];
        self.links[id.0 as usize] = Link {
            next,
            prev: IS_SLOT | slot,
        };
        if next != NIL {
            self.links[next as usize].prev = id.0;
        }
        self.heads[slot as usize] = id.0;
    }

    /// Removes a conn from the wheel.
    pub(crate) fn remove(&mut self, id: ConnId) {
        let Link { next, prev } = self.links[id.0 as usize];
        if prev & IS_SLOT != 0 {
            self.heads[(prev & !IS_SLOT) as usize] = next;
        } else {
            self.links[prev as usize].next = next;
        }
        if next != NIL {
            self.links[next as usize].prev = prev;
        }
    }

    /// Takes the next conn whose slot has come out of the wheel. `budget` bounds the slots that are
    /// looked at.
    pub(super) fn visit(&mut self, now: Tick, budget: &mut u32) -> Visit {
        let now = now.0 >> SLOT_SHIFT;
        // Ticks wrap, and slots wrap after 2^25 of them.
        while now.wrapping_sub(self.current) & (u32::MAX >> SLOT_SHIFT)
            <= u32::MAX >> (SLOT_SHIFT + 1)
        {
            let head = self.heads[(self.current % SLOTS) as usize];
            if head != NIL {
                self.remove(ConnId(head));
                return Visit::Due(ConnId(head));
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
        wheel.insert(id, Tick(1000));
        assert_eq!(due(&mut wheel, Tick(1000)), []);
        assert_eq!(due(&mut wheel, Tick(1000 + 2 * SLOT_TICKS)), [id.0]);
    }

    #[test]
    fn time_may_wrap() {
        let start = Tick(u32::MAX - 500);
        let mut wheel = Wheel::new(1, start);
        let id = wheel.take_free().unwrap();
        wheel.insert(id, start.after(Span(2000)));
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

    proptest! {
        /// Compared with a sorted map of deadlines, within the span of the wheel.
        #[test]
        fn it_visits_what_a_sorted_map_would(
            steps in prop::collection::vec((0u32..8, 0u32..200_000, 0u32..20_000), 1..200),
        ) {
            let mut wheel = Wheel::new(8, Tick(0));
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            let mut now = 0;
            for (id, ahead, pass) in steps {
                if model.remove(&id).is_some() {
                    wheel.remove(ConnId(id));
                }
                wheel.insert(ConnId(id), Tick(now + ahead));
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
