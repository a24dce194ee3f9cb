//! What a worker's engine sees of the world: queues, the kernel, the other workers, control.

use std::sync::Arc;

use crossbeam_utils::CachePadded;
use dpdk::{Burst, Mbuf, Mempool, RxQueue, TxQueue};
use ipvs_core::{DropReason, Event, Handoff, Io, WorkerId, WorkerStats};
use packet::{PacketBuf, PortId};

use crate::steering::{Arrivals, RedirectEnds};

/// A worker's queues of one port.
#[derive(Debug)]
pub(super) struct PortQueues {
    /// The port.
    pub(super) port: PortId,
    /// Where its packets come in.
    pub(super) rx: RxQueue,
    /// Where packets leave.
    pub(super) tx: TxQueue,
    /// What comes in, for the proof of the port's steering.
    pub(super) arrivals: Arc<CachePadded<Arrivals>>,
    /// Packets that wait for the next tx_burst.
    pub(super) pending: Burst,
}

/// The ends of the rings between this worker and everyone else.
#[derive(Debug)]
pub(super) struct Rings {
    /// To and from the other workers.
    pub(super) redirect: RedirectEnds,
    /// To the kni thread.
    pub(super) to_kernel: rtrb::Producer<Mbuf>,
    /// From the kni thread. One worker sends for the kernel, the others have `None`. The packet's
    /// port is the one it leaves by.
    pub(super) from_kernel: Option<rtrb::Consumer<Mbuf>>,
    /// To control.
    pub(super) events: rtrb::Producer<Event>,
}

/// Everything a worker's engine asks for.
#[derive(Debug)]
pub(super) struct Shell {
    queues: Vec<PortQueues>,
    /// Index in `queues` by port number.
    by_port: Vec<Option<u8>>,
    /// Rings to everyone else.
    pub(super) rings: Rings,
    mempool: Mempool,
    stats: Arc<WorkerStats>,
    /// Bytes handed to NICs.
    pub(super) tx_bytes: u64,
}

impl Shell {
    /// A shell on these queues and rings.
    pub(super) fn new(
        queues: Vec<PortQueues>,
        rings: Rings,
        mempool: Mempool,
        stats: Arc<WorkerStats>,
    ) -> Self {
        let ports = queues
            .iter()
            .map(|queue| usize::from(queue.port.0) + 1)
            .max()
            .unwrap_or(0);
        let mut by_port = vec![None; ports];
        for (at, queue) in (0..).zip(&queues) {
            by_port[usize::from(queue.port.0)] = Some(at);
        }
        Self {
            queues,
            by_port,
            rings,
            mempool,
            stats,
            tx_bytes: 0,
        }
    }

    /// Number of ports that the worker polls.
    pub(super) fn ports(&self) -> usize {
        self.queues.len()
    }

    /// Receives a burst from the n-th port.
    #[inline]
    pub(super) fn rx_burst(&mut self, at: usize, burst: &mut Burst) -> usize {
        let queues = &mut self.queues[at];
        let received = queues.rx.burst(burst);
        queues.arrivals.received.add(received as u64);
        received
    }

    /// Hands all pending packets to the NICs. Packets that they do not take are dropped, because to
    /// wait would only move the loss to the receive side.
    #[inline]
    pub(super) fn tx_burst(&mut self) {
        for queues in &mut self.queues {
            if !queues.pending.is_empty() {
                send(queues, &self.stats);
            }
        }
    }

    /// Calls the driver of ports that send nothing: LACP of a bonding port needs that.
    pub(super) fn keep_alive(&mut self) {
        for queues in &mut self.queues {
            queues.tx.keep_alive();
        }
    }

    fn count_misplaced(&self, port: PortId) {
        let queues = self.by_port.get(usize::from(port.0)).copied().flatten();
        if let Some(at) = queues {
            self.queues[usize::from(at)].arrivals.misplaced.add(1);
        }
    }

    /// Sends packets of the kernel, `most` of them at most. Returns their number.
    pub(super) fn send_for_kernel(&mut self, most: usize) -> usize {
        let Some(ring) = &mut self.rings.from_kernel else {
            return 0;
        };
        let mut sent = 0;
        while sent < most
            && let Ok(packet) = ring.pop()
        {
            sent += 1;
            self.stats.received.add(1);
            self.stats.transmitted.add(1);
            let port = packet.port();
            enqueue(
                &mut self.queues,
                &self.by_port,
                &self.stats,
                port,
                packet,
                &mut self.tx_bytes,
            );
        }
        sent
    }
}

#[inline(never)]
fn send(queues: &mut PortQueues, stats: &WorkerStats) {
    let unsent = queues.tx.burst(&mut queues.pending);
    if unsent > 0 {
        stats.undo(&stats.transmitted, DropReason::TxQueueFull, unsent as u64);
    }
}

#[inline(always)]
fn enqueue(
    queues: &mut [PortQueues],
    by_port: &[Option<u8>],
    stats: &WorkerStats,
    port: PortId,
    packet: Mbuf,
    tx_bytes: &mut u64,
) {
    let Some(queues) = by_port
        .get(usize::from(port.0))
        .copied()
        .flatten()
        .and_then(|at| queues.get_mut(usize::from(at)))
    else {
        return stats.undo(&stats.transmitted, DropReason::TxQueueFull, 1);
    };
    *tx_bytes += packet.bytes().len() as u64;
    queues.pending.push(packet);
    if queues.pending.is_full() {
        send(queues, stats);
    }
}

impl Io<Mbuf> for Shell {
    #[inline(always)]
    fn transmit(&mut self, port: PortId, packet: Mbuf) {
        enqueue(
            &mut self.queues,
            &self.by_port,
            &self.stats,
            port,
            packet,
            &mut self.tx_bytes,
        );
    }

    fn to_kernel(&mut self, packet: Mbuf) {
        if self.rings.to_kernel.push(packet).is_err() {
            self.stats
                .undo(&self.stats.to_kernel, DropReason::KniQueueFull, 1);
        }
    }

    fn copy_to_kernel(&mut self, packet: &Mbuf) {
        match self.mempool.copy_of(packet) {
            Some(copy) => self.to_kernel(copy),
            None => self
                .stats
                .undo(&self.stats.to_kernel, DropReason::NoMbuf, 1),
        }
    }

    fn redirect(&mut self, worker: WorkerId, packet: Mbuf, handoff: Handoff) {
        if handoff == Handoff::Misplaced {
            self.count_misplaced(packet.port());
        }
        let ring = self
            .rings
            .redirect
            .to
            .get_mut(worker.index())
            .and_then(Option::as_mut);
        if ring.is_none_or(|ring| ring.push(packet).is_err()) {
            self.stats
                .undo(&self.stats.redirected, DropReason::RedirectQueueFull, 1);
        }
    }

    fn allocate(&mut self, port: PortId, len: usize) -> Option<Mbuf> {
        let mut packet = self.mempool.alloc()?;
        packet.set_port(port);
        packet.append(len).then_some(packet)
    }

    fn event(&mut self, event: Event) -> Result<(), Event> {
        self.rings
            .events
            .push(event)
            .map_err(|rtrb::PushError::Full(event)| event)
    }
}
