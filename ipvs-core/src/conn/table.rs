//! All conns of a worker: flat arrays of conns, index entries and timer links.
//!
//! An IPv4 conn takes 64 bytes, its two index entries 8 bytes each at five eighths full, and 8
//! bytes of links: 98 together. Its local port is one bit of the sapool.

use zerocopy::FromZeros;

use super::index::{BucketPair, ConnRef, Full, Index};
use super::wheel::{Visit, Wheel};
use super::{Conn, ConnFlags, ConnId};
use crate::direction::Direction;
use crate::simd::{prefetch, prefetch_at};
use crate::tcp_state::TcpState;
use crate::time::Tick;
use crate::tuple::{Address, HashKey, Tuple};

/// Conns whose memory is asked for before the first of them is taken out.
pub(crate) const LEAVING_TOGETHER: usize = 16;

/// How many conns are looked at for one that may give way.
const RECYCLE_REACH: u32 = 64;

/// A conn that a packet belongs to, and which way the packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The conn
    pub id: ConnId,
    /// The packet's direction
    pub direction: Direction,
}

/// A look-up under way: between its stages other packets' look-ups go on.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    place: BucketPair,
    candidate: ConnRef,
}

impl Lookup {
    /// Of no tuple
    pub(crate) const NOWHERE: Self = Self {
        place: BucketPair::FIRST,
        candidate: ConnRef::NONE,
    };
}

/// A conn on its way out: between its stages others leave too.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    id: ConnId,
    /// By [`Direction`]
    places: [BucketPair; 2],
}

impl Leaving {
    /// Which conn.
    pub const fn id(&self) -> ConnId {
        self.id
    }
}

/// The table has no room, not even by moving index entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull;

/// The conns of one worker and one address family.
#[derive(Debug)]
pub struct ConnTable<A> {
    conns: Box<[Conn<A>]>,
    index: Index,
    wheel: Wheel,
    key: HashKey,
    len: u32,
    /// Where the search for a conn that may give way goes on.
    recycle_at: u32,
}

impl<A: Address> ConnTable<A> {
    /// Room for `capacity` conns (at most 2^31). Memory is touched as conns are made.
    pub fn new(capacity: u32, key: HashKey, now: Tick) -> Self {
        let capacity = capacity.clamp(1, ConnRef::MAX_CONNS);
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

    /// Conns in the table.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True without any conn.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory when full.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.conns) + self.index.bytes() + self.wheel.bytes()
    }

    /// Where its memory is, and how many bytes each part has: for a shell that can put it on large
    /// pages.
    pub fn memory(&self) -> [(*const u8, usize); 3] {
        let conns = (self.conns.as_ptr().cast(), size_of_val(&*self.conns));
        [conns, self.index.memory(), self.wheel.memory()]
    }

    /// Stage one of a look-up: where to look.
    #[inline]
    pub fn locate(&self, tuple: &Tuple<A>) -> Lookup {
        Lookup {
            place: self.index.place(tuple.hash(&self.key)),
            candidate: ConnRef::NONE,
        }
    }

    /// Stage two: the bucket is fetched.
    #[inline]
    pub fn fetch_bucket(&self, lookup: &Lookup) {
        self.index.prefetch(lookup.place);
    }

    /// The first two stages of a look-up that others do not wait for.
    pub fn begin(&self, tuple: &Tuple<A>) -> Lookup {
        let lookup = self.locate(tuple);
        self.fetch_bucket(&lookup);
        lookup
    }

    /// Stage three: the conn is fetched that most likely it is, or the second bucket. `false` if that was it.
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

    /// Out of line, since the compiler would make one end for both cases, and all packets take a branch to that.
    #[cold]
    #[inline(never)]
    fn fetch_second(&self, place: BucketPair) -> bool {
        self.index.prefetch_second(place);
        false
    }

    /// Stage four, for the few whose first bucket had nothing: the conn is fetched.
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

    /// The same, with the conn, to be changed. Written out, since the compiler then sees that a candidate that was compared is
    /// within the table.
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

    /// Looks at all entries with the tuple's tag: one in 2^31 is another's.
    #[cold]
    fn search(&self, place: BucketPair, tuple: &Tuple<A>) -> Option<Found> {
        self.index
            .candidates(place)
            .find(|conn| self.is(*conn, tuple))
            .map(found)
    }

    /// All stages at once, for a single tuple.
    pub fn find(&self, tuple: &Tuple<A>) -> Option<Found> {
        self.search(self.index.place(tuple.hash(&self.key)), tuple)
    }

    #[inline]
    fn is(&self, conn: ConnRef, tuple: &Tuple<A>) -> bool {
        self.conns
            .get(conn.id().0 as usize)
            .is_some_and(|stored| stored.has(conn.direction(), tuple))
    }

    /// A conn in the table.
    #[inline]
    pub fn get(&self, id: ConnId) -> &Conn<A> {
        &self.conns[id.0 as usize]
    }

    /// A conn in the table, to be changed. Its endpoints stay as they are.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> &mut Conn<A> {
        &mut self.conns[id.0 as usize]
    }

    /// Puts a conn in, findable by both its tuples, to be visited at its deadline.
    ///
    /// # Errors
    /// If there is no room: nothing has changed.
    pub fn insert(&mut self, conn: Conn<A>) -> Result<ConnId, TableFull> {
        let (id, place) =
            self.insert_inbound(&self.begin(&conn.tuple(Direction::Inbound)), conn)?;
        if let Err(full) = self.insert_outbound(id, place) {
            self.remove(id);
            return Err(full);
        }
        Ok(id)
    }

    /// Puts a conn in, findable for now by its inbound tuple only, whose look-up found nothing. Says where the
    /// other one goes, and asks for that memory: [`Self::insert_outbound`] must follow.
    ///
    /// # Errors
    /// If there is no room: nothing has changed.
    // Inlined: what it returns would be written in parts and read as a whole, which waits for the conn's own line to
    // be written.
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
        self.wheel.insert(id, conn.deadline());
        self.conns[id.0 as usize] = conn;
        self.len += 1;
        self.fetch_next_free();
        Ok((id, outbound))
    }

    /// Asks for the memory of the next new conn: a store to what is not in the cache keeps all later ones waiting.
    #[inline(always)]
    fn fetch_next_free(&self) {
        let next = self.wheel.fetch_next_free();
        if let Some(conn) = self.conns.get(next.0 as usize) {
            prefetch(conn);
            // IPv6's second line
            prefetch(&conn.acks);
        }
    }

    /// Asks for the second bucket, if the first, which should be there by now, has no room for what is to be inserted.
    #[inline]
    pub fn fetch_room(&self, outbound: &Lookup) {
        if self.index.is_first_full(outbound.place) {
            self.index.prefetch_second(outbound.place);
        }
    }

    /// Makes a conn findable by its outbound tuple too, unless nothing comes back by it.
    ///
    /// # Errors
    /// If there is no room: nothing has changed, and the conn must go too.
    pub fn insert_outbound(&mut self, id: ConnId, outbound: Lookup) -> Result<(), TableFull> {
        if self.get(id).flags.has(ConnFlags::DR_TUNNEL) {
            return Ok(());
        }
        let entry = ConnRef::new(id, Direction::Outbound);
        let inserted = self.index.insert(outbound.place, entry);
        inserted.map_err(|Full| TableFull)
    }

    /// The conn of the tuple, looked for again where `lookup` found none: others of the same batch may have
    /// made it.
    #[inline]
    pub fn find_again(&self, lookup: &Lookup, tuple: &Tuple<A>) -> Option<Found> {
        let mut again = *lookup;
        let candidate = self.index.in_first(lookup.place);
        again.candidate = candidate
            .or_else(|| self.index.in_second(lookup.place))
            .unwrap_or(ConnRef::NONE);
        self.finish(&again, tuple)
    }

    /// Whether a conn with this inbound tuple is in this place.
    #[inline]
    pub fn holds(&self, id: ConnId, tuple: &Tuple<A>) -> bool {
        self.conns.get(id.0 as usize).is_some_and(|conn| {
            conn.flags.has(ConnFlags::IN_USE) && conn.has(Direction::Inbound, tuple)
        })
    }

    /// The timeout became shorter: the conn is to be visited sooner.
    pub fn reschedule(&mut self, id: ConnId) {
        self.wheel.remove(id);
        self.wheel.insert(id, self.conns[id.0 as usize].deadline());
    }

    /// Takes a conn out.
    pub fn remove(&mut self, id: ConnId) -> Conn<A> {
        self.wheel.remove(id);
        self.release(self.leave(id))
    }

    /// Asks for the memory of what leads to a conn, which is about to be taken out.
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

    /// Takes out a conn that [`Self::next_due`] gave.
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

    /// The next conn whose deadline has passed. The caller must [`Self::release`] it. Looks at no
    /// more than `budget` conns and slots.
    pub fn next_due(&mut self, now: Tick, budget: &mut u32) -> Option<ConnId> {
        while *budget > 0 {
            let Visit::Due(id) = self.wheel.visit(now, budget) else {
                return None;
            };
            *budget = budget.saturating_sub(1);
            let deadline = self.conns[id.0 as usize].deadline();
            if now.reached(deadline) {
                return Some(id);
            }
            self.wheel.insert(id, deadline);
        }
        None
    }

    /// A half-open or one-way conn that may give way to a new one, if one is near.
    pub fn recyclable(&mut self) -> Option<ConnId> {
        let touched = self.wheel.touched();
        for _ in 0..RECYCLE_REACH.min(touched) {
            let id = ConnId(self.recycle_at);
            self.recycle_at = if self.recycle_at + 1 < touched {
                self.recycle_at + 1
            } else {
                0
            };
            let conn = self.get(id);
            if conn.flags.has(ConnFlags::IN_USE) && is_half_open(conn) {
                return Some(id);
            }
        }
        None
    }

    /// Conns in the order of their slots from `cursor` on; looks at no more than `reach` slots. The
    /// second value is where to go on, `None` at the end.
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

/// Whether the conn has not yet carried anything both ways.
fn is_half_open<A: Address>(conn: &Conn<A>) -> bool {
    if conn.protocol == crate::config::Protocol::Tcp.number() {
        matches!(
            conn.tcp_state(),
            TcpState::None | TcpState::SynSent | TcpState::SynRecv
        )
    } else {
        !conn.flags.has(ConnFlags::ANSWERED)
    }
}

#[cfg(test)]
mod tests {
    use packet::checksum::Delta;

    use super::*;
    use crate::config::{DestId, FwdMode};
    use crate::conn::{Endpoints, RewriteDeltas};

    const KEY: HashKey = HashKey([1, 2, 3, 4]);

    fn conn(n: u32, timeout_s: u16) -> Conn<[u8; 4]> {
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
        conn.timeout_s = timeout_s;
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
        let at = |secs| Tick(Tick::from_secs(secs));
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
        assert_eq!(table.recyclable(), Some(ConnId(2)));
    }

    /// The issue: at most 128 bytes for an IPv4 FullNAT conn, all in; 176 for IPv6.
    #[test]
    fn a_conn_with_index_and_links_stays_within_its_bytes() {
        let capacity = 1 << 20;
        let v4 = ConnTable::<[u8; 4]>::new(capacity, KEY, Tick(0)).bytes() / capacity as usize;
        let v6 = ConnTable::<[u8; 16]>::new(capacity, KEY, Tick(0)).bytes() / capacity as usize;
        assert!(v4 <= 128, "{v4}");
        assert!(v6 <= 176, "{v6}");
    }
}
