//! The rings by which a worker hands a packet to the worker that owns its conn.

use dpdk::Mbuf;
use ipvs_core::WorkerId;

/// Packets that may wait for another worker. If a ring is full the packet is dropped and counted.
const REDIRECT_RING: usize = 2048;

/// One ring for every ordered pair of workers.
///
/// Each ring has one producer and one consumer, and that is why it is an `rtrb` ring: its ends need
/// no atomic read-modify-write, which a queue with several producers cannot avoid, and a worker
/// that floods another one cannot fill the rings of the rest.
#[derive(Debug)]
pub(crate) struct RedirectRings {
    ends: Vec<RedirectEnds>,
}

/// A worker's ends of the rings.
#[derive(Debug, Default)]
pub(crate) struct RedirectEnds {
    /// To each worker, by its number; `None` for the worker itself.
    pub(crate) to: Vec<Option<rtrb::Producer<Mbuf>>>,
    /// From each other worker.
    pub(crate) from: Vec<rtrb::Consumer<Mbuf>>,
}

impl RedirectRings {
    /// The rings between this many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let mut ends: Vec<_> = (0..workers).map(|_| RedirectEnds::default()).collect();
        for sender in 0..workers {
            for receiver in 0..workers {
                let ring = (sender != receiver).then(|| rtrb::RingBuffer::new(REDIRECT_RING));
                let (producer, consumer) = ring.unzip();
                ends[sender].to.push(producer);
                ends[receiver].from.extend(consumer);
            }
        }
        Self { ends }
    }

    /// Bytes of memory of the rings between this many workers.
    pub(crate) const fn bytes_for(workers: usize) -> usize {
        workers * workers.saturating_sub(1) * REDIRECT_RING * size_of::<Mbuf>()
    }

    /// The ends of a worker. Each worker's are handed out once.
    pub(crate) fn take(&mut self, worker: WorkerId) -> RedirectEnds {
        std::mem::take(&mut self.ends[worker.index()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_a_ring_to_and_from_each_other_worker() {
        let mut rings = RedirectRings::new(3);
        for worker in 0..3_usize {
            let ends = rings.take(WorkerId(worker as u16));
            let others: Vec<bool> = ends.to.iter().map(Option::is_some).collect();
            let expected: Vec<bool> = (0..3).map(|other| other != worker).collect();
            assert_eq!(others, expected);
            assert_eq!(ends.from.len(), 2);
        }
    }
}
