//! Packets that wait for their next hop's MAC address: a bounded queue per neighbour.

use std::net::IpAddr;

use inet::IfIndex;

use crate::time::Tick;

/// Neighbours waited for at once. Packets for more are dropped: a scan of unused addresses must not
/// take memory.
const NEIGHBOURS: usize = 256;
/// How long a packet waits. As long as control asks: three requests, a second apart.
const PATIENCE: u32 = Tick::from_secs(3);

const NIL: u32 = u32::MAX;

/// Whom a packet waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    pub(crate) ifindex: IfIndex,
    pub(crate) addr: IpAddr,
}

#[derive(Debug)]
struct Queue {
    awaited: Awaited,
    since: Tick,
    first: u32,
    last: u32,
    len: u16,
}

#[derive(Debug)]
struct Slot<B> {
    packet: Option<B>,
    next: u32,
}

/// All packets that wait. Its memory is made once.
#[derive(Debug)]
pub(crate) struct Held<B> {
    queues: Vec<Queue>,
    slots: Box<[Slot<B>]>,
    free: u32,
    longest: u16,
}

/// What became of a packet that was to be held.
#[derive(Debug)]
pub(crate) enum Hold<B> {
    /// It waits; nobody waited for this neighbour before.
    First,
    /// It waits behind others.
    Queued,
    /// There was no room: here it is.
    Full(B),
}

impl<B> Held<B> {
    /// Room for `capacity` packets, of which at most `longest` wait for the same neighbour.
    pub(crate) fn new(capacity: u32, longest: u16) -> Self {
        let slots = (1..=capacity).map(|next| Slot {
            packet: None,
            next: if next == capacity { NIL } else { next },
        });
        Self {
            queues: Vec::with_capacity(NEIGHBOURS),
            slots: slots.collect(),
            free: if capacity == 0 { NIL } else { 0 },
            longest,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    pub(crate) fn push(&mut self, now: Tick, awaited: Awaited, packet: B) -> Hold<B> {
        let slot = self.free;
        let at = self
            .queues
            .iter()
            .position(|queue| queue.awaited == awaited);
        let has_room = match at {
            Some(at) => self.queues[at].len < self.longest,
            None => self.queues.len() < NEIGHBOURS,
        };
        if slot == NIL || !has_room {
            return Hold::Full(packet);
        }
        self.free = self.slots[slot as usize].next;
        self.slots[slot as usize] = Slot {
            packet: Some(packet),
            next: NIL,
        };
        let Some(at) = at else {
            self.queues.push(Queue {
                awaited,
                since: now,
                first: slot,
                last: slot,
                len: 1,
            });
            return Hold::First;
        };
        let queue = &mut self.queues[at];
        self.slots[queue.last as usize].next = slot;
        queue.last = slot;
        queue.len += 1;
        Hold::Queued
    }

    /// The next packet of a neighbour that `is_known`, in the order they came.
    pub(crate) fn pop_known(
        &mut self,
        is_known: impl Fn(&Awaited) -> bool,
    ) -> Option<(Awaited, B)> {
        let at = self
            .queues
            .iter()
            .position(|queue| is_known(&queue.awaited))?;
        self.pop(at)
    }

    /// The next packet that has waited too long.
    pub(crate) fn pop_stale(&mut self, now: Tick) -> Option<(Awaited, B)> {
        let at = self
            .queues
            .iter()
            .position(|queue| now.since(queue.since) > PATIENCE)?;
        self.pop(at)
    }

    fn pop(&mut self, at: usize) -> Option<(Awaited, B)> {
        let queue = &mut self.queues[at];
        let slot = queue.first;
        let packet = self.slots[slot as usize].packet.take()?;
        queue.first = self.slots[slot as usize].next;
        queue.len -= 1;
        let awaited = queue.awaited;
        if queue.len == 0 {
            self.queues.swap_remove(at);
        }
        self.slots[slot as usize].next = self.free;
        self.free = slot;
        Some((awaited, packet))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const GATEWAY: Awaited = Awaited {
        ifindex: IfIndex(1),
        addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    };
    const OTHER: Awaited = Awaited {
        ifindex: IfIndex(1),
        addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    };

    #[test]
    fn packets_leave_in_the_order_they_came_once_their_neighbour_is_known() {
        let mut held = Held::new(8, 4);
        assert!(matches!(held.push(Tick(0), GATEWAY, 'a'), Hold::First));
        assert!(matches!(held.push(Tick(0), OTHER, 'x'), Hold::First));
        assert!(matches!(held.push(Tick(0), GATEWAY, 'b'), Hold::Queued));
        let known: Vec<_> =
            std::iter::from_fn(|| held.pop_known(|awaited| *awaited == GATEWAY)).collect();
        assert_eq!(known, [(GATEWAY, 'a'), (GATEWAY, 'b')]);
        assert_eq!(held.pop_known(|_| true), Some((OTHER, 'x')));
        assert!(held.is_empty());
    }

    #[test]
    fn a_neighbour_s_queue_and_all_queues_together_are_bounded() {
        let mut held = Held::new(3, 2);
        for _ in 0..2 {
            assert!(!matches!(held.push(Tick(0), GATEWAY, ()), Hold::Full(())));
        }
        assert!(matches!(held.push(Tick(0), GATEWAY, ()), Hold::Full(())));
        assert!(matches!(held.push(Tick(0), OTHER, ()), Hold::First));
        assert!(matches!(held.push(Tick(0), OTHER, ()), Hold::Full(())));
    }

    #[test]
    fn a_packet_that_waited_too_long_is_given_up() {
        let mut held = Held::new(3, 2);
        held.push(Tick(0), GATEWAY, 'a');
        assert_eq!(held.pop_stale(Tick(Tick::from_secs(2))), None);
        assert_eq!(
            held.pop_stale(Tick(Tick::from_secs(4))),
            Some((GATEWAY, 'a'))
        );
    }
}
