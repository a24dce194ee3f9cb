//! Where packets leave the engine: two ports, and control if there is one.

use dpdk::{Burst, Mbuf, Mempool, TxQueue};
use ipvs_core::{Event, Io};
use packet::{PacketBuf, PortId};

use benches::frames::{FRAME_LEN, Frame};

/// A queue and what is to leave by it.
#[derive(Debug)]
pub struct Out {
    tx: TxQueue,
    pending: Burst,
}

impl Out {
    /// A way out by this queue.
    pub const fn new(tx: TxQueue) -> Self {
        Self {
            tx,
            pending: Burst::new(),
        }
    }

    /// Sends a packet, at the latest with the next flush.
    #[inline(always)]
    pub fn push(&mut self, packet: Mbuf) {
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

/// The shell of the bench: everything that is sent is taken.
#[derive(Debug)]
pub struct Sink {
    /// Towards the dests
    pub lan: Out,
    /// Towards the clients
    pub wan: Out,
    /// Which port is towards the dests
    pub lan_port: PortId,
    /// Where mbufs come from
    pub pool: Mempool,
    /// To control
    pub events: Option<rtrb::Producer<Event>>,
}

impl Sink {
    /// Hands what is pending to the ports.
    #[inline]
    pub fn flush(&mut self) {
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
    fn redirect(&mut self, _: u16, _: Mbuf) {}
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

/// Keeps what the engine sends, in order.
#[derive(Debug)]
pub struct Recorder {
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
    fn redirect(&mut self, _: u16, _: Mbuf) {}
    fn allocate(&mut self, _: PortId, _: usize) -> Option<Mbuf> {
        None
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}
