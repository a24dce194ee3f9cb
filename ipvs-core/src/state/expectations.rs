//! Expectations: data conns that an FTP control conn has announced. Any worker may receive the data
//! conn, so all workers read the expectations of all others in place, as with templates. Each table
//! has one writer, and needs only plain loads and stores.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};
use std::net::{IpAddr, Ipv6Addr};

use packet::{MacAddr, PortId};

use crate::config::{DestId, FTP_CONTROL_PORT, Protocol, ServiceKey};
use crate::state::shared_table::{self, SharedTable};
use crate::time::{Span, Tick};

/// Most expectations of one worker at a time. A client opens a data conn soon after its
/// announcement, so more are not expected to be pending.
const SLOTS: usize = 4096;
/// Lifetime of an expectation in seconds.
pub(super) const LIFETIME_S: u32 = 60;
/// Slots that one call of [`Expectations::pop_stale`] looks at.
const REACH: usize = 64;

/// An expected data conn: its client, and the dest and VIP that it will use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// The dest of the control conn.
    pub(crate) dest: DestId,
    /// The VIP of the control conn.
    pub(crate) vip: IpAddr,
    /// The client's address, and the port that the client listens on in active mode.
    pub(crate) client: (IpAddr, u16),
    /// The local port that was reserved for the data conn with FullNAT; 0 if none was.
    pub(crate) lport: u16,
    /// The local address that `lport` belongs to.
    pub(crate) laddr: IpAddr,
    /// The class of dests towards which `lport` is reserved (see `sapool`).
    pub(crate) class: u32,
    /// Where the packets of the client's control conn come from, if no route leads to it.
    pub(crate) way_back: Option<(MacAddr, PortId)>,
}

impl Expectation {
    /// The key of the control conn's service.
    pub(crate) const fn control_service(&self) -> ServiceKey {
        ServiceKey::vip(Protocol::Tcp, self.vip, FTP_CONTROL_PORT)
    }
}

#[derive(Debug, Default, zerocopy::FromBytes)]
#[repr(C, align(64))]
struct ExpectationEntry {
    /// 0 if the entry is free.
    key: AtomicU64,
    dest: AtomicU32,
    expires: AtomicU32,
    vip: [AtomicU64; 2],
    client: [AtomicU64; 2],
    /// The client's port in the upper 16 bits, the local port in the lower 16 bits.
    ports: AtomicU32,
    class: AtomicU32,
    laddr: [AtomicU64; 2],
    /// The MAC address in the upper 48 bits, the port in the lower 16 bits. 0 if there is none.
    way_back: AtomicU64,
    generation: AtomicU32,
    reserved: [AtomicU32; 11],
}

/// The expectations of one worker.
#[derive(Debug)]
pub(crate) struct Expectations(SharedTable<ExpectationEntry>);

impl Expectations {
    /// Bytes of memory.
    pub(super) const BYTES: usize = SLOTS * size_of::<ExpectationEntry>();

    /// No expectations yet.
    pub(crate) fn new() -> Self {
        Self(SharedTable::new(SLOTS))
    }

    /// The expectation with this key, unless it has expired. Called by any worker.
    pub(crate) fn find(&self, key: u64, now: Tick) -> Option<Expectation> {
        let read = |entry: &ExpectationEntry| (entry.read(), entry.is_over(now));
        let (expected, is_over) = self.0.read(key, read)?;
        (!is_over).then_some(expected)
    }

    /// Stores an expectation. Returns the one that it replaced: that of the same key, or the one
    /// with the least time left if the bucket is full.
    pub(crate) fn insert(
        &self,
        key: u64,
        expected: &Expectation,
        now: Tick,
    ) -> Option<Expectation> {
        let same = self.0.find(key);
        let entry = same.unwrap_or_else(|| self.0.place_for(key, now));
        let gone = self.0.clear(entry).then(|| entry.read());
        entry.write(expected, now.after(Span::from_secs(LIFETIME_S)));
        self.0.publish(entry, key);
        gone
    }

    /// The expectation with this key, even if it has expired. Called by the owner of the table.
    pub(crate) fn get(&self, key: u64) -> Option<Expectation> {
        self.0.find(key).map(ExpectationEntry::read)
    }

    /// Removes an expectation: its conn was made.
    pub(crate) fn remove(&self, key: u64) {
        if let Some(entry) = self.0.find(key) {
            self.0.clear(entry);
        }
    }

    /// Looks for an expired expectation in the next few slots after `cursor`, and removes and
    /// returns it. Moves `cursor` on.
    pub(crate) fn pop_stale(&self, cursor: &mut usize, now: Tick) -> Option<Expectation> {
        let entry = self
            .0
            .walk(cursor, REACH)
            .find(|entry| entry.is_over(now))?;
        self.0.clear(entry);
        Some(entry.read())
    }
}

impl shared_table::Entry for ExpectationEntry {
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

impl ExpectationEntry {
    fn is_over(&self, now: Tick) -> bool {
        now.reached(Tick(self.expires.load(Relaxed)))
    }

    fn read(&self) -> Expectation {
        let ports = self.ports.load(Relaxed);
        Expectation {
            dest: DestId(self.dest.load(Relaxed)),
            vip: load_addr(&self.vip),
            client: (load_addr(&self.client), (ports >> 16) as u16),
            lport: ports as u16,
            laddr: load_addr(&self.laddr),
            class: self.class.load(Relaxed),
            way_back: way_back_of(self.way_back.load(Relaxed)),
        }
    }

    fn write(&self, expected: &Expectation, expires: Tick) {
        self.dest.store(expected.dest.0, Relaxed);
        self.expires.store(expires.0, Relaxed);
        store_addr(&self.vip, expected.vip);
        store_addr(&self.client, expected.client.0);
        let ports = u32::from(expected.client.1) << 16 | u32::from(expected.lport);
        self.ports.store(ports, Relaxed);
        store_addr(&self.laddr, expected.laddr);
        self.class.store(expected.class, Relaxed);
        self.way_back.store(to_bits(expected.way_back), Relaxed);
    }
}

const fn way_back_of(bits: u64) -> Option<(MacAddr, PortId)> {
    if bits == 0 {
        return None;
    }
    let [a, b, c, d, e, f, high, low] = bits.to_be_bytes();
    let port = PortId(u16::from_be_bytes([high, low]));
    Some((MacAddr([a, b, c, d, e, f]), port))
}

fn to_bits(way_back: Option<(MacAddr, PortId)>) -> u64 {
    way_back.map_or(0, |(MacAddr([a, b, c, d, e, f]), PortId(port))| {
        let [high, low] = port.to_be_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, high, low])
    })
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
    fn an_expectation_is_found_until_it_is_removed_or_expires() {
        let table = Expectations::new();
        let now = Now::from_secs(10).tick();
        let expected = Expectation {
            dest: DestId(7),
            vip: [10, 0, 0, 100].into(),
            client: ("2001:db8::1".parse().unwrap(), 40_000),
            lport: 1025,
            laddr: [192, 168, 100, 200].into(),
            class: 3,
            way_back: Some((MacAddr([2, 0, 0, 0, 9, 1]), PortId(3))),
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
