//! How many conns of a service use each of its local addresses.
//!
//! A conn notes where it was counted: its service may have lost the address when the conn ends.

use std::net::IpAddr;

use packet::PacketBuf;

use crate::config::{LaddrUseId, Service};
use crate::conn::ConnId;
use crate::ctx::Forwarder;
use crate::wire::Family;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Counts a new conn with a local port.
    #[inline]
    pub(crate) fn begin_laddr_use(&mut self, id: ConnId, laddr_use: Option<LaddrUseId>) {
        self.family.exts.set_laddr_use(id, laddr_use);
        if let Some(laddr_use) = laddr_use {
            self.shared.stats.laddr_use(laddr_use).conns.add(1);
        }
        let next = self.family.conns.next_free();
        self.family.exts.fetch_laddr_use(next);
    }

    /// No port of the local address that a conn uses was free for a conn that it announces.
    pub(crate) fn count_laddr_conflict(&self, id: ConnId) {
        if let Some(laddr_use) = self.family.exts.laddr_use(id) {
            self.shared.stats.laddr_use(laddr_use).conflicts.add(1);
        }
    }

    /// A conn with a local port has ended.
    #[inline]
    pub(super) fn end_laddr_use(&self, id: ConnId) {
        if let Some(laddr_use) = self.family.exts.laddr_use(id) {
            self.shared.stats.laddr_use(laddr_use).conns.sub(1);
        }
    }
}

/// Where a service counts the use of a local address, if it has it.
pub(crate) fn use_of(service: &Service, laddr: IpAddr) -> Option<LaddrUseId> {
    let found = service.laddrs.iter().find(|found| found.addr == laddr)?;
    Some(found.use_id)
}
