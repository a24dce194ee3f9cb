//! The index from tuples to conns: a cuckoo table with two buckets per hash, each of one cache
//! line.

use zerocopy::FromZeros;

use super::ConnId;
use crate::direction::Direction;
use crate::simd::{equal_lanes, prefetch_at};

/// Entries per bucket: eight of 8 bytes fill a cache line.
const WAYS: usize = 8;

/// Most conns of a table. Their ids are below this: of 32 bits, one is the direction, and one
/// number means none.
pub const MAX_CONNS: u32 = (1 << 31) - 1;

/// Eight entries: the tags of their hashes, 0 for a free one, and their conns and directions.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u32; WAYS],
    refs: [u32; WAYS],
}

/// A conn and a direction, as an entry holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnRef(u32);

impl ConnRef {
    /// No conn
    pub(crate) const NONE: Self = Self(u32::MAX);

    pub(crate) const fn new(id: ConnId, direction: Direction) -> Self {
        Self(id.0 << 1 | direction as u32)
    }

    #[inline]
    pub(crate) const fn id(self) -> ConnId {
        ConnId(self.0 >> 1)
    }

    #[inline]
    pub(crate) const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    #[inline]
    pub(crate) const fn direction(self) -> Direction {
        if self.0 & 1 == 0 {
            Direction::Inbound
        } else {
            Direction::Outbound
        }
    }
}

/// Both buckets of a hash, and its tag. A packet keeps it between the stages of its look-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct BucketPair {
    first: u32,
    tag: u32,
}

impl BucketPair {
    /// The first bucket of any table.
    pub(super) const FIRST: Self = Self { first: 0, tag: 1 };
}

/// A cuckoo table. The tag of an entry leads to its other bucket, so it can move without its key.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Box<[Bucket]>,
}

/// Both buckets are full, and none of their entries can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Index {
    /// Room for `entries` at five eighths full. Then most entries are in their first bucket, and
    /// inserts hardly ever move others.
    pub(crate) fn new(entries: usize) -> Self {
        let buckets = <[Bucket]>::new_box_zeroed_with_elems(Self::buckets_for(entries))
            .expect("a conn table of a size that fits in memory has an index that does");
        Self { buckets }
    }

    const fn buckets_for(entries: usize) -> usize {
        let buckets = (entries.div_ceil(WAYS) * 8).div_ceil(5);
        if buckets < 2 { 2 } else { buckets }
    }

    /// Bytes of memory of an index with room for so many entries.
    pub(super) const fn bytes_for(entries: usize) -> usize {
        Self::buckets_for(entries) * size_of::<Bucket>()
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Address and length in bytes of its memory.
    pub(crate) fn memory(&self) -> (*const u8, usize) {
        (self.buckets.as_ptr().cast(), self.bytes())
    }

    #[inline]
    pub(crate) fn place(&self, hash: u64) -> BucketPair {
        // The upper half of the hash gives the bucket, by a multiplication instead of a division.
        // The lower half gives the tag.
        let first = ((hash >> 32) * self.buckets.len() as u64) >> 32;
        BucketPair {
            first: first as u32,
            tag: hash as u32 | 1,
        }
    }

    #[inline]
    pub(crate) fn prefetch(&self, place: BucketPair) {
        prefetch_at(&self.buckets, place.first as usize);
    }

    /// The other bucket of an entry. Applied twice, it leads back.
    #[inline]
    fn other(&self, bucket: u32, tag: u32) -> u32 {
        let count = self.buckets.len() as u64;
        let shared = (u64::from(tag.wrapping_mul(0x9E37_79B1)) * count) >> 32;
        let other = shared + count - u64::from(bucket);
        (if other >= count { other - count } else { other }) as u32
    }

    /// The conn in the first bucket whose tag matches. It has the tuple, except for one case in
    /// 2^31.
    #[inline]
    pub(super) fn in_first(&self, place: BucketPair) -> Option<ConnRef> {
        self.buckets[place.first as usize].find(place.tag)
    }

    /// The conn in the second bucket whose tag matches.
    #[inline]
    pub(super) fn in_second(&self, place: BucketPair) -> Option<ConnRef> {
        self.buckets[self.other(place.first, place.tag) as usize].find(place.tag)
    }

    /// Whether the first bucket is full.
    #[inline]
    pub(super) fn is_first_full(&self, place: BucketPair) -> bool {
        self.free_way(place.first).is_none()
    }

    /// Prefetches the second bucket.
    #[inline]
    pub(super) fn prefetch_second(&self, place: BucketPair) {
        let second = self.other(place.first, place.tag);
        prefetch_at(&self.buckets, second as usize);
    }

    /// All conns with a matching tag, in both buckets.
    pub(super) fn candidates(&self, place: BucketPair) -> impl Iterator<Item = ConnRef> {
        let second = self.other(place.first, place.tag);
        [place.first, second].into_iter().flat_map(move |bucket| {
            let bucket = &self.buckets[bucket as usize];
            (0..WAYS)
                .filter(move |way| bucket.tags[*way] == place.tag)
                .map(|way| ConnRef(bucket.refs[way]))
        })
    }

    /// Inserts an entry into one of its buckets. Other entries may be moved for it.
    pub(crate) fn insert(&mut self, place: BucketPair, conn: ConnRef) -> Result<(), Full> {
        let second = self.other(place.first, place.tag);
        let free = [place.first, second]
            .into_iter()
            .find_map(|bucket| self.free_way(bucket));
        let (bucket, way) = free
            .or_else(|| self.make_room(place.first))
            .or_else(|| self.make_room(second))
            .ok_or(Full)?;
        self.write(bucket, way, place.tag, conn.0);
        Ok(())
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, place: BucketPair, conn: ConnRef) {
        for bucket in [place.first, self.other(place.first, place.tag)] {
            let bucket = &mut self.buckets[bucket as usize];
            if let Some(way) =
                (0..WAYS).find(|way| bucket.tags[*way] == place.tag && bucket.refs[*way] == conn.0)
            {
                bucket.tags[way] = 0;
                return;
            }
        }
    }

    fn free_way(&self, bucket: u32) -> Option<(u32, usize)> {
        let way = self.buckets[bucket as usize].way_with(0);
        (way < WAYS).then_some((bucket, way))
    }

    /// Frees an entry of a full bucket by moving another one to its other bucket. If that is full
    /// too, room is made there first. At most two entries move, so the cost is bounded.
    fn make_room(&mut self, bucket: u32) -> Option<(u32, usize)> {
        for way in 0..WAYS {
            let other = self.other(bucket, self.buckets[bucket as usize].tags[way]);
            if let Some(room) = self.free_way(other) {
                return Some(self.move_entry((bucket, way), room));
            }
        }
        for way in 0..WAYS {
            let middle = self.other(bucket, self.buckets[bucket as usize].tags[way]);
            for middle_way in 0..WAYS {
                let other = self.other(middle, self.buckets[middle as usize].tags[middle_way]);
                if let Some(room) = self.free_way(other).filter(|_| middle != bucket) {
                    let freed = self.move_entry((middle, middle_way), room);
                    return Some(self.move_entry((bucket, way), freed));
                }
            }
        }
        None
    }

    fn move_entry(&mut self, from: (u32, usize), to: (u32, usize)) -> (u32, usize) {
        let source = &mut self.buckets[from.0 as usize];
        let (tag, conn) = (source.tags[from.1], source.refs[from.1]);
        source.tags[from.1] = 0;
        self.write(to.0, to.1, tag, conn);
        from
    }

    fn write(&mut self, bucket: u32, way: usize, tag: u32, conn: u32) {
        let bucket = &mut self.buckets[bucket as usize];
        bucket.tags[way] = tag;
        bucket.refs[way] = conn;
    }
}

impl Bucket {
    #[inline]
    fn find(&self, tag: u32) -> Option<ConnRef> {
        match equal_lanes(&self.tags, tag) {
            0 => None,
            ways => Some(ConnRef(self.refs[ways.trailing_zeros() as usize % WAYS])),
        }
    }

    /// The first entry with this tag, or [`WAYS`].
    #[inline]
    fn way_with(&self, tag: u32) -> usize {
        (equal_lanes(&self.tags, tag) | 1 << WAYS).trailing_zeros() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        let x = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let x = (x ^ (x >> 31)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        x ^ (x >> 32)
    }

    #[test]
    fn an_entry_is_found_until_it_is_removed_even_when_others_moved_it() {
        let mut index = Index::new(10_000);
        let conn = |n: u64| ConnRef::new(ConnId(n as u32), Direction::Outbound);
        for n in 0..10_000 {
            index.insert(index.place(hash(n)), conn(n)).unwrap();
        }
        for n in 0..10_000 {
            assert!(
                index
                    .candidates(index.place(hash(n)))
                    .any(|found| found == conn(n)),
                "{n}"
            );
        }
        for n in (0..10_000).step_by(2) {
            index.remove(index.place(hash(n)), conn(n));
        }
        for n in 0..10_000 {
            let found = index
                .candidates(index.place(hash(n)))
                .any(|found| found == conn(n));
            assert_eq!(found, n % 2 == 1, "{n}");
        }
    }

    #[test]
    fn the_other_bucket_of_the_other_bucket_is_the_first() {
        let index = Index::new(777);
        for n in 0..1000 {
            let place = index.place(hash(n));
            assert_eq!(
                index.other(index.other(place.first, place.tag), place.tag),
                place.first
            );
        }
    }

    #[test]
    fn it_takes_what_it_was_made_for_and_more() {
        for size in [8, 100, 4096, 100_000] {
            let mut index = Index::new(size);
            let inserted = (0..size as u64 * 2)
                .take_while(|n| {
                    index
                        .insert(index.place(hash(*n)), ConnRef(*n as u32))
                        .is_ok()
                })
                .count();
            assert!(inserted >= size, "{inserted} of {size}");
        }
    }
}
