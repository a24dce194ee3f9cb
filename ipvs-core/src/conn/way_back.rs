//! Where clients' packets came from: what a conn holds of it, and the neighbours that a worker
//! remembers. Answers go back to them where no route leads: `fast_xmit` of DPVS.

use inet::{MacPair, Nexthop};
use packet::{MacAddr, PortId};

use crate::time::{Span, Tick};

/// These bits say that a cached next hop is a way back. [`inet::NexthopId`]s are below them.
const KIND: u32 = 1 << 31;
/// The way back is only noted: packets go by a route, as long as there is one.
const NOTED: u32 = 1 << 30;
const SLOT_BITS: u32 = 12;

/// A neighbour that clients' packets came from, and the port they came in by. The number of its
/// slot in a worker's table, and how often the slot was reused: an id of an earlier use leads
/// nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayBackId(u32);

impl WayBackId {
    /// How many slots ids can tell apart.
    pub(crate) const SLOTS: usize = 1 << SLOT_BITS;
    /// Uses of a slot, of which the last is left out: with all bits set, a cached next hop is none.
    const USES: u32 = (NOTED >> SLOT_BITS) - 1;

    /// The first use of a slot.
    pub(crate) const fn of_slot(slot: usize) -> Self {
        Self(slot as u32 & (Self::SLOTS as u32 - 1))
    }

    /// The same slot, used anew.
    pub(crate) const fn next_use(self) -> Self {
        let uses = (self.0 >> SLOT_BITS).wrapping_add(1) % Self::USES;
        Self(uses << SLOT_BITS | self.0 & (Self::SLOTS as u32 - 1))
    }

    pub(crate) const fn slot(self) -> usize {
        (self.0 & (Self::SLOTS as u32 - 1)) as usize
    }

    /// As a cached next hop that is in use.
    pub(crate) const fn in_use(self) -> u32 {
        KIND | self.0
    }

    /// As a cached next hop that is only noted.
    pub(super) const fn noted(self) -> u32 {
        KIND | NOTED | self.0
    }

    /// The way back that a cached next hop stands for, in use or noted. `None` for a next hop of a
    /// route, and for none.
    pub(super) const fn of_cached(bits: u32) -> Option<Self> {
        if bits == u32::MAX || bits & KIND == 0 {
            return None;
        }
        Some(Self(bits & !(KIND | NOTED)))
    }

    /// The way back that a next hop stands for, if it is in use.
    #[inline]
    pub(crate) const fn of_nexthop(bits: u32) -> Option<Self> {
        if bits & (KIND | NOTED) == KIND {
            Some(Self(bits & !KIND))
        } else {
            None
        }
    }
}

/// Neighbours whose numbers collide have so many slots.
const IN_SET: usize = 4;
const SETS: usize = WayBackId::SLOTS / IN_SET;

/// A slot: a neighbour and how frames are sent to it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    nexthop: Nexthop,
    id: WayBackId,
    noted_at: Tick,
    is_used: bool,
}

/// The neighbours that clients' packets came from. If there are more than slots, the one noted
/// longest ago gives way; conns that used it note where their next packet comes from.
#[derive(Debug)]
pub(crate) struct WaysBack {
    slots: Box<[Slot]>,
    /// The neighbour noted last, and its id. Most packets in a row come from the same one.
    latest: Option<(u64, WayBackId)>,
}

impl WaysBack {
    pub(crate) fn new() -> Self {
        let slot = |at| Slot {
            nexthop: Nexthop {
                macs: None,
                port: PortId(0),
                mtu: 0,
            },
            id: WayBackId::of_slot(at),
            noted_at: Tick(0),
            is_used: false,
        };
        Self {
            slots: (0..WayBackId::SLOTS).map(slot).collect(),
            latest: None,
        }
    }

    /// Notes once more the neighbour noted last. `None` if it is another one.
    #[inline]
    pub(crate) fn note_again(
        &mut self,
        neighbour: MacAddr,
        port: PortId,
        now: Tick,
    ) -> Option<WayBackId> {
        let (_, id) = self
            .latest
            .filter(|(key, _)| *key == key_of(neighbour, port))?;
        let slot = self.slots.get_mut(id.slot())?;
        slot.noted_at = now;
        Some(id)
    }

    /// The devices may have other addresses and MTUs from now on.
    pub(crate) const fn expect_changes(&mut self) {
        self.latest = None;
    }

    /// Notes that a packet came from this neighbour by this port, whose device has these addresses
    /// and MTU.
    pub(crate) fn note(
        &mut self,
        neighbour: MacAddr,
        (port, ours, mtu): (PortId, MacAddr, u16),
        now: Tick,
    ) -> WayBackId {
        let nexthop = Nexthop {
            macs: Some(MacPair::new(neighbour, ours)),
            port,
            mtu,
        };
        let key = key_of(neighbour, port);
        let first = set_of(key) * IN_SET;
        let set = &mut self.slots[first..first + IN_SET];
        let found = set.iter().position(|slot| slot.nexthop == nexthop);
        let age = |slot: &Slot| {
            if slot.is_used {
                now.since(slot.noted_at)
            } else {
                Span::FOREVER
            }
        };
        let at = found.unwrap_or_else(|| {
            let oldest = (0..IN_SET).max_by_key(|at| age(&set[*at]));
            oldest.unwrap_or_default()
        });
        let slot = &mut set[at];
        if found.is_none() {
            slot.id = slot.id.next_use();
            slot.nexthop = nexthop;
            slot.is_used = true;
        }
        slot.noted_at = now;
        self.latest = Some((key, slot.id));
        slot.id
    }

    /// The neighbour that a way leads to, and the port it leads out of.
    pub(crate) fn ends(&self, id: WayBackId) -> Option<(MacAddr, PortId)> {
        let nexthop = self.get(id)?;
        Some((nexthop.macs?.dst(), nexthop.port))
    }

    /// How frames are sent back. `None` if the slot was given to another neighbour.
    #[inline]
    pub(crate) fn get(&self, id: WayBackId) -> Option<&Nexthop> {
        let slot = self.slots.get(id.slot())?;
        (slot.id == id && slot.is_used).then_some(&slot.nexthop)
    }
}

/// A neighbour and a port as one number.
#[inline]
const fn key_of(neighbour: MacAddr, port: PortId) -> u64 {
    let [a, b, c, d, e, f] = neighbour.0;
    let [high, low] = port.0.to_be_bytes();
    u64::from_be_bytes([high, low, a, b, c, d, e, f])
}

const fn set_of(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_went_in() {
        let mut id = WayBackId::of_slot(WayBackId::SLOTS - 1);
        for _ in 0..WayBackId::USES {
            assert_eq!(id.slot(), WayBackId::SLOTS - 1);
            assert_eq!(WayBackId::of_cached(id.in_use()), Some(id));
            assert_eq!(WayBackId::of_cached(id.noted()), Some(id));
            assert_eq!(WayBackId::of_nexthop(id.in_use()), Some(id));
            assert_eq!(WayBackId::of_nexthop(id.noted()), None);
            assert_ne!(id.next_use(), id);
            id = id.next_use();
        }
        assert_eq!(WayBackId::of_cached(u32::MAX), None, "no next hop");
        assert_eq!(WayBackId::of_cached(7), None, "a next hop of a route");
    }

    const OURS: (PortId, MacAddr, u16) = (PortId(1), MacAddr([2, 0, 0, 0, 0, 1]), 1500);

    fn mac(number: u16) -> MacAddr {
        let [high, low] = number.to_be_bytes();
        MacAddr([2, 0, 0, 1, high, low])
    }

    #[test]
    fn a_neighbour_keeps_its_way_until_another_one_gets_it() {
        let mut ways = WaysBack::new();
        let id = ways.note(mac(1), OURS, Tick(5));
        assert_eq!(ways.note(mac(1), OURS, Tick(6)), id);
        let nexthop = ways.get(id).unwrap();
        assert_eq!((nexthop.port, nexthop.mtu), (PortId(1), 1500));
        assert_eq!(nexthop.macs.map(|macs| macs.dst()), Some(mac(1)));
        let other_port = (PortId(2), OURS.1, OURS.2);
        assert_ne!(ways.note(mac(1), other_port, Tick(7)), id);
        for number in 2..60_000 {
            ways.note(mac(number), OURS, Tick(8));
        }
        assert_eq!(ways.get(id), None);
    }

    #[test]
    fn the_neighbour_noted_longest_ago_gives_way() {
        let mut ways = WaysBack::new();
        let set_of = |number| set_of(key_of(mac(number), OURS.0));
        let mut of_set = (0..=u16::MAX).filter(|number| set_of(*number) == set_of(0));
        let mut next = || mac(of_set.next().unwrap());
        let macs = [next(), next(), next(), next()];
        let ids = [0, 1, 2, 3].map(|at: usize| ways.note(macs[at], OURS, Tick(at as u32)));
        ways.note(macs[0], OURS, Tick(9));
        ways.note(next(), OURS, Tick(10));
        let are_left = ids.map(|id| ways.get(id).is_some());
        assert_eq!(are_left, [true, false, true, true]);
    }
}
