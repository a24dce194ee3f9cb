//! Persistence: which dest a client, or a network of clients, keeps. IPVS calls this memory a
//! template.
//!
//! Any worker may make a conn of a client. Each worker keeps the templates of the conns that it
//! made, and reads those of the other workers in place, as it does with their counters. Each table
//! has one writer, and needs only plain loads and stores.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::config::{DestId, ServiceId};
use crate::state::shared_table::{self, SharedTable};
use crate::time::{Span, Tick};
use crate::tuple::{Address, HashKey, Tuple};

/// Seconds that a template lives at least after its last conn has ended, as in IPVS.
const AFTER_LAST_CONN_S: u32 = 60;
/// Slots that one call of [`Templates::expire_some`] looks at.
const REACH: usize = 64;

/// A template: the dest of a client. The key is 0 if the entry is free.
#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(C)]
struct TemplateEntry {
    key: AtomicU64,
    dest: AtomicU32,
    /// The [`Tick`] when the template expires, unless conns use it.
    expires: AtomicU32,
    /// Number of this worker's conns that use the template.
    conns: AtomicU32,
    generation: AtomicU32,
}

/// The templates of one worker.
#[derive(Debug)]
pub(crate) struct Templates(SharedTable<TemplateEntry>);

/// How the number of templates per dest has changed, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change {
    /// This dest has one template more.
    pub(crate) came: Option<DestId>,
    /// This dest has one template less.
    pub(crate) went: Option<DestId>,
}

/// The key of a client of a service. It uses the service's id, since a service that matches packets
/// has no address. The hash is keyed, so an attacker cannot choose addresses that collide. If two
/// clients collide by chance, they share a dest.
pub(crate) fn key_of<A: Address>(
    client: A,
    service: ServiceId,
    prefix_len: u8,
    hash_key: &HashKey,
) -> u64 {
    let client = client.to_mapped();
    let is_v4 = client.is_mapped();
    let prefix_len = u32::from(prefix_len) + if is_v4 { 96 } else { 0 };
    let mask = u128::MAX.checked_shl(128 - prefix_len).unwrap_or(0);
    let tuple = Tuple {
        src: (u128::from_be_bytes(client) & mask).to_be_bytes(),
        dst: u128::from(service.0).to_be_bytes(),
        sport: 0,
        dport: 0,
        protocol: 0,
    };
    // 0 marks a free entry.
    tuple.hash(hash_key).max(1)
}

impl Templates {
    /// Room for about `capacity` templates.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(SharedTable::new(capacity))
    }

    /// Bytes of memory of a table with room for so many templates.
    pub(super) fn bytes_for(capacity: usize) -> usize {
        SharedTable::<TemplateEntry>::bytes_for(capacity)
    }

    /// The dest of this client, as far as the owner of this table knows. Called by any worker.
    pub(crate) fn find(&self, key: u64, now: Tick) -> Option<DestId> {
        let read = |entry: &TemplateEntry| (entry.dest(), entry.is_alive(now));
        let (dest, is_alive) = self.0.read(key, read)?;
        is_alive.then_some(dest)
    }

    /// Counts a new conn of the client. Makes the template, or extends its life to `timeout_s`
    /// seconds from now.
    pub(crate) fn hold(&self, key: u64, dest: DestId, timeout_s: u32, now: Tick) -> Change {
        let mut change = Change::default();
        let expires = now.after(Span::from_secs(timeout_s)).0;
        if let Some(entry) = self.0.find(key) {
            let before = entry.dest();
            if before != dest {
                (change.went, change.came) = (Some(before), Some(dest));
                entry.conns.store(0, Relaxed);
                entry.dest.store(dest.0, Relaxed);
            }
            entry.expires.store(expires, Relaxed);
            entry.conns.store(entry.conns.load(Relaxed) + 1, Relaxed);
            return change;
        }
        let entry = self.0.place_for(key, now);
        if self.0.clear(entry) {
            change.went = Some(entry.dest());
        }
        change.came = Some(dest);
        entry.dest.store(dest.0, Relaxed);
        entry.expires.store(expires, Relaxed);
        entry.conns.store(1, Relaxed);
        self.0.publish(entry, key);
        change
    }

    /// A conn of the client has ended.
    pub(crate) fn release(&self, key: u64, dest: DestId, now: Tick) {
        let Some(entry) = self.0.find(key) else {
            return;
        };
        if entry.dest() != dest {
            return;
        }
        let left = entry.conns.load(Relaxed).saturating_sub(1);
        entry.conns.store(left, Relaxed);
        let least = now.after(Span::from_secs(AFTER_LAST_CONN_S));
        if left == 0 && least.reached(Tick(entry.expires.load(Relaxed))) {
            entry.expires.store(least.0, Relaxed);
        }
    }

    /// Removes expired templates among the next few slots after `cursor`, and calls `gone` with the
    /// dest of each. Moves `cursor` on.
    pub(crate) fn expire_some(&self, cursor: &mut usize, now: Tick, mut gone: impl FnMut(DestId)) {
        for entry in self.0.walk(cursor, REACH) {
            if !entry.is_alive(now) {
                if self.0.clear(entry) {
                    gone(entry.dest());
                }
            } else if now.reached(Tick(entry.expires.load(Relaxed))) {
                // Conns hold it. An older moment could become one of the future, since ticks wrap.
                entry.expires.store(now.0, Relaxed);
            }
        }
    }

    /// Removes the templates of some dests, which are sorted, among the next few slots from `from`
    /// on. Calls `gone` with the dest of each. Returns where to go on; `None` at the end.
    pub(crate) fn remove_some(
        &self,
        from: usize,
        dests: &[DestId],
        mut gone: impl FnMut(DestId),
    ) -> Option<usize> {
        let (entries, next) = self.0.scan(from, REACH);
        for entry in entries.filter(|entry| dests.binary_search(&entry.dest()).is_ok()) {
            if self.0.clear(entry) {
                gone(entry.dest());
            }
        }
        next
    }
}

impl shared_table::Entry for TemplateEntry {
    fn key(&self) -> &AtomicU64 {
        &self.key
    }
    fn expires(&self) -> &AtomicU32 {
        &self.expires
    }
    fn generation(&self) -> &AtomicU32 {
        &self.generation
    }
}

impl TemplateEntry {
    fn dest(&self) -> DestId {
        DestId(self.dest.load(Relaxed))
    }

    fn is_alive(&self, now: Tick) -> bool {
        self.conns.load(Relaxed) > 0 || !now.reached(Tick(self.expires.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Now;

    fn at(secs: u64) -> Tick {
        Now::from_secs(secs).tick()
    }

    #[test]
    fn a_template_outlives_its_last_conn_by_a_minute() {
        let table = Templates::new(64);
        assert_eq!(table.find(7, at(0)), None);
        let made = table.hold(7, DestId(3), 300, at(0));
        assert_eq!((made.came, made.went), (Some(DestId(3)), None));
        assert_eq!(table.hold(7, DestId(3), 300, at(10)), Change::default());
        table.release(7, DestId(3), at(20));
        assert_eq!(table.find(7, at(5000)), Some(DestId(3)), "a conn is left");
        table.release(7, DestId(3), at(5000));
        assert_eq!(table.find(7, at(5050)), Some(DestId(3)));
        assert_eq!(table.find(7, at(5061)), None);
        let mut gone = Vec::new();
        table.expire_some(&mut 0, at(5061), |dest| gone.push(dest));
        assert_eq!(gone, [DestId(3)]);
    }

    #[test]
    fn a_full_bucket_replaces_the_template_with_the_least_time_left() {
        let table = Templates::new(8);
        for key in 1..=table.0.capacity() as u64 {
            table.hold(key, DestId(key as u32), 100 + key as u32, at(0));
        }
        let change = table.hold(100, DestId(50), 300, at(0));
        assert_eq!(
            (change.came, change.went),
            (Some(DestId(50)), Some(DestId(1)))
        );
        assert_eq!(table.find(1, at(0)), None);
        assert_eq!(table.find(2, at(0)), Some(DestId(2)));
    }

    #[test]
    fn clients_with_the_same_prefix_share_a_template() {
        let key = |client: [u8; 4], prefix_len| {
            key_of(client, ServiceId(3), prefix_len, &HashKey([1, 2, 3, 4]))
        };
        assert_eq!(key([10, 1, 2, 3], 24), key([10, 1, 2, 200], 24));
        assert_ne!(key([10, 1, 2, 3], 24), key([10, 1, 3, 3], 24));
        assert_ne!(key([10, 1, 2, 3], 32), key([10, 1, 2, 200], 32));
    }
}
