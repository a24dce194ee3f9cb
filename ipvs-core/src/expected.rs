//! Conns that are to come: what the control conn of FTP has announced. As with templates, any worker may get them,
//! so each worker reads what the others expect where it lies: one writer, plain loads and stores.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};
use std::net::{IpAddr, Ipv6Addr};

use crate::service::DestId;
use crate::time::Tick;

/// At once and worker. More than that many clients do not announce within the time one takes to come.
const SLOTS: usize = 4096;
/// Slots that a key may be in.
const WAYS: usize = 8;
/// How long one has to come.
pub(crate) const LIFETIME_S: u32 = 60;
/// Slots looked at by one call of [`Expectations::pop_stale`].
const REACH: usize = 64;

/// Who will call whom, and what it will be a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The dest of the control conn
    pub(crate) dest: DestId,
    /// The VIP of the control conn
    pub(crate) vip: IpAddr,
    /// The client, and the port that it listens on if the dest calls
    pub(crate) client: (IpAddr, u16),
    /// A local port that was taken for it, if it is FullNAT's; 0 if none was
    pub(crate) lport: u16,
    /// Whose port that is,
    pub(crate) laddr: IpAddr,
    /// and towards which dests
    pub(crate) class: u32,
}

#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(C, align(64))]
struct Slot {
    /// 0 if it is free
    key: AtomicU64,
    dest: AtomicU32,
    expires: AtomicU32,
    vip: [AtomicU64; 2],
    client: [AtomicU64; 2],
    /// The client's, and the local one
    ports: AtomicU32,
    class: AtomicU32,
    laddr: [AtomicU64; 2],
    reserved: [AtomicU64; 7],
}

/// What one worker expects.
#[derive(Debug)]
pub struct Expectations {
    slots: Box<[Slot]>,
    /// How many are in use: mostly none
    used: AtomicU32,
}

impl Expectations {
    pub(crate) fn new() -> Self {
        Self {
            slots: <[Slot] as zerocopy::FromZeros>::new_box_zeroed_with_elems(SLOTS)
                .expect("512 KB of addresses"),
            used: AtomicU32::new(0),
        }
    }

    /// What is expected by this key. Called by any worker.
    pub(crate) fn find(&self, key: u64, now: Tick) -> Option<Expected> {
        let slot = self.slot_of(key)?;
        let expected = slot.read();
        // Another may have taken its place between the loads.
        let is_same = slot.key.load(Acquire) == key;
        (is_same && !slot.is_over(now)).then_some(expected)
    }

    /// Expects something. What gave way to it is returned.
    pub(crate) fn insert(&self, key: u64, expected: &Expected, now: Tick) -> Option<Expected> {
        let slot = self.slot_of(key).unwrap_or_else(|| self.oldest(key, now));
        let gone = (slot.key.load(Relaxed) != 0).then(|| slot.read());
        self.count(u32::from(gone.is_none()));
        slot.key.store(0, Release);
        slot.write(expected, now.after(Tick::from_secs(LIFETIME_S)));
        slot.key.store(key, Release);
        gone
    }

    /// What this worker itself expects by this key.
    pub(crate) fn get(&self, key: u64) -> Option<Expected> {
        self.slot_of(key).map(Slot::read)
    }

    /// It has come.
    pub(crate) fn remove(&self, key: u64) {
        if let Some(slot) = self.slot_of(key) {
            slot.key.store(0, Release);
            self.count(u32::MAX);
        }
    }

    /// Looks at a few slots, beginning at `cursor`, which moves on, for one that did not come in time.
    pub(crate) fn pop_stale(&self, cursor: &mut usize, now: Tick) -> Option<Expected> {
        if self.used.load(Relaxed) == 0 {
            return None;
        }
        for _ in 0..REACH {
            *cursor = (*cursor + 1) % SLOTS;
            let slot = &self.slots[*cursor];
            if slot.key.load(Relaxed) != 0 && slot.is_over(now) {
                slot.key.store(0, Release);
                self.count(u32::MAX);
                return Some(slot.read());
            }
        }
        None
    }

    /// Adds to the number of those in use, by the worker that owns them.
    fn count(&self, change: u32) {
        let used = self.used.load(Relaxed).wrapping_add(change);
        self.used.store(used, Relaxed);
    }

    fn bucket(&self, key: u64) -> &[Slot] {
        let at = (key >> 32) as usize % (SLOTS / WAYS) * WAYS;
        &self.slots[at..at + WAYS]
    }

    fn slot_of(&self, key: u64) -> Option<&Slot> {
        let mut slots = self.bucket(key).iter();
        slots.find(|slot| slot.key.load(Acquire) == key)
    }

    fn oldest(&self, key: u64, now: Tick) -> &Slot {
        let time_left = |slot: &&Slot| match slot.key.load(Relaxed) {
            0 => 0,
            _ => 1 + Tick(slot.expires.load(Relaxed)).since(now),
        };
        let bucket = self.bucket(key);
        bucket.iter().min_by_key(time_left).unwrap_or(&bucket[0])
    }
}

impl Slot {
    fn is_over(&self, now: Tick) -> bool {
        now.reached(Tick(self.expires.load(Relaxed)))
    }

    fn read(&self) -> Expected {
        let ports = self.ports.load(Relaxed);
        Expected {
            dest: DestId(self.dest.load(Relaxed)),
            vip: load_addr(&self.vip),
            client: (load_addr(&self.client), (ports >> 16) as u16),
            lport: ports as u16,
            laddr: load_addr(&self.laddr),
            class: self.class.load(Relaxed),
        }
    }

    fn write(&self, expected: &Expected, expires: Tick) {
        self.dest.store(expected.dest.0, Relaxed);
        self.expires.store(expires.0, Relaxed);
        store_addr(&self.vip, expected.vip);
        store_addr(&self.client, expected.client.0);
        let ports = u32::from(expected.client.1) << 16 | u32::from(expected.lport);
        self.ports.store(ports, Relaxed);
        store_addr(&self.laddr, expected.laddr);
        self.class.store(expected.class, Relaxed);
    }
}

fn load_addr(words: &[AtomicU64; 2]) -> IpAddr {
    let bits = u128::from(words[0].load(Relaxed)) << 64 | u128::from(words[1].load(Relaxed));
    Ipv6Addr::from_bits(bits).to_canonical()
}

fn store_addr(words: &[AtomicU64; 2], addr: IpAddr) {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    words[0].store((bits >> 64) as u64, Relaxed);
    words[1].store(bits as u64, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Now;

    #[test]
    fn what_is_expected_comes_or_is_given_up() {
        let table = Expectations::new();
        let now = Now::from_secs(10).tick();
        let expected = Expected {
            dest: DestId(7),
            vip: [10, 0, 0, 100].into(),
            client: ("2001:db8::1".parse().unwrap(), 40_000),
            lport: 1025,
            laddr: [192, 168, 100, 200].into(),
            class: 3,
        };
        assert_eq!(table.insert(5, &expected, now), None);
        assert_eq!(table.find(5, now), Some(expected));
        assert_eq!(table.find(6, now), None);
        assert_eq!(table.insert(5, &expected, now), Some(expected));
        let late = Now::from_secs(10 + u64::from(LIFETIME_S)).tick();
        assert_eq!(table.find(5, late), None);
        let mut cursor = SLOTS - 1;
        assert_eq!(table.pop_stale(&mut cursor, late), Some(expected));
        assert_eq!(table.pop_stale(&mut cursor, late), None);
        table.insert(5, &expected, now);
        table.remove(5);
        assert_eq!(table.find(5, now), None);
    }
}
