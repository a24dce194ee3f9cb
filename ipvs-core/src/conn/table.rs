//! All conns of a worker and family: flat arrays of conns, index entries and timer links.
//!
//! An IPv4 conn takes 64 bytes, two index entries of 8 bytes at five eighths full, and 16 bytes of
//! links: 106 bytes. Its local port is one bit of a port pool.

use zerocopy::FromZeros;

use super::index::{BucketPair, ConnRef, Full, Index, MAX_CONNS};
use super::ring::ring_of;
use super::wheel::{Visit, Wheel};
use super::{Conn, ConnFlags, ConnId, IdleTimeout};
use crate::direction::Direction;
use crate::simd::{prefetch, prefetch_at};
use crate::tcp_state::TcpState;
use crate::time::Tick;
use crate::tuple::{Address, HashKey, Tuple};

/// Expired conns whose memory is prefetched before the first of them is removed.
pub(crate) const LEAVING_TOGETHER: usize = 16;

/// The conn of a packet, and the packet's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The conn
    pub id: ConnId,
    /// The packet's direction
    pub direction: Direction,
}

/// A look-up under way. Between its stages, the look-ups of other packets go on.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    place: BucketPair,
    candidate: ConnRef,
}

impl Lookup {
    /// A placeholder, of no tuple.
    pub(crate) const NOWHERE: Self = Self {
        place: BucketPair::FIRST,
        candidate: ConnRef::NONE,
    };
}

/// A conn about to be removed. Between its stages, other conns are removed.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    id: ConnId,
    /// Its buckets, by [`Direction`].
    places: [BucketPair; 2],
}

impl Leaving {
    /// Which conn.
    pub const fn id(&self) -> ConnId {
        self.id
    }
}

/// The table is full, or no index entry can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull;

/// The conns of one worker and one address family.
#[derive(Debug)]
pub struct ConnTable<A> {
    conns: Box<[Conn<A>]>,
    index: Index,
    pub(super) wheel: Wheel,
    key: HashKey,
    len: u32,
    /// Where the next search for a conn to recycle begins.
    pub(super) recycle_at: u32,
}

impl<A: Address> ConnTable<A> {
    /// Room for `capacity` conns, at most [`MAX_CONNS`]. Memory is touched as conns are made.
    pub fn new(capacity: u32, key: HashKey, now: Tick) -> Self {
        let capacity = capacity.clamp(1, MAX_CONNS);
        let conns = <[Conn<A>]>::new_box_zeroed_with_elems(capacity as usize)
            .expect("the size of the conn table was checked when the config was read");
        Self {
            conns,
            index: Index::new(capacity as usize * 2),
            wheel: Wheel::new(capacity, now),
            key,
            len: 0,
            recycle_at: 0,
        }
    }

    /// Bytes of memory of a table for so many conns.
    pub(crate) const fn bytes_for(capacity: u32) -> usize {
        let conns = capacity as usize;
        conns * size_of::<Conn<A>>() + Index::bytes_for(conns * 2) + Wheel::bytes_for(conns)
    }

    /// Conns in the table.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no conn.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, all of it touched.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.conns) + self.index.bytes() + self.wheel.bytes()
    }

    /// Address and length in bytes of each part of its memory, for a shell that prefaults it.
    pub fn memory(&self) -> [(*const u8, usize); 3] {
        let conns = (self.conns.as_ptr().cast(), size_of_val(&*self.conns));
        [conns, self.index.memory(), self.wheel.memory()]
    }

    /// Stage one of a look-up: hashes the tuple.
    #[inline]
    pub fn locate(&self, tuple: &Tuple<A>) -> Lookup {
        Lookup {
            place: self.index.place(tuple.hash(&self.key)),
            candidate: ConnRef::NONE,
        }
    }

    /// Stage two: prefetches the first bucket.
    #[inline]
    pub fn fetch_bucket(&self, lookup: &Lookup) {
        self.index.prefetch(lookup.place);
    }

    /// Stages one and two, for a look-up outside of a batch.
    pub fn begin(&self, tuple: &Tuple<A>) -> Lookup {
        let lookup = self.locate(tuple);
        self.fetch_bucket(&lookup);
        lookup
    }

    /// Stage three: prefetches the conn that has most likely the tuple. `false` if the first bucket
    /// has no match; the second one is prefetched then.
    #[inline]
    pub fn choose(&self, lookup: &mut Lookup) -> bool {
        match self.index.in_first(lookup.place) {
            Some(candidate) => {
                lookup.candidate = candidate;
                prefetch_at(&self.conns, candidate.id().0 as usize);
                true
            }
            None => self.fetch_second(lookup.place),
        }
    }

    /// Out of line: otherwise the compiler merges both ends of stage three, and every packet takes
    /// a jump.
    #[cold]
    #[inline(never)]
    fn fetch_second(&self, place: BucketPair) -> bool {
        self.index.prefetch_second(place);
        false
    }

    /// Stage four, for look-ups without a match in the first bucket: prefetches the conn of the
    /// second one.
    #[inline]
    pub fn choose_again(&self, lookup: &mut Lookup) {
        if lookup.candidate.is_none()
            && let Some(candidate) = self.index.in_second(lookup.place)
        {
            lookup.candidate = candidate;
            prefetch_at(&self.conns, candidate.id().0 as usize);
        }
    }

    /// Stage five: the conn of the tuple, if there was one when the look-up began.
    #[inline]
    pub fn finish(&self, lookup: &Lookup, tuple: &Tuple<A>) -> Option<Found> {
        if self.is(lookup.candidate, tuple) {
            Some(found(lookup.candidate))
        } else if lookup.candidate.is_none() {
            None
        } else {
            self.search(lookup.place, tuple)
        }
    }

    /// Stage five with the conn, to be changed. Written out, since then the compiler knows that the
    /// index of the conn is in bounds.
    #[inline(always)]
    pub fn finish_mut(
        &mut self,
        lookup: &Lookup,
        tuple: &Tuple<A>,
    ) -> Option<(Found, &mut Conn<A>)> {
        if self.is(lookup.candidate, tuple) {
            let found = found(lookup.candidate);
            return Some((found, self.get_mut(found.id)));
        }
        if lookup.candidate.is_none() {
            return None;
        }
        let found = self.search(lookup.place, tuple)?;
        Some((found, self.get_mut(found.id)))
    }

    /// Searches all entries with a matching tag. One match in 2^31 belongs to another tuple.
    #[cold]
    fn search(&self, place: BucketPair, tuple: &Tuple<A>) -> Option<Found> {
        self.index
            .candidates(place)
            .find(|conn| self.is(*conn, tuple))
            .map(found)
    }

    /// All stages at once.
    pub fn find(&self, tuple: &Tuple<A>) -> Option<Found> {
        self.search(self.index.place(tuple.hash(&self.key)), tuple)
    }

    #[inline]
    fn is(&self, conn: ConnRef, tuple: &Tuple<A>) -> bool {
        self.conns
            .get(conn.id().0 as usize)
            .is_some_and(|stored| stored.has(conn.direction(), tuple))
    }

    /// A conn of the table.
    #[inline]
    pub fn get(&self, id: ConnId) -> &Conn<A> {
        &self.conns[id.0 as usize]
    }

    /// A conn of the table, to be changed. Its endpoints must stay as they are.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> &mut Conn<A> {
        &mut self.conns[id.0 as usize]
    }

    /// Inserts a conn under both its tuples, and schedules a visit at its deadline.
    ///
    /// # Errors
    ///
    /// The table is full. Nothing has changed.
    pub fn insert(&mut self, conn: Conn<A>) -> Result<ConnId, TableFull> {
        let (id, place) =
            self.insert_inbound(&self.begin(&conn.tuple(Direction::Inbound)), conn)?;
        if let Err(full) = self.insert_outbound(id, place) {
            self.remove(id);
            return Err(full);
        }
        Ok(id)
    }

    /// Inserts a conn under its inbound tuple, whose look-up found nothing, and prefetches the
    /// bucket of its outbound tuple. [`Self::insert_outbound`] must follow with the look-up that is
    /// returned.
    ///
    /// # Errors
    ///
    /// The table is full. Nothing has changed.
    // Inlined: the result would be written in parts and read as a whole, which waits until the
    // stores to the conn's own line are done (store-forwarding stall).
    #[inline(always)]
    pub fn insert_inbound(
        &mut self,
        lookup: &Lookup,
        conn: Conn<A>,
    ) -> Result<(ConnId, Lookup), TableFull> {
        let id = self.wheel.take_free().ok_or(TableFull)?;
        let entry = ConnRef::new(id, Direction::Inbound);
        if self.index.insert(lookup.place, entry).is_err() {
            self.wheel.put_free(id);
            return Err(TableFull);
        }
        let outbound = self.begin(&conn.tuple(Direction::Outbound));
        self.wheel.insert(id, conn.deadline(), ring_of(&conn));
        self.conns[id.0 as usize] = conn;
        self.len += 1;
        self.fetch_next_free();
        Ok((id, outbound))
    }

    /// Prefetches the slot of the next new conn. A store to a line that is not in the cache holds
    /// up all later stores.
    #[inline(always)]
    fn fetch_next_free(&self) {
        let next = self.wheel.fetch_next_free();
        if let Some(conn) = self.conns.get(next.0 as usize) {
            prefetch(conn);
            // IPv6's second cache line
            prefetch(&conn.acks);
        }
    }

    /// The slot of the next new conn, or a number beyond all slots if none is free.
    #[inline]
    pub(crate) fn next_free(&self) -> ConnId {
        self.wheel.fetch_next_free()
    }

    /// Prefetches the second bucket if the first one, which should be in the cache, is full.
    #[inline]
    pub fn fetch_room(&self, outbound: &Lookup) {
        if self.index.is_first_full(outbound.place) {
            self.index.prefetch_second(outbound.place);
        }
    }

    /// Enters a conn under its outbound tuple, except for DR and tunnel, whose replies do not pass
    /// here.
    ///
    /// # Errors
    ///
    /// The index is full. Nothing has changed, and the caller must remove the conn.
    pub fn insert_outbound(&mut self, id: ConnId, outbound: Lookup) -> Result<(), TableFull> {
        if self.get(id).flags.has(ConnFlags::DR_TUNNEL) {
            return Ok(());
        }
        let entry = ConnRef::new(id, Direction::Outbound);
        let inserted = self.index.insert(outbound.place, entry);
        inserted.map_err(|Full| TableFull)
    }

    /// Looks for the conn of a tuple again where `lookup` found none. Another packet of the batch
    /// may have made it.
    #[inline]
    pub fn find_again(&self, lookup: &Lookup, tuple: &Tuple<A>) -> Option<Found> {
        let mut again = *lookup;
        let candidate = self.index.in_first(lookup.place);
        again.candidate = candidate
            .or_else(|| self.index.in_second(lookup.place))
            .unwrap_or(ConnRef::NONE);
        self.finish(&again, tuple)
    }

    /// Whether the conn in this slot has this inbound tuple.
    #[inline]
    pub fn holds(&self, id: ConnId, tuple: &Tuple<A>) -> bool {
        self.conns.get(id.0 as usize).is_some_and(|conn| {
            conn.flags.has(ConnFlags::IN_USE) && conn.has(Direction::Inbound, tuple)
        })
    }

    /// Takes the inbound tuple of a conn out of the index: from now on, only who knows its id finds
    /// it, and its tuple is free for another conn.
    pub(crate) fn hide(&mut self, id: ConnId) {
        let tuple = self.get(id).tuple(Direction::Inbound);
        let place = self.index.place(tuple.hash(&self.key));
        self.index
            .remove(place, ConnRef::new(id, Direction::Inbound));
    }

    /// Changes the TCP state of a conn, and its timeout. A shorter timeout counts at once, a longer
    /// one from the next packet on.
    pub(crate) fn change_state(&mut self, id: ConnId, state: TcpState, timeout: IdleTimeout) {
        let conn = self.get_mut(id);
        let before = ring_of(conn);
        conn.set_tcp_state(state);
        if ring_of(conn) == before {
            return self.change_timeout(id, timeout);
        }
        conn.timeout = timeout;
        self.reschedule(id);
    }

    /// Changes the timeout of a conn. A shorter one counts at once, a longer one from the next
    /// packet on.
    pub(crate) fn change_timeout(&mut self, id: ConnId, timeout: IdleTimeout) {
        let conn = self.get_mut(id);
        let is_shorter = timeout < conn.timeout;
        conn.timeout = timeout;
        if is_shorter {
            self.reschedule(id);
        }
    }

    /// Schedules the visit of a conn anew.
    pub(super) fn reschedule(&mut self, id: ConnId) {
        self.wheel.remove(id);
        let conn = &self.conns[id.0 as usize];
        self.wheel.insert(id, conn.deadline(), ring_of(conn));
    }

    /// Removes a conn.
    pub fn remove(&mut self, id: ConnId) -> Conn<A> {
        self.wheel.remove(id);
        self.release(self.leave(id))
    }

    /// Prefetches the index buckets of a conn that is about to be removed.
    #[inline]
    pub fn leave(&self, id: ConnId) -> Leaving {
        let conn = self.get(id);
        let places = [Direction::Inbound, Direction::Outbound].map(|direction| {
            let place = self.index.place(conn.tuple(direction).hash(&self.key));
            self.index.prefetch(place);
            place
        });
        Leaving { id, places }
    }

    /// Removes a conn that [`Self::next_due`] has returned.
    pub fn release(&mut self, leaving: Leaving) -> Conn<A> {
        let Leaving { id, places } = leaving;
        for (place, direction) in places
            .into_iter()
            .zip([Direction::Inbound, Direction::Outbound])
        {
            self.index.remove(place, ConnRef::new(id, direction));
        }
        let conn = &mut self.conns[id.0 as usize];
        let was = *conn;
        conn.flags.put(ConnFlags::IN_USE, false);
        self.wheel.put_free(id);
        self.len -= 1;
        was
    }

    /// The next conn whose deadline has passed. The caller must [`Self::release`] it. At most
    /// `budget` conns and slots are looked at.
    pub fn next_due(&mut self, now: Tick, budget: &mut u32) -> Option<ConnId> {
        while *budget > 0 {
            let Visit::Due(id) = self.wheel.visit(now, budget) else {
                return None;
            };
            *budget = budget.saturating_sub(1);
            let conn = &self.conns[id.0 as usize];
            let deadline = conn.deadline();
            if now.reached(deadline) {
                return Some(id);
            }
            self.wheel.insert(id, deadline, ring_of(conn));
        }
        None
    }

    /// The conns in at most `reach` slots from `cursor` on. The second value is where to go on,
    /// `None` at the end.
    pub fn scan(&self, cursor: u32, reach: u32) -> (impl Iterator<Item = ConnId>, Option<u32>) {
        let end = cursor.saturating_add(reach).min(self.wheel.touched());
        let ids = (cursor..end)
            .map(ConnId)
            .filter(|id| self.get(*id).flags.has(ConnFlags::IN_USE));
        (ids, (end < self.wheel.touched()).then_some(end))
    }
}

const fn found(conn: ConnRef) -> Found {
    Found {
        id: conn.id(),
        direction: conn.direction(),
    }
}

#[cfg(test)]
mod tests {
    use packet::checksum::Delta;

    use super::*;
    use crate::config::{DestId, FwdMode};
    use crate::conn::{Endpoints, IdleTimeout, RewriteDeltas};

    const KEY: HashKey = HashKey([1, 2, 3, 4]);

    fn conn(n: u32, timeout_s: u32) -> Conn<[u8; 4]> {
        let [_, a, b, c] = n.to_be_bytes();
        let ends = Endpoints {
            inbound: Tuple {
                src: [10, a, b, c],
                dst: [10, 0, 0, 100],
                sport: 1000,
                dport: 80,
                protocol: 17,
            },
            outbound: Tuple {
                src: [192, 168, 100, 2],
                dst: [192, 168, 101, a],
                sport: 80,
                dport: n as u16,
                protocol: 17,
            },
        };
        let deltas = RewriteDeltas {
            l3: Delta::ZERO,
            l4: Delta::ZERO,
        };
        let mut conn = Conn::new(&ends, deltas, DestId(0), FwdMode::FullNat, Tick(0));
        conn.timeout = IdleTimeout::from_secs(timeout_s);
        conn
    }

    #[test]
    fn both_directions_lead_to_the_same_conn() {
        let mut table = ConnTable::new(16, KEY, Tick(0));
        let one = conn(1, 10);
        let id = table.insert(one).unwrap();
        for direction in [Direction::Inbound, Direction::Outbound] {
            assert_eq!(
                table.find(&one.tuple(direction)),
                Some(Found { id, direction })
            );
        }
        table.remove(id);
        assert_eq!(table.find(&one.tuple(Direction::Inbound)), None);
        assert!(table.is_empty());
    }

    #[test]
    fn a_conn_that_was_touched_outlives_its_first_deadline() {
        let mut table = ConnTable::new(16, KEY, Tick(0));
        let id = table.insert(conn(1, 10)).unwrap();
        let at = |secs| Tick(crate::time::Span::from_secs(secs).0);
        table.get_mut(id).touch(at(8));
        assert_eq!(table.next_due(at(12), &mut 1000), None);
        assert_eq!(table.next_due(at(19), &mut 1000), Some(id));
    }

    #[test]
    fn a_full_table_says_so_and_offers_a_half_open_conn() {
        let mut table = ConnTable::new(4, KEY, Tick(0));
        for n in 0..4 {
            let mut conn = conn(n, 10);
            conn.flags.put(ConnFlags::ANSWERED, n != 2);
            table.insert(conn).unwrap();
        }
        assert_eq!(table.insert(conn(9, 10)), Err(TableFull));
        assert_eq!(table.recyclable(Tick(0), false), Some(ConnId(2)));
    }

    /// An IPv4 FullNAT conn takes at most 128 bytes with index, links and local port; an IPv6 one
    /// 176.
    #[test]
    fn a_conn_with_index_and_links_stays_within_its_bytes() {
        let capacity = 1 << 20;
        let v4 = ConnTable::<[u8; 4]>::new(capacity, KEY, Tick(0)).bytes() / capacity as usize;
        let v6 = ConnTable::<[u8; 16]>::new(capacity, KEY, Tick(0)).bytes() / capacity as usize;
        assert!(v4 <= 128, "{v4}");
        assert!(v6 <= 176, "{v6}");
    }
}
