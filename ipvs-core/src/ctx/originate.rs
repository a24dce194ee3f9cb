//! Packets of our own.

use packet::{PacketBuf, PortId};

use crate::ctx::Shared;
use crate::drop_reason::DropReason;
use crate::io::Io;

impl<B: PacketBuf> Shared<B> {
    /// A buffer of `len` bytes for a packet of our own that leaves by `port`. The packet counts as received from here on, so it
    /// must come to one of the ends like any other. `None` if the pool is empty, which is counted.
    pub(crate) fn originate(&self, port: PortId, len: usize, io: &mut impl Io<B>) -> Option<B> {
        self.count_originated();
        let packet = io.allocate(port, len);
        if packet.is_none() {
            self.stats.drops_by(DropReason::NoMbuf).add(1);
        }
        packet
    }
}
