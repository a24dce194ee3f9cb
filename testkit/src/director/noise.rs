//! Random frames that are the same in every run.

use ipvs_core::Origin;
use packet::{ChecksumState, PortId};

use super::wire::Wire;
use super::worker::Director;
use crate::VecBuf;

/// Random numbers by xorshift, which a seed other than 0 decides.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `below`.
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    /// Noise, or one of the samples with a few bytes changed; often cut.
    pub fn frame(&mut self, samples: &[Vec<u8>]) -> VecBuf {
        let mut bytes = samples[self.next(samples.len())].clone();
        if self.next(2) == 0 {
            let noise_from = [0, 12, 14, 34][self.next(4)];
            for byte in &mut bytes[noise_from..] {
                *byte = self.next(256) as u8;
            }
        } else {
            for _ in 0..self.next(4) {
                let at = self.next(bytes.len());
                bytes[at] = self.next(256) as u8;
            }
        }
        let len = if self.next(4) == 0 {
            self.next(bytes.len() + 1)
        } else {
            bytes.len()
        };
        let mut packet = VecBuf::new(PortId(self.next(2) as u16), &bytes[..len]);
        // A NIC that says the checksums are right leads such frames deeper into the engine.
        if self.next(2) == 0 {
            packet.ip_checksum = ChecksumState::Good;
            packet.l4_checksum = [ChecksumState::Good, ChecksumState::Missing][self.next(2)];
        }
        packet
    }
}

impl Director {
    /// Receives so many frames of noise, 50 every 0.1 ms. Each packet must have its end.
    pub fn withstand(&mut self, samples: &[Vec<u8>], frames: usize) {
        const BATCH: usize = 50;
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for _ in 0..frames / BATCH {
            let batch: Vec<VecBuf> = (0..BATCH).map(|_| random.frame(samples)).collect();
            self.engine
                .process(self.now, Origin::Nic, batch.into_iter(), &mut self.wire);
            self.engine.housekeep(self.now, &mut self.wire);
            self.now.ns += 100_000;
            self.wire = Wire::default();
        }
        self.check_that_every_packet_has_its_end();
    }
}
