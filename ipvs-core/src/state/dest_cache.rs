//! Per dest, what a worker needs for each new conn: the service of the dest and its next hop. It
//! saves the look-ups.

use std::net::IpAddr;

use inet::NexthopId;

use crate::config::{Dest, DestId, Service, ServiceId};
use crate::simd::prefetch;

/// 32 bytes, aligned: two notes share a cache line, and no note lies across two lines.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Note {
    nexthop: Option<Known>,
    service: ServiceId,
    /// The index of the dest in its service when it was looked for last.
    place: u16,
    /// The conns of the dest were told to end.
    is_ending: bool,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    addr: IpAddr,
    /// [`inet::Net::generation`] at the time of the look-up.
    generation: u16,
    nexthop: NexthopId,
}

/// One note per dest, indexed by `DestId`.
#[derive(Debug)]
pub(crate) struct DestCache {
    notes: Box<[Note]>,
}

impl DestCache {
    /// Room for dests with ids below `max_dests`.
    pub(crate) fn new(max_dests: usize) -> Self {
        let note = Note {
            nexthop: None,
            service: ServiceId(0),
            place: 0,
            is_ending: false,
        };
        Self {
            notes: vec![note; max_dests].into(),
        }
    }

    /// Bytes of memory of the notes of so many dests.
    pub(crate) const fn bytes_for(max_dests: usize) -> usize {
        max_dests * size_of::<Note>()
    }

    /// Prefetches the note of a dest.
    #[inline]
    pub(crate) fn fetch(&self, dest: DestId) {
        if let Some(note) = self.notes.get(dest.0 as usize) {
            prefetch(note);
        }
    }

    /// The service of a dest, as set by [`Self::set_service`] when its latest conn was made.
    #[inline]
    pub(crate) fn service(&self, dest: DestId) -> ServiceId {
        self.notes[dest.0 as usize].service
    }

    /// Sets the service of a dest.
    #[inline]
    pub(crate) fn set_service(&mut self, dest: DestId, service: ServiceId) {
        let note = &mut self.notes[dest.0 as usize];
        (note.service, note.is_ending) = (service, false);
    }

    /// Notes that the conns of a dest were told to end. A dest with this id gets no conn from now
    /// on, until the id is another dest's.
    pub(crate) fn set_ending(&mut self, dest: DestId) {
        if let Some(note) = self.notes.get_mut(dest.0 as usize) {
            note.is_ending = true;
        }
    }

    /// Whether the conns of a dest were told to end.
    pub(crate) fn is_ending(&self, dest: DestId) -> bool {
        self.notes
            .get(dest.0 as usize)
            .is_some_and(|note| note.is_ending)
    }

    /// The dest of a service with this id. All dests are searched only if they have changed since.
    pub(crate) fn find<'s>(&mut self, service: &'s Service, id: DestId) -> Option<&'s Dest> {
        let note = self.notes.get_mut(id.0 as usize)?;
        let noted = service.dests.get(usize::from(note.place));
        if let Some(dest) = noted.filter(|dest| dest.id == id) {
            return Some(dest);
        }
        let mut dests = (0..=u16::MAX).zip(&service.dests);
        let (place, dest) = dests.find(|(_, dest)| dest.id == id)?;
        note.place = place;
        Some(dest)
    }

    /// The next hop of a dest. `None` if it is not known, or routes have changed since
    /// (`generation`), or the id belongs to a dest with another address by now.
    pub(crate) fn nexthop(&self, dest: DestId, addr: IpAddr, generation: u16) -> Option<NexthopId> {
        let known = self.notes.get(dest.0 as usize)?.nexthop?;
        (known.addr == addr && known.generation == generation).then_some(known.nexthop)
    }

    /// Stores the next hop of a dest, found in the routes of `generation`.
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
    fn a_next_hop_is_valid_for_its_address_and_route_generation_only() {
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
