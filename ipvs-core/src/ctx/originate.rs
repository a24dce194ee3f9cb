//! Packets that the director makes.

use packet::{PacketBuf, PortId};

use crate::ctx::Shared;
use crate::drop_reason::DropReason;
use crate::io::Io;

impl<B: PacketBuf> Shared<B> {
    /// Allocates a packet of `len` bytes that will leave by `port`. It counts as received, so it
    /// must come to an end like any other packet. `None` if no mbuf is left, which is counted.
    pub(crate) fn originate(&self, port: PortId, len: usize, io: &mut impl Io<B>) -> Option<B> {
        self.count_originated();
        let packet = io.allocate(port, len);
        if packet.is_none() {
            self.stats.drops_by(DropReason::NoMbuf).add(1);
        }
        packet
    }
}
