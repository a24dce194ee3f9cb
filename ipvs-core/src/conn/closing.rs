//! Queues of closing conns, the one that closed first at the front. Each local address has one for
//! each class of dests: when its ports are used up, the first conn gives its port to a new one.

use super::ConnId;
use super::ring::{Ring, ring_of};
use super::wheel::{QueueLink, Wheel};
use super::{Conn, ConnFlags};
use crate::tuple::Address;

/// Both ends of a queue, as ids plus one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClosingQueue {
    first: u32,
    last: u32,
}

/// The conn that a number in a queue stands for.
const fn conn_of(number: u32) -> Option<ConnId> {
    match number.checked_sub(1) {
        Some(id) => Some(ConnId(id)),
        None => None,
    }
}

impl Wheel {
    /// The conns of a queue, from the one that closed first.
    pub(super) fn of_queue(&self, queue: ClosingQueue) -> impl Iterator<Item = ConnId> {
        let behind = |id: &ConnId| conn_of(self.queue_link(*id).behind);
        std::iter::successors(conn_of(queue.first), behind)
    }

    /// Puts a conn at the end of a queue. It must be in none.
    pub(super) fn enqueue(&mut self, id: ConnId, queue: &mut ClosingQueue) {
        let (ours, before) = (id.0 + 1, queue.last);
        *self.queue_link_mut(id) = QueueLink { before, behind: 0 };
        queue.last = ours;
        match before.checked_sub(1) {
            Some(before) => self.queue_link_mut(ConnId(before)).behind = ours,
            None => queue.first = ours,
        }
    }

    /// Takes a conn out of the queue that it is in.
    pub(super) fn dequeue(&mut self, id: ConnId, queue: &mut ClosingQueue) {
        let QueueLink { before, behind } = self.queue_link(id);
        let is_last = behind == 0;
        if queue.first == id.0 + 1 {
            queue.first = behind;
            if is_last {
                queue.last = 0;
            }
            return;
        }
        self.queue_link_mut(ConnId(before - 1)).behind = behind;
        match behind.checked_sub(1) {
            Some(behind) => self.queue_link_mut(ConnId(behind)).before = before,
            None => queue.last = before,
        }
    }
}

/// Whether a conn is in the queue of its local address: it has a local port, and both ends have
/// closed.
#[inline]
pub(crate) const fn is_queued<A: Address>(conn: &Conn<A>) -> bool {
    conn.flags.has(ConnFlags::LOCAL_PORT) && matches!(ring_of(conn), Ring::Closing)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::time::Tick;

    proptest! {
        /// Compares two queues over the same conns with the simplest model.
        #[test]
        fn conns_leave_from_anywhere_and_the_rest_keeps_its_order(
            steps in prop::collection::vec((0..2usize, 0..20u32), 1..200)
        ) {
            let mut links = Wheel::new(20, Tick(0));
            let mut queues = [ClosingQueue::default(); 2];
            let mut model = [VecDeque::new(), VecDeque::new()];
            for (at, id) in steps {
                let held_by = (0..2).find(|at| model[*at].contains(&id));
                match held_by {
                    Some(at) => {
                        links.dequeue(ConnId(id), &mut queues[at]);
                        model[at].retain(|other| *other != id);
                    }
                    None => {
                        links.enqueue(ConnId(id), &mut queues[at]);
                        model[at].push_back(id);
                    }
                }
                for (queue, model) in queues.iter().zip(&model) {
                    let all: Vec<_> = links.of_queue(*queue).map(|id| id.0).collect();
                    prop_assert!(all.iter().eq(model));
                }
            }
            for (queue, model) in queues.iter_mut().zip(&mut model) {
                while let Some(first) = model.pop_front() {
                    prop_assert_eq!(conn_of(queue.first), Some(ConnId(first)));
                    links.dequeue(ConnId(first), queue);
                }
                prop_assert_eq!(*queue, ClosingQueue::default());
            }
        }
    }
}
