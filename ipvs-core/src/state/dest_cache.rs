//! What a worker notes of dests: whose they are, and their next hops, so that not every new conn looks for the same.

use std::net::IpAddr;

use inet::NexthopId;

use crate::config::{DestId, ServiceId};
use crate::simd::prefetch;

/// Two to a cache line, none in two.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Note {
    nexthop: Option<Known>,
    service: ServiceId,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    addr: IpAddr,
    /// [`inet::Net::generation`] when it was looked up
    generation: u16,
    nexthop: NexthopId,
}

/// Notes by dest.
#[derive(Debug)]
pub(crate) struct DestCache {
    notes: Box<[Note]>,
}

impl DestCache {
    /// Room for this many dests.
    pub(crate) fn new(max_dests: usize) -> Self {
        let note = Note {
            nexthop: None,
            service: ServiceId(0),
        };
        Self {
            notes: vec![note; max_dests].into(),
        }
    }

    /// Hints that the note of a dest is read soon.
    #[inline]
    pub(crate) fn fetch(&self, dest: DestId) {
        if let Some(note) = self.notes.get(dest.0 as usize) {
            prefetch(note);
        }
    }

    /// The service of a dest that conns were made to.
    #[inline]
    pub(crate) fn service(&self, dest: DestId) -> ServiceId {
        self.notes[dest.0 as usize].service
    }

    /// Notes whose dest it is.
    #[inline]
    pub(crate) fn set_service(&mut self, dest: DestId, service: ServiceId) {
        self.notes[dest.0 as usize].service = service;
    }

    /// The next hop of a dest, if it was found since routes changed last. A number may be another dest's by now.
    pub(crate) fn nexthop(&self, dest: DestId, addr: IpAddr, generation: u16) -> Option<NexthopId> {
        let known = self.notes.get(dest.0 as usize)?.nexthop?;
        (known.addr == addr && known.generation == generation).then_some(known.nexthop)
    }

    /// Notes a next hop.
    pub(crate) fn set_nexthop(
        &mut self,
        dest: DestId,
        addr: IpAddr,
        generation: u16,
        nexthop: NexthopId,
    ) {
        if let Some(note) = self.notes.get_mut(dest.0 as usize) {
            note.nexthop = Some(Known {
                addr,
                generation,
                nexthop,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_nothing_of_other_addresses_and_earlier_routes() {
        let mut notes = DestCache::new(2);
        let (addr, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(notes.nexthop(DestId(1), addr, 7), None);
        notes.set_service(DestId(1), ServiceId(5));
        notes.set_nexthop(DestId(1), addr, 7, NexthopId(3));
        assert_eq!(notes.nexthop(DestId(1), addr, 7), Some(NexthopId(3)));
        assert_eq!(notes.nexthop(DestId(1), addr, 8), None);
        assert_eq!(notes.nexthop(DestId(1), other, 7), None);
        assert_eq!(notes.service(DestId(1)), ServiceId(5));
        notes.set_nexthop(DestId(2), addr, 7, NexthopId(3));
        assert_eq!(notes.nexthop(DestId(2), addr, 7), None);
    }

    #[test]
    fn a_note_is_half_a_cache_line() {
        assert_eq!(size_of::<Note>(), 32);
    }
}
