//! What the engine asks of the shell.

use packet::{PacketBuf, PortId};

use rss::WorkerId;

use crate::config::Event;

/// Why a packet is handed to another worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handoff {
    /// A TCP or UDP packet that a NIC would have brought to the right worker if it hashed as the
    /// director does.
    Misplaced,
    /// No NIC could know: a fragment, an ICMP error, a reply of NAT, another protocol, or the
    /// packet was handed over before.
    Unforeseen,
}

/// The shell around the engine: NICs, the kernel, other workers, mbufs, control.
///
/// A packet that is given to the shell is gone. If the shell cannot pass it on, it drops and counts
/// it by [`crate::WorkerStats::undo`].
pub trait Io<B: PacketBuf> {
    /// Sends a packet by a port, at the end of the batch at the latest.
    fn transmit(&mut self, port: PortId, packet: B);
    /// Gives a packet to the kernel, by the kni device of the port that it came from.
    fn to_kernel(&mut self, packet: B);
    /// Gives the kernel a copy of a packet (`dpip link set DEV forward2kni on`).
    fn copy_to_kernel(&mut self, packet: &B);
    /// Hands a packet to another worker.
    fn redirect(&mut self, worker: WorkerId, packet: B, handoff: Handoff);
    /// A packet of `len` bytes for the director's own use. `None` if no mbuf is left.
    fn allocate(&mut self, port: PortId, len: usize) -> Option<B>;
    /// Sends an event to control.
    ///
    /// # Errors
    ///
    /// The event, if the ring is full.
    fn event(&mut self, event: Event) -> Result<(), Event>;
}
