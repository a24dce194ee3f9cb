//! What the engine asks of the shell around it.

use packet::{PacketBuf, PortId};

use sapool::WorkerId;

use crate::config::Event;

/// The shell: NICs, the kernel, other workers, memory for packets, control.
///
/// Taking a packet is final: if the shell cannot pass it on, it drops it and counts that with
/// [`crate::WorkerStats::undo`].
pub trait Io<B: PacketBuf> {
    /// Sends a packet by a port, at the latest at the end of the batch.
    fn transmit(&mut self, port: PortId, packet: B);
    /// Gives a packet to the kernel, on the kni device of the port it came in by.
    fn to_kernel(&mut self, packet: B);
    /// Shows the kernel a copy of a packet (`dpip link set DEV forward2kni on`).
    fn copy_to_kernel(&mut self, packet: &B);
    /// Hands a packet over to another worker.
    fn redirect(&mut self, worker: WorkerId, packet: B);
    /// An empty packet of `len` bytes for something of our own making.
    fn allocate(&mut self, port: PortId, len: usize) -> Option<B>;
    /// Tells control. Gives the event back if the ring is full.
    fn event(&mut self, event: Event) -> Result<(), Event>;
}
