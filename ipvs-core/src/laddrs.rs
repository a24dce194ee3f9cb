//! The local addresses of a worker, with its ports of each.

use std::net::IpAddr;

use sapool::PortPool;

use crate::service::LaddrId;

#[derive(Debug)]
struct Entry {
    addr: IpAddr,
    pool: Box<PortPool>,
    leaving: bool,
}

/// Port pools by the id that control gave them.
#[derive(Debug, Default)]
pub(crate) struct Laddrs {
    entries: Vec<Option<Entry>>,
}

impl Laddrs {
    /// Takes a pool into use. Called on control's order, not by packets: it may allocate.
    pub(crate) fn add(&mut self, id: LaddrId, addr: IpAddr, pool: Box<PortPool>) {
        let at = id.0 as usize;
        if at >= self.entries.len() {
            self.entries.resize_with(at + 1, || None);
        }
        self.entries[at] = Some(Entry {
            addr,
            pool,
            leaving: false,
        });
    }

    /// Gives out no more ports of this address. The pool, if none of its ports is in use.
    pub(crate) fn leave(&mut self, id: LaddrId) -> Option<Box<PortPool>> {
        if let Some(Some(entry)) = self.entries.get_mut(id.0 as usize) {
            entry.leaving = true;
        }
        self.take_if_idle(id)
    }

    /// A port of the address towards dests of a class.
    #[inline]
    pub(crate) fn take_port(&mut self, id: LaddrId, class: usize) -> Option<u16> {
        let entry = self.entries.get_mut(id.0 as usize)?.as_mut()?;
        if entry.leaving {
            None
        } else {
            entry.pool.take(class)
        }
    }

    /// Gives a port back. The pool and its id, if the address was to leave and this was its last.
    pub(crate) fn put_port(
        &mut self,
        addr: IpAddr,
        class: usize,
        port: u16,
    ) -> Option<(LaddrId, Box<PortPool>)> {
        // The same address may be there twice for a while: one leaving, one new. Only the pool that
        // gave the port out takes it back.
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries[at].as_mut().filter(|entry| entry.addr == addr) else {
                continue;
            };
            let used = entry.pool.used();
            entry.pool.put(class, port);
            if entry.pool.used() != used {
                let id = LaddrId(at as u32);
                return self.take_if_idle(id).map(|pool| (id, pool));
            }
        }
        None
    }

    fn take_if_idle(&mut self, id: LaddrId) -> Option<Box<PortPool>> {
        let slot = self.entries.get_mut(id.0 as usize)?;
        if slot
            .as_ref()
            .is_some_and(|entry| entry.leaving && entry.pool.used() == 0)
        {
            slot.take().map(|entry| entry.pool)
        } else {
            None
        }
    }
}
