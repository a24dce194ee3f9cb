//! What leaves a director, as bytes.

use ipvs_core::{Event, Handoff, Io, WorkerId};
use packet::{PacketBuf, PortId};

use crate::VecBuf;
use crate::frames::Seen;

/// What left the director.
#[derive(Debug, Default)]
pub struct Wire {
    /// Transmitted frames, each with the port it left by
    pub sent: Vec<(PortId, Vec<u8>)>,
    /// Frames for the kernel
    pub to_kernel: Vec<Vec<u8>>,
    /// Packets handed to other workers, each with the worker's number
    pub redirected: Vec<(u16, VecBuf)>,
    /// How many of all packets that were handed over a NIC would have brought to the right worker
    pub misplaced: u64,
    /// What control was told
    pub events: Vec<Event>,
    /// Set by a test that wants the ring of events to be full
    pub has_full_ring: bool,
    /// Set by a test that wants no packet to be allocated
    pub out_of_mbufs: bool,
}

impl Io<VecBuf> for Wire {
    fn transmit(&mut self, port: PortId, packet: VecBuf) {
        self.sent.push((port, packet.bytes().to_vec()));
    }
    fn to_kernel(&mut self, packet: VecBuf) {
        self.to_kernel.push(packet.bytes().to_vec());
    }
    fn copy_to_kernel(&mut self, packet: &VecBuf) {
        self.to_kernel.push(packet.bytes().to_vec());
    }
    fn redirect(&mut self, worker: WorkerId, packet: VecBuf, handoff: Handoff) {
        self.misplaced += u64::from(handoff == Handoff::Misplaced);
        self.redirected.push((worker.0, packet));
    }
    fn allocate(&mut self, port: PortId, len: usize) -> Option<VecBuf> {
        (!self.out_of_mbufs).then(|| VecBuf::new(port, &vec![0; len]))
    }
    fn event(&mut self, event: Event) -> Result<(), Event> {
        if self.has_full_ring {
            return Err(event);
        }
        self.events.push(event);
        Ok(())
    }
}

/// The one frame that left, which must have left by this port.
pub fn one(sent: Vec<(PortId, Vec<u8>)>, port: PortId) -> Seen {
    let (to, frame) = only(sent);
    assert_eq!(to, port);
    Seen::parse(&frame)
}

/// The one frame that left, and the port it left by.
pub fn only(sent: Vec<(PortId, Vec<u8>)>) -> (PortId, Vec<u8>) {
    let [one] = &sent[..] else {
        panic!("{} frames instead of one", sent.len())
    };
    one.clone()
}
