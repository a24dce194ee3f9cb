//! A packet that may belong to a conn, as classification found it.

use crate::config::Protocol;
use crate::tuple::Tuple;
use crate::wire::family::Family;
use packet::ip::proto::{ICMP, SCTP, TCP, UDP};
use packet::ipv4::L2_LEN;
use packet::tcp::DATA_OFFSET_AT;

/// A packet with ports, or an echo message: what a conn is looked up by, and where its L4 header
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Flow<A> {
    pub(crate) tuple: Tuple<A>,
    /// Bytes of the IP packet, header included.
    pub(crate) total_len: u16,
    /// Offset of the L4 header in the frame.
    pub(crate) l4_at: u8,
    /// This is the first fragment of a packet, so its payload is not all there.
    pub(crate) is_fragment: bool,
}

impl<A> Flow<A> {
    /// The protocol of its tuple. A flow is made for these protocols only.
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
    /// The packet from its L4 header on. Empty if the frame is shorter, which classification rules
    /// out.
    #[inline(always)]
    pub(crate) fn l4<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        frame.get(usize::from(self.l4_at)..).unwrap_or_default()
    }

    /// Bytes of data in a TCP segment.
    pub(crate) fn data_len(&self, frame: &[u8]) -> u32 {
        let offset = self.l4(frame).get(DATA_OFFSET_AT).copied();
        let header_len = offset.map_or(0, |offset| u32::from(offset >> 4) * 4);
        let headers_len = u32::from(self.l4_at) + header_len;
        (L2_LEN as u32 + u32::from(self.total_len)).saturating_sub(headers_len)
    }

    /// As [`Self::l4`], for writing.
    #[inline(always)]
    pub(crate) fn l4_mut<'f>(&self, frame: &'f mut [u8]) -> &'f mut [u8] {
        frame.get_mut(usize::from(self.l4_at)..).unwrap_or_default()
    }
}

impl<A: Family> Flow<A> {
    /// Whether the packet is plain: whole, with an IP header that has neither options nor
    /// extensions.
    #[inline(always)]
    pub(crate) const fn is_plain(&self) -> bool {
        // Both fields are compared as one number.
        u16::from_ne_bytes([self.l4_at, self.is_fragment as u8])
            == u16::from_ne_bytes([A::PLAIN_L4_AT as u8, 0])
    }

    /// The flow with its addresses mapped into IPv6.
    pub(crate) fn to_mapped(self) -> Flow<[u8; 16]> {
        Flow {
            tuple: self.tuple.to_mapped(),
            l4_at: self.l4_at,
            is_fragment: self.is_fragment,
            total_len: self.total_len,
        }
    }
}
