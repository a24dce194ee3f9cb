//! A packet buffer on a `Vec`, with the headroom and tailroom of an mbuf.

use packet::{ChecksumState, PacketBuf, PortId};

/// RTE_PKTMBUF_HEADROOM of DPDK.
const HEADROOM: usize = 128;
/// RTE_MBUF_DEFAULT_DATAROOM of DPDK.
const DATAROOM: usize = 2048;

/// A packet with memory of its own.
#[derive(Debug, Clone)]
pub struct VecBuf {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    port: PortId,
    mark: u32,
    /// What the NIC would say of the IP checksum.
    pub ip_checksum: ChecksumState,
    /// What the NIC would say of the L4 checksum.
    pub l4_checksum: ChecksumState,
}

impl VecBuf {
    /// A packet with these bytes, received on `port`.
    pub fn new(port: PortId, bytes: &[u8]) -> Self {
        let room = DATAROOM.max(bytes.len());
        let mut memory = vec![0xA5; HEADROOM + room];
        memory[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        Self {
            memory,
            start: HEADROOM,
            end: HEADROOM + bytes.len(),
            port,
            mark: 0,
            ip_checksum: ChecksumState::Unknown,
            l4_checksum: ChecksumState::Unknown,
        }
    }
}

impl VecBuf {
    /// A packet without headroom.
    pub fn without_headroom(port: PortId, bytes: &[u8]) -> Self {
        let mut packet = Self::new(port, bytes);
        packet.memory.drain(..HEADROOM);
        packet.start -= HEADROOM;
        packet.end -= HEADROOM;
        packet
    }
}

impl PacketBuf for VecBuf {
    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }
    fn prepend(&mut self, len: usize) -> bool {
        let fits = len <= self.start;
        if fits {
            self.start -= len;
        }
        fits
    }
    fn append(&mut self, len: usize) -> bool {
        let fits = len <= self.memory.len() - self.end;
        if fits {
            self.end += len;
        }
        fits
    }
    fn trim_front(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }
    fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }
    fn port(&self) -> PortId {
        self.port
    }
    fn ip_checksum(&self) -> ChecksumState {
        self.ip_checksum
    }
    fn l4_checksum(&self) -> ChecksumState {
        self.l4_checksum
    }
    fn set_l4_checksum(&mut self, state: ChecksumState) {
        self.l4_checksum = state;
    }
    fn mark(&self) -> u32 {
        self.mark
    }
    fn set_mark(&mut self, mark: u32) {
        self.mark = mark;
    }
}
