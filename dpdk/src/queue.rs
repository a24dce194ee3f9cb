//! A port's queues. Each has one user, which is why they can be neither copied nor shared.

use std::fmt;

use dpdk_sys as sys;
use packet::PortId;

use crate::burst::Burst;

/// The number of a queue of a port, from 0. A receive and a transmit queue of the same number
/// belong to the same worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u16);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where packets come in. [`crate::Port::take_queues`] hands it out.
#[derive(Debug)]
pub struct RxQueue {
    port: PortId,
    queue: QueueId,
}

/// Where packets leave. [`crate::Port::take_queues`] hands it out.
#[derive(Debug)]
pub struct TxQueue {
    port: PortId,
    queue: QueueId,
}

impl RxQueue {
    pub(crate) const fn new(port: PortId, queue: QueueId) -> Self {
        Self { port, queue }
    }

    /// Receives what has come, at most 64 packets. Packets that were in the burst are freed first.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        drop(burst.drain());
        let (slots, room) = burst.spare_slots();
        // SAFETY: the port is started and has this queue, whose only user we are; there are that
        // many slots, and the driver fills in mbufs that are ours from then on.
        unsafe {
            let received = sys::dpvs_rx_burst(self.port.0, self.queue.0, slots, room as u16);
            burst.grow(usize::from(received));
        }
        burst.cut_chains();
        burst.len()
    }
}

impl TxQueue {
    pub(crate) const fn new(port: PortId, queue: QueueId) -> Self {
        Self { port, queue }
    }

    /// Sends a burst. Packets that the queue has no room for are freed; returns their number.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        // SAFETY: the port is started and has this queue, whose only user we are; the driver takes
        // over as many mbufs from the front as it says.
        unsafe {
            let sent = sys::dpvs_tx_burst(
                self.port.0,
                self.queue.0,
                burst.as_mut_ptr(),
                burst.len() as u16,
            );
            burst.settle(usize::from(sent))
        }
    }

    /// Calls the driver without a packet: a bonding port needs that every 100 ms for LACP.
    pub fn keep_alive(&mut self) {
        // SAFETY: as in `burst`; no mbuf is read.
        unsafe { sys::dpvs_tx_burst(self.port.0, self.queue.0, std::ptr::null_mut(), 0) };
    }
}
