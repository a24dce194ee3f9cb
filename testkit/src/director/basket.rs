//! Where packets go that are used again.

use ipvs_core::{Event, Handoff, Io, WorkerId};
use packet::{PacketBuf, PortId};

use crate::VecBuf;

/// Keeps the packets that the engine sends, and nothing else. Memory for them may be reserved, so
/// that it allocates nothing while a bench or a test counts.
#[derive(Debug, Default)]
pub struct Basket {
    /// What was transmitted
    pub sent: Vec<VecBuf>,
    /// Packets that the engine may take for segments of its own
    pub spare: Vec<VecBuf>,
}

impl Io<VecBuf> for Basket {
    // Not inlined, so that instructions of the engine are counted apart from those of the test.
    #[inline(never)]
    fn transmit(&mut self, _: PortId, packet: VecBuf) {
        self.sent.push(packet);
    }
    fn to_kernel(&mut self, _: VecBuf) {}
    fn copy_to_kernel(&mut self, _: &VecBuf) {}
    fn redirect(&mut self, _: WorkerId, _: VecBuf, _: Handoff) {}
    fn allocate(&mut self, _: PortId, len: usize) -> Option<VecBuf> {
        let mut packet = self.spare.pop()?;
        packet.truncate(0);
        packet.append(len).then_some(packet)
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}
