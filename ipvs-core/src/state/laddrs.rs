//! The local addresses of a worker, each with the worker's share of its ports and the closing conns
//! that still hold some of them.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use inet::hash::MixHasher;
use sapool::{CLASSES, PortPool, Towards};

use crate::config::LaddrId;
use crate::conn::{ClosingQueue, Conn};
use crate::simd::prefetch;
use crate::tuple::Address;

#[derive(Debug)]
struct Entry {
    addr: IpAddr,
    pool: Box<PortPool>,
    closing: Box<Queues>,
    leaving: bool,
}

/// The queues of one address, by table and class of dests. IPv6's table has conns with IPv4
/// addresses too, for NAT64.
type Queues = [[ClosingQueue; CLASSES]; 2];

/// A local address that is leaving and has none of its ports in use.
#[derive(Debug)]
pub(crate) struct IdleLaddr {
    pub(crate) id: LaddrId,
    pub(crate) pool: Box<PortPool>,
    addr: IpAddr,
    closing: Box<Queues>,
}

/// Port pools, indexed by the `LaddrId` that control assigned. An address has one pool at a time.
#[derive(Debug, Default)]
pub(crate) struct Laddrs {
    entries: Vec<Option<Entry>>,
    ids: HashMap<IpAddr, LaddrId, BuildHasherDefault<MixHasher>>,
    /// Those that go when none of their ports is in use any more
    leaving: Vec<LaddrId>,
    /// Whether one of them may be idle, so that housekeeping looks only when it is worth it
    may_be_idle: bool,
}

impl Laddrs {
    /// Adds a local address with its port pool. It may allocate: it is called for a command of
    /// control, not for a packet.
    ///
    /// If the address is still there from an earlier time because conns use its ports, the new pool
    /// takes over the ports in use, and the old pool is returned.
    pub(crate) fn add(
        &mut self,
        id: LaddrId,
        addr: IpAddr,
        mut pool: Box<PortPool>,
    ) -> Option<(LaddrId, Box<PortPool>)> {
        let old = self.ids.insert(addr, id).and_then(|old_id| {
            let old = self.entries.get_mut(old_id.0 as usize)?.take()?;
            self.leaving.retain(|leaving| *leaving != old_id);
            Some((old_id, old))
        });
        let mut closing = Box::default();
        let replaced = old.map(|(old_id, mut old)| {
            pool.take_over(&mut old.pool);
            closing = old.closing;
            (old_id, old.pool)
        });
        let at = id.0 as usize;
        if at >= self.entries.len() {
            self.entries.resize_with(at + 1, || None);
        }
        self.entries[at] = Some(Entry {
            addr,
            pool,
            closing,
            leaving: false,
        });
        replaced
    }

    /// Gives out no more ports of this address. Returns the pool if none of its ports is in use.
    /// Otherwise [`Self::take_idle`] returns it later. It may allocate: it is called for a command
    /// of control, not for a packet.
    pub(crate) fn leave(&mut self, id: LaddrId) -> Option<Box<PortPool>> {
        let entry = self.entries.get_mut(id.0 as usize)?.as_mut()?;
        if !std::mem::replace(&mut entry.leaving, true) {
            self.leaving.push(id);
        }
        self.take_if_idle(id).map(|idle| idle.pool)
    }

    /// An address that is leaving and has none of its ports in use. It is gone from here then.
    #[inline]
    pub(crate) fn take_idle(&mut self) -> Option<IdleLaddr> {
        if !self.may_be_idle {
            return None;
        }
        let mut ids = (0..self.leaving.len()).map(|at| self.leaving[at]);
        let entries = &self.entries;
        let idle = ids.find(|id| {
            let entry = entries.get(id.0 as usize).and_then(Option::as_ref);
            entry.is_some_and(|entry| entry.pool.used() == 0)
        });
        self.may_be_idle = idle.is_some();
        self.take_if_idle(idle?)
    }

    /// Takes back what [`Self::take_idle`] returned, and returns it again later. It does not
    /// allocate: there was room for it.
    #[cold]
    pub(crate) fn keep_idle(&mut self, idle: IdleLaddr) {
        let IdleLaddr {
            id,
            pool,
            addr,
            closing,
        } = idle;
        self.ids.insert(addr, id);
        self.leaving.push(id);
        self.may_be_idle = true;
        self.entries[id.0 as usize] = Some(Entry {
            addr,
            pool,
            closing,
            leaving: true,
        });
    }

    /// The id of an address.
    pub(crate) fn id_of(&self, addr: IpAddr) -> Option<LaddrId> {
        self.ids.get(&addr).copied()
    }

    /// Prefetches the cache lines that taking a port of the address will read.
    #[inline]
    pub(crate) fn fetch(&self, id: LaddrId) {
        if let Some(Some(entry)) = self.entries.get(id.0 as usize) {
            let (ahead, at, usage) = entry.pool.lines();
            prefetch(ahead[0]);
            prefetch(ahead[1]);
            prefetch(at);
            prefetch(usage);
        }
    }

    /// Takes a port of the address.
    #[inline]
    pub(crate) fn take_port(&mut self, id: LaddrId, towards: Towards) -> Option<u16> {
        self.giving_pool(id)?.take(towards)
    }

    /// Takes a port of the address, preferably one that [`Self::move_port`] can move to any other
    /// class later.
    pub(crate) fn take_movable_port(&mut self, id: LaddrId, towards: Towards) -> Option<u16> {
        self.giving_pool(id)?.take_movable(towards)
    }

    /// Takes this port of the address, which another worker has announced. `false` if it is in use
    /// here.
    pub(crate) fn claim_port(&mut self, addr: IpAddr, class: usize, port: u16) -> bool {
        let id = self.ids.get(&addr).copied();
        let pool = id.and_then(|id| self.giving_pool(id));
        pool.is_some_and(|pool| pool.claim(class, port))
    }

    /// Moves a port in use from class `from` to class `to`, even if the address is leaving. `false`
    /// if the port is already in use towards `to`.
    pub(crate) fn move_port(&mut self, addr: IpAddr, to: usize, from: usize, port: u16) -> bool {
        let id = self.ids.get(&addr);
        let entry = id.and_then(|id| self.entries.get_mut(id.0 as usize)?.as_mut());
        entry.is_some_and(|entry| entry.pool.move_to(to, from, port))
    }

    /// The pool of an address, unless the address is leaving.
    #[inline]
    fn giving_pool(&mut self, id: LaddrId) -> Option<&mut PortPool> {
        let entry = self.entries.get_mut(id.0 as usize)?.as_mut()?;
        (!entry.leaving).then_some(&mut *entry.pool)
    }

    /// The queues of closing conns that have a port of the address which is free towards dests of
    /// `class` once they give it. None if the address is leaving.
    pub(crate) fn closing_queues<A: Address>(
        &self,
        id: LaddrId,
        class: usize,
    ) -> impl Iterator<Item = ClosingQueue> {
        let entry = self.entries.get(id.0 as usize).and_then(Option::as_ref);
        let entry = entry.filter(|entry| !entry.leaving);
        entry.into_iter().flat_map(move |entry| {
            // Classes that are equal modulo this have one set of ports.
            let sets = entry.pool.sets();
            let classes = (0..CLASSES / sets).map(move |n| (class + n * sets) % CLASSES);
            classes.map(|class| entry.closing[table_of::<A>()][class])
        })
    }

    /// The local address whose port a conn has, and the class of its dest.
    #[inline]
    pub(crate) fn pool_of<A: Address>(&self, conn: &Conn<A>) -> Option<(LaddrId, usize)> {
        let ((daddr, dport), (laddr, _)) = (conn.real_server(), conn.local());
        let id = *self.ids.get(&laddr.to_ip())?;
        Some((id, sapool::class_of(daddr.low_bits(), dport)))
    }

    /// The queue of the closing conns with a port of the address towards dests of `class`.
    #[inline]
    pub(crate) fn closing_queue<A: Address>(
        &mut self,
        id: LaddrId,
        class: usize,
    ) -> Option<&mut ClosingQueue> {
        let entry = self.entries.get_mut(id.0 as usize)?.as_mut()?;
        Some(&mut entry.closing[table_of::<A>()][class])
    }

    /// Gives a port back. If the address is leaving and this was its last port in use,
    /// [`Self::take_idle`] returns it next.
    #[inline]
    pub(crate) fn put_port(&mut self, id: LaddrId, class: usize, port: u16) {
        if let Some(Some(entry)) = self.entries.get_mut(id.0 as usize) {
            entry.pool.put(class, port);
            self.may_be_idle |= entry.leaving && entry.pool.used() == 0;
        }
    }

    #[cold]
    fn take_if_idle(&mut self, id: LaddrId) -> Option<IdleLaddr> {
        let slot = self.entries.get_mut(id.0 as usize)?;
        let is_idle = |entry: &mut Entry| entry.leaving && entry.pool.used() == 0;
        let entry = slot.take_if(is_idle)?;
        self.ids.remove(&entry.addr);
        self.leaving.retain(|leaving| *leaving != id);
        Some(IdleLaddr {
            id,
            pool: entry.pool,
            addr: entry.addr,
            closing: entry.closing,
        })
    }
}

/// The table of conns with such addresses, as an index.
const fn table_of<A>() -> usize {
    (size_of::<A>() == size_of::<[u8; 16]>()) as usize
}

#[cfg(test)]
mod tests {
    use sapool::PoolShare;

    use super::*;

    /// The pool of the only worker.
    fn pool() -> Box<PortPool> {
        let share = PoolShare::new(&rss::Owners::single(), rss::WorkerId(0), false);
        Box::new(PortPool::new(&share))
    }

    const fn to(class: usize) -> Towards {
        Towards { class, base: 0 }
    }

    #[test]
    fn an_address_that_comes_back_knows_which_ports_are_still_in_use() {
        let mut laddrs = Laddrs::default();
        let addr = IpAddr::from([192, 168, 100, 200]);
        assert!(laddrs.add(LaddrId(0), addr, pool()).is_none());
        let used = laddrs.take_port(LaddrId(0), to(0)).unwrap();
        assert!(laddrs.leave(LaddrId(0)).is_none(), "a conn uses it");
        assert_eq!(laddrs.take_port(LaddrId(0), to(0)), None);
        let (old, idle) = laddrs.add(LaddrId(1), addr, pool()).unwrap();
        assert_eq!((old, idle.used()), (LaddrId(0), 0));
        let all = idle.capacity() / sapool::CLASSES as u64;
        let others: Vec<_> = (1..all)
            .filter_map(|_| laddrs.take_port(LaddrId(1), to(0)))
            .collect();
        assert_eq!(others.len() as u64, all - 1);
        assert!(!others.contains(&used));
        assert_eq!(laddrs.take_port(LaddrId(1), to(0)), None);
        laddrs.put_port(LaddrId(1), 0, used);
        assert_eq!(laddrs.take_port(LaddrId(1), to(0)), Some(used));
    }

    #[test]
    fn the_pool_of_an_address_that_leaves_goes_with_its_last_port() {
        let mut laddrs = Laddrs::default();
        let addr = IpAddr::from([192, 168, 100, 200]);
        laddrs.add(LaddrId(3), addr, pool());
        let port = laddrs.take_port(LaddrId(3), to(5)).unwrap();
        assert!(laddrs.leave(LaddrId(3)).is_none());
        assert!(laddrs.take_idle().is_none());
        laddrs.put_port(LaddrId(3), 5, port);
        for _ in 0..2 {
            let idle = laddrs.take_idle().unwrap();
            assert_eq!((idle.id, idle.pool.used()), (LaddrId(3), 0));
            assert!(laddrs.take_idle().is_none());
            laddrs.keep_idle(idle);
        }
        laddrs.take_idle().unwrap();
        assert!(laddrs.id_of(addr).is_none());
    }
}
