//! Where packets go that are used again.

use ipvs_core::{Event, Io};
use packet::PortId;

use crate::VecBuf;

/// Keeps the packets that the engine sends, and nothing else. Its memory may be reserved, so that it
/// allocates nothing while a bench or a test counts.
#[derive(Debug, Default)]
pub struct Basket(pub Vec<VecBuf>);

impl Io<VecBuf> for Basket {
    fn transmit(&mut self, _: PortId, packet: VecBuf) {
        self.0.push(packet);
    }
    fn to_kernel(&mut self, _: VecBuf) {}
    fn copy_to_kernel(&mut self, _: &VecBuf) {}
    fn redirect(&mut self, _: u16, _: VecBuf) {}
    fn allocate(&mut self, _: PortId, _: usize) -> Option<VecBuf> {
        None
    }
    fn event(&mut self, _: Event) -> Result<(), Event> {
        Ok(())
    }
}
