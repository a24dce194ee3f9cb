//! Where packets come from.

use dpdk::{Burst, Mempool, RxQueue};
use packet::{PacketBuf, PortId};

use benches::frames::{Datagrams, FRAME_LEN, Frame};

/// A source of packets that never runs dry.
pub(crate) trait Traffic {
    /// Fills an empty burst. Returns the number of packets.
    fn receive(&mut self, burst: &mut Burst) -> usize;
}

impl Traffic for RxQueue {
    #[inline]
    fn receive(&mut self, burst: &mut Burst) -> usize {
        self.burst(burst)
    }
}

/// Frames in memory that are played over and over, as net_pcap does. They can be made when conns
/// exist already, as replies must.
#[derive(Debug)]
pub(crate) struct Replay {
    frames: Vec<Frame>,
    at: usize,
    pool: Mempool,
}

impl Replay {
    /// Plays these frames in their order with mbufs of a pool. The frames lie on huge pages.
    pub(crate) fn new(frames: Vec<Frame>, pool: Mempool) -> Self {
        dpdk::memory::make_resident(frames.as_ptr().cast(), size_of_val(&*frames));
        Self {
            frames,
            at: 0,
            pool,
        }
    }
}

impl Traffic for Replay {
    #[inline]
    fn receive(&mut self, burst: &mut Burst) -> usize {
        self.pool.fill(burst);
        for packet in burst.packets_mut() {
            let frame = &self.frames[self.at];
            self.at = if self.at + 1 < self.frames.len() {
                self.at + 1
            } else {
                0
            };
            if packet.append(frame.bytes.len()) {
                packet.bytes_mut().copy_from_slice(&frame.bytes);
            }
            packet.set_port(frame.port);
        }
        burst.len()
    }
}

/// Receives a burst and frees it. Returns the number of packets. This is the cost of the traffic
/// alone.
pub(crate) fn make_and_free(traffic: &mut impl Traffic) -> usize {
    let mut burst = Burst::new();
    let packets = traffic.receive(&mut burst);
    burst.drain().for_each(drop);
    packets
}

/// Datagrams that are written into mbufs when they are received.
#[derive(Debug)]
pub(crate) struct Written {
    /// The datagrams
    pub datagrams: Datagrams,
    /// The port that they are received by
    pub port: PortId,
    /// The pool that mbufs are taken from
    pub pool: Mempool,
}

impl Traffic for Written {
    #[inline]
    fn receive(&mut self, burst: &mut Burst) -> usize {
        self.pool.fill(burst);
        for packet in burst.packets_mut() {
            if packet.append(FRAME_LEN)
                && let Some(frame) = packet.bytes_mut().first_chunk_mut()
            {
                self.datagrams.write_next(frame);
            }
            packet.set_port(self.port);
        }
        burst.len()
    }
}
