//! Which resets end a conn. Anyone can send one with forged addresses, so only its sequence number
//! shows that it comes from an end of the conn (RFC 5961, 3). The director passes every reset on,
//! and the end that gets it decides for itself.

use packet::PacketBuf;

use crate::conn::{Conn, ConnFlags, ConnId};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::tcp_state::{SegmentKind, TcpState};
use crate::wire::{Family, Segment};

/// The window that a number must be in: the largest one without scaling (RFC 9293, 3.1). Scales are
/// not kept: a smaller window leaves less to guess.
const WINDOW: u32 = 65_535;

/// Whether `seq` is in a window that begins with `expected`.
const fn is_in_window(seq: u32, expected: u32) -> bool {
    seq.wrapping_sub(expected) <= WINDOW
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Whether the receiver of a reset may take it for one of its peer: the number is in its
    /// window (RFC 5961, 3.2), or answers its SYN (RFC 9293, 3.10.7.3). The segment's numbers are
    /// those before the rewrite.
    #[cold]
    #[inline(never)]
    pub(super) fn may_reset(&self, segment: Segment, id: ConnId, direction: Direction) -> bool {
        let conn = self.family.conns.get(id);
        let [client_ack, dest_ack] = conn.acks;
        match (conn.tcp_state(), direction) {
            // An FTP dest has opened this conn. It lasts only as long as the handshake.
            (TcpState::Listen, _) => true,
            (TcpState::SynSent, Direction::Outbound) => {
                segment.has_ack() && segment.ack == dest_ack
            }
            (_, Direction::Inbound) => {
                let shift = self.edit_shift(id, direction);
                let expected = dest_ack.wrapping_sub(conn.seq_delta).wrapping_add(shift);
                is_in_window(segment.seq, expected)
            }
            (_, Direction::Outbound) => {
                let shift = self.edit_shift(id, direction);
                is_in_window(segment.seq, client_ack.wrapping_add(shift))
            }
        }
    }

    /// What edits of the payload have added to the sender's numbers. Acknowledgments are noted
    /// without it.
    pub(crate) fn edit_shift(&self, id: ConnId, direction: Direction) -> u32 {
        if !self.family.conns.get(id).flags.has(ConnFlags::EDITED) {
            return 0;
        }
        let lines = self.family.exts.get(id).shifts[direction as usize].latest();
        match direction {
            Direction::Inbound => lines.wrapping_add(self.family.header_shift(id)),
            Direction::Outbound => lines,
        }
    }
}

/// The next state of a DR or tunnel conn. Only the client's segments are seen: the latest of them
/// stands for what the dest expects, and is noted.
#[inline(always)]
pub(super) fn next_dr_tunnel<A: Family>(conn: &mut Conn<A>, segment: Segment) -> TcpState {
    let state = conn.tcp_state();
    let kind = segment.kind();
    let latest = &mut conn.acks[Direction::Inbound as usize];
    let is_near = is_in_window(segment.seq, *latest);
    if kind == SegmentKind::Rst && !is_near {
        return state;
    }
    let next = state.next_dr_tunnel(kind);
    // A forged segment must not move the window of an established conn.
    let is_first = matches!(state, TcpState::None | TcpState::SynSent);
    if is_near | is_first | (next == TcpState::SynRecv) {
        *latest = segment.seq;
    }
    next
}
