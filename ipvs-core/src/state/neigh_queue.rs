//! Packets that wait for the MAC address of their next hop: a bounded queue per neighbour.

use std::net::IpAddr;

use inet::IfIndex;

use crate::time::{Span, Tick};

/// Most neighbours that packets wait for at a time. Packets for further ones are dropped: a scan of
/// unused addresses must not use up memory.
const NEIGHBOURS: usize = 256;
/// How long packets wait, in ticks. Control sends three requests in this time, one per second.
const PATIENCE: Span = Span::from_secs(3);

const NIL: u32 = u32::MAX;

/// The neighbour that a packet waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeighbourKey {
    pub(crate) ifindex: IfIndex,
    pub(crate) addr: IpAddr,
}

#[derive(Debug)]
struct Queue {
    awaited: NeighbourKey,
    since: Tick,
    first: u32,
    last: u32,
    len: u16,
}

#[derive(Debug)]
struct Node<B> {
    packet: Option<B>,
    next: u32,
}

/// All packets that wait for a neighbour. All memory is allocated by `new`.
#[derive(Debug)]
pub(crate) struct NeighQueue<B> {
    queues: Vec<Queue>,
    nodes: Box<[Node<B>]>,
    free: u32,
    longest: u16,
}

/// The result of [`NeighQueue::push`].
#[derive(Debug)]
pub(crate) enum Enqueued<B> {
    /// The packet is queued, as the first one for this neighbour.
    First,
    /// The packet is queued behind others.
    Queued,
    /// There was no room. The packet is returned.
    Full(B),
}

impl<B> NeighQueue<B> {
    /// Room for `capacity` packets, of which at most `longest` wait for the same neighbour.
    pub(crate) fn new(capacity: u32, longest: u16) -> Self {
        let nodes = (1..=capacity).map(|next| Node {
            packet: None,
            next: if next == capacity { NIL } else { next },
        });
        Self {
            queues: Vec::with_capacity(NEIGHBOURS),
            nodes: nodes.collect(),
            free: if capacity == 0 { NIL } else { 0 },
            longest,
        }
    }

    /// Changes how many packets may wait for the same neighbour. Those that wait stay.
    pub(crate) const fn set_longest(&mut self, longest: u16) {
        self.longest = longest;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether so many more packets may wait for a neighbour. If nothing waits for it yet, one has
    /// to, so that it is resolved.
    pub(crate) fn has_room(&self, awaited: NeighbourKey, packets: u16) -> bool {
        let mut queues = self.queues.iter();
        let queue = queues.find(|queue| queue.awaited == awaited);
        queue.is_none_or(|queue| queue.len.saturating_add(packets) <= self.longest)
    }

    pub(crate) fn push(&mut self, now: Tick, awaited: NeighbourKey, packet: B) -> Enqueued<B> {
        let node = self.free;
        let at = self
            .queues
            .iter()
            .position(|queue| queue.awaited == awaited);
        let has_room = match at {
            Some(at) => self.queues[at].len < self.longest,
            None => self.queues.len() < NEIGHBOURS,
        };
        if node == NIL || !has_room {
            return Enqueued::Full(packet);
        }
        self.free = self.nodes[node as usize].next;
        self.nodes[node as usize] = Node {
            packet: Some(packet),
            next: NIL,
        };
        let Some(at) = at else {
            self.queues.push(Queue {
                awaited,
                since: now,
                first: node,
                last: node,
                len: 1,
            });
            return Enqueued::First;
        };
        let queue = &mut self.queues[at];
        self.nodes[queue.last as usize].next = node;
        queue.last = node;
        queue.len += 1;
        Enqueued::Queued
    }

    /// Takes out the next packet whose neighbour satisfies `is_known`. Packets for one neighbour
    /// leave in the order they came.
    pub(crate) fn pop_known(
        &mut self,
        is_known: impl Fn(&NeighbourKey) -> bool,
    ) -> Option<(NeighbourKey, B)> {
        let at = self
            .queues
            .iter()
            .position(|queue| is_known(&queue.awaited))?;
        self.pop(at)
    }

    /// Takes out the next packet of a queue that has waited too long.
    pub(crate) fn pop_stale(&mut self, now: Tick) -> Option<(NeighbourKey, B)> {
        let at = self
            .queues
            .iter()
            .position(|queue| now.since(queue.since) > PATIENCE)?;
        self.pop(at)
    }

    fn pop(&mut self, at: usize) -> Option<(NeighbourKey, B)> {
        let queue = &mut self.queues[at];
        let node = queue.first;
        let packet = self.nodes[node as usize].packet.take()?;
        queue.first = self.nodes[node as usize].next;
        queue.len -= 1;
        let awaited = queue.awaited;
        if queue.len == 0 {
            self.queues.swap_remove(at);
        }
        self.nodes[node as usize].next = self.free;
        self.free = node;
        Some((awaited, packet))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const GATEWAY: NeighbourKey = NeighbourKey {
        ifindex: IfIndex(1),
        addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    };
    const OTHER: NeighbourKey = NeighbourKey {
        ifindex: IfIndex(1),
        addr: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    };

    #[test]
    fn packets_leave_in_the_order_they_came_once_their_neighbour_is_known() {
        let mut queue = NeighQueue::new(8, 4);
        assert!(matches!(queue.push(Tick(0), GATEWAY, 'a'), Enqueued::First));
        assert!(matches!(queue.push(Tick(0), OTHER, 'x'), Enqueued::First));
        assert!(matches!(
            queue.push(Tick(0), GATEWAY, 'b'),
            Enqueued::Queued
        ));
        let known: Vec<_> =
            std::iter::from_fn(|| queue.pop_known(|awaited| *awaited == GATEWAY)).collect();
        assert_eq!(known, [(GATEWAY, 'a'), (GATEWAY, 'b')]);
        assert_eq!(queue.pop_known(|_| true), Some((OTHER, 'x')));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_neighbour_s_queue_and_all_queues_together_are_bounded() {
        let mut queue = NeighQueue::new(3, 2);
        for _ in 0..2 {
            assert!(!matches!(
                queue.push(Tick(0), GATEWAY, ()),
                Enqueued::Full(())
            ));
        }
        assert!(matches!(
            queue.push(Tick(0), GATEWAY, ()),
            Enqueued::Full(())
        ));
        assert!(matches!(queue.push(Tick(0), OTHER, ()), Enqueued::First));
        assert!(matches!(queue.push(Tick(0), OTHER, ()), Enqueued::Full(())));
    }

    #[test]
    fn a_changed_limit_holds_for_the_next_packet() {
        let mut queue = NeighQueue::new(8, 1);
        let is_full = |queue: &mut NeighQueue<()>| {
            matches!(queue.push(Tick(0), GATEWAY, ()), Enqueued::Full(()))
        };
        assert!(!is_full(&mut queue) && is_full(&mut queue));
        queue.set_longest(2);
        assert!(!is_full(&mut queue) && is_full(&mut queue));
        queue.set_longest(1);
        assert!(is_full(&mut queue), "those that wait stay");
    }

    #[test]
    fn a_packet_that_waited_too_long_is_given_up() {
        let mut queue = NeighQueue::new(3, 2);
        queue.push(Tick(0), GATEWAY, 'a');
        assert_eq!(queue.pop_stale(Tick(0).after(Span::from_secs(2))), None);
        assert_eq!(
            queue.pop_stale(Tick(0).after(Span::from_secs(4))),
            Some((GATEWAY, 'a'))
        );
    }
}
