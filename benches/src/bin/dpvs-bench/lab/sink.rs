//! What the engine sends to: two ports, and control if there is one.

use dpdk::{Burst, Mbuf, Mempool, TxQueue};
use ipvs_core::{Event, Handoff, Io, WorkerId};
use packet::{PacketBuf, PortId};

use benches::frames::{FRAME_LEN, Frame};

/// A transmit queue, and the packets that wait for it.
#[derive(Debug)]
pub(crate) struct Out {
    tx: TxQueue,
    pending: Burst,
}

impl Out {
    /// Nothing waits for this queue yet.
    pub(crate) const fn new(tx: TxQueue) -> Self {
        Self {
            tx,
            pending: Burst::new(),
        }
    }

    /// Sends a packet by the next flush at the latest.
    #[inline(always)]
    pub(crate) fn push(&mut self, packet: Mbuf) {
        self.pending.push(packet);
        if self.pending.is_full() {
            self.flush();
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.tx.burst(&mut self.pending);
        }
    }
}

/// The shell around the engine. It accepts everything that is sent.
#[derive(Debug)]
pub(crate) struct Sink {
    /// The queue towards the dests
    pub lan: Out,
    /// The queue towards the clients
    pub wan: Out,
    /// The port towards the dests
    pub lan_port: PortId,
    /// The pool that mbufs are taken from
    pub pool: Mempool,
    /// The ring to control, if there is one
    pub events: Option<rtrb::Producer<Event>>,
}

impl Sink {
    /// Hands the packets that wait to the ports.
    #[inline]
    pub(crate) fn flush(&mut self) {
        self.lan.flush();
        self.wan.flush();
    }
}

impl Io<Mbuf> for Sink {
    #[inline(always)]
    fn transmit(&mut self, port: PortId, packet: Mbuf) {
        if port == self.lan_port {
            self.lan.push(packet);
        } else {
            self.wan.push(packet);
        }
    }
    fn to_kernel(&mut self, _: Mbuf) {}
    fn copy_to_kernel(&mut self, _: &Mbuf) {}
    fn redirect(&mut self, _: WorkerId, _: Mbuf, _: Handoff) {}
    fn allocate(&mut self, port: PortId, len: usize) -> Option<Mbuf> {
        let mut packet = self.pool.alloc()?;
        packet.set_port(port);
        packet.append(len).then_some(packet)
    }
    fn event(&mut self, event: Event) -> Result<(), Event> {
        match &mut self.events {
            Some(ring) => ring
                .push(event)
                .map_err(|rtrb::PushError::Full(event)| event),
            None => Ok(()),
        }
    }
}

/// Keeps the packets that the engine sends, in order.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The first bytes of each packet, and the port it left by
    pub frames: Vec<Frame>,
}

impl Io<Mbuf> for Recorder {
    fn transmit(&mut self, port: PortId, packet: Mbuf) {
        let sent = packet.bytes();
        let len = sent.len().min(FRAME_LEN);
        let mut bytes = [0; FRAME_LEN];
        bytes[..len].copy_from_slice(&sent[..len]);
        self.frames.push(Frame { bytes, port });
    }
    fn to_kernel(&mut self, _: Mbuf) {}
    fn copy_to_kernel(&mut self, _: &Mbuf) {}
    fn redirect(&mut self, _: WorkerId, _: Mbuf, _: Handoff) {}
    fn allocate(&mut self, _: PortId, _: usize) -> Option<Mbuf> {
        None
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}
