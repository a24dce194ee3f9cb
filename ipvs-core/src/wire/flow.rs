//! A packet that may belong to a conn, as classification found it.

use crate::config::Protocol;
use crate::tuple::Tuple;
use crate::wire::family::Family;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// A TCP or UDP packet that may belong to a conn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Flow<A> {
    pub(crate) tuple: Tuple<A>,
    /// Bytes of the IP packet, header included.
    pub(crate) total_len: u16,
    /// Where the L4 header begins in the frame.
    pub(crate) l4_at: u8,
    /// The first fragment of a packet: its L4 part is not all there.
    pub(crate) is_fragment: bool,
}

impl<A> Flow<A> {
    /// What its tuple is of: flows are made of nothing else.
    #[inline(always)]
    pub(crate) const fn protocol(&self) -> Protocol {
        debug_assert!(Protocol::from_number(self.tuple.protocol).is_some());
        match self.tuple.protocol {
            TCP => Protocol::Tcp,
            UDP => Protocol::Udp,
            SCTP => Protocol::Sctp,
            ICMP => Protocol::Icmp,
            _ => Protocol::IcmpV6,
        }
    }
}

impl<A> Flow<A> {
    /// The packet from its L4 header on, in its frame. Empty if the frame is shorter, which classification rules out.
    #[inline(always)]
    pub(crate) fn l4<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        frame.get(usize::from(self.l4_at)..).unwrap_or_default()
    }

    /// As [`Self::l4`], to be written.
    #[inline(always)]
    pub(crate) fn l4_mut<'f>(&self, frame: &'f mut [u8]) -> &'f mut [u8] {
        frame.get_mut(usize::from(self.l4_at)..).unwrap_or_default()
    }
}

impl<A: Family> Flow<A> {
    /// Whether its packet is whole, and the IP header has neither options nor extensions.
    #[inline(always)]
    pub(crate) const fn is_plain(&self) -> bool {
        // As one number
        u16::from_ne_bytes([self.l4_at, self.is_fragment as u8])
            == u16::from_ne_bytes([A::PLAIN_L4_AT as u8, 0])
    }

    /// The same in IPv6's form.
    pub(crate) fn to_mapped(self) -> Flow<[u8; 16]> {
        Flow {
            tuple: self.tuple.to_mapped(),
            l4_at: self.l4_at,
            is_fragment: self.is_fragment,
            total_len: self.total_len,
        }
    }
}
