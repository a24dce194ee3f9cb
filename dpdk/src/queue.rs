//! A port's queues: each has one user, which is why they can be neither copied nor shared.

use dpdk_sys as sys;

use crate::burst::Burst;

/// Where packets come in. Received from [`crate::Port::take_queues`].
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
}

/// Where packets leave.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
}

impl RxQueue {
    pub(crate) const fn new(port: u16, queue: u16) -> Self {
        Self { port, queue }
    }

    /// Receives what has come, at most 64 packets, into an empty burst; one that is not is emptied.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        drop(burst.drain());
        let (slots, room) = burst.spare_slots();
        // SAFETY: the port is started and has this queue, whose only user we are; there are that many slots, and the driver
        // fills in mbufs that are ours from then on.
        unsafe {
            let received = sys::dpvs_rx_burst(self.port, self.queue, slots, room as u16);
            burst.grow(usize::from(received));
        }
        burst.cut_chains();
        burst.len()
    }
}

impl TxQueue {
    pub(crate) const fn new(port: u16, queue: u16) -> Self {
        Self { port, queue }
    }

    /// Sends a burst. What the queue has no room for is freed; says how many those were.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        // SAFETY: the port is started and has this queue, whose only user we are; the driver takes
        // over as many mbufs from the front as it says.
        unsafe {
            let sent = sys::dpvs_tx_burst(
                self.port,
                self.queue,
                burst.as_mut_ptr(),
                burst.len() as u16,
            );
            burst.settle(usize::from(sent))
        }
    }

    /// Gives the driver its turn without a packet: LACP of a bonding port needs that every 100 ms.
    pub fn keep_alive(&mut self) {
        // SAFETY: as in `burst`; no mbuf is read.
        unsafe { sys::dpvs_tx_burst(self.port, self.queue, std::ptr::null_mut(), 0) };
    }
}
