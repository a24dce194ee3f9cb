//! The rings of the timer wheel, by what a conn is worth when the table is full.

use super::slot_set::SLOTS;
use super::{Conn, ConnFlags};
use crate::tcp_state::TcpState;
use crate::tuple::Address;

/// A ring of slots: which conns are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Ring {
    /// Those that do not give way, or are found otherwise.
    Lasting = 0,
    /// Those that were adopted: their next packet would be adopted again.
    Adopted,
    /// Those that both ends have closed.
    Closing,
    /// Those that one end has closed.
    HalfClosed,
}

impl Ring {
    /// All rings.
    pub(super) const ALL: [Self; 4] = [
        Self::Lasting,
        Self::Adopted,
        Self::Closing,
        Self::HalfClosed,
    ];
    /// How many rings give way.
    pub(super) const YIELDING: usize = Self::ALL.len() - 1;

    /// Index among the rings that give way; `None` for [`Ring::Lasting`].
    pub(super) const fn yielding(self) -> Option<usize> {
        (self as usize).checked_sub(1)
    }

    /// The list of a slot.
    pub(super) const fn list(self, slot: u32) -> u32 {
        self as u32 * SLOTS + slot
    }
}

/// The ring of the wheel that a conn belongs in.
#[inline]
pub(super) const fn ring_of<A: Address>(conn: &Conn<A>) -> Ring {
    if conn.flags.has(ConnFlags::ADOPTED) {
        return Ring::Adopted;
    }
    // SCTP has two of these states, UDP none.
    match conn.tcp_state() {
        TcpState::TimeWait | TcpState::Close | TcpState::LastAck => Ring::Closing,
        TcpState::FinWait | TcpState::CloseWait => Ring::HalfClosed,
        _ => Ring::Lasting,
    }
}
