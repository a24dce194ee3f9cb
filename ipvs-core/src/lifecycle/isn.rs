//! Initial sequence numbers of our own towards the dests.

use packet::PacketBuf;

use crate::conn::Conn;
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::wire::Family;

/// log2 of nanoseconds per step: 64 ns, as the kernel's secure_tcp_sequence_number that the FullNAT
/// design (4.6.1) asks for. Faster than RFC 6528's 4 microseconds, so that a port that comes around
/// again opens above the dest's memory of its last use.
const STEP_SHIFT: u32 = 6;

/// How far a conn may have sent beyond what its dest acknowledged, as far as it counts here: the
/// largest window without scaling (RFC 9293, 3.1). A PROXY header is in it, too.
const UNACKNOWLEDGED: u32 = 1 << 16;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// The number for a SYN towards the dest: RFC 6528, `M + F(endpoints, secret)`, over the local
    /// address, since that is whom the dest sees.
    pub(crate) fn initial_sequence(&self, conn: &Conn<A>) -> u32 {
        let offset = conn
            .tuple(Direction::Outbound)
            .hash(&self.shared.config.keys.sequence);
        (offset as u32).wrapping_add((self.shared.now.ns >> STEP_SHIFT) as u32)
    }

    /// The number for a SYN towards a dest that may remember an earlier conn between the same ends,
    /// and has acknowledged it up to `acknowledged`. The dest takes a SYN beyond that (RFC 9293,
    /// 3.10.7.4). The clock alone is not always ahead: the earlier conn may have sent faster, and
    /// numbers wrap around.
    pub(crate) fn sequence_beyond(&self, conn: &Conn<A>, acknowledged: u32) -> u32 {
        let least = acknowledged.wrapping_add(UNACKNOWLEDGED);
        let chosen = self.initial_sequence(conn);
        let is_beyond = chosen.wrapping_sub(least) < 1 << 31;
        if is_beyond { chosen } else { least }
    }
}
