//! The fields that headers of IPv4 and IPv6 have in common.

/// The usual time to live and hop limit: RFC 1700 recommends it for IPv4, and RFC 4861, 6.3.2 takes
/// it over for IPv6.
pub const DEFAULT_TTL: u8 = 64;

/// The fields of a header that was found sound. `A` is an address as it lies in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpFacts<A> {
    /// Source address
    pub src: A,
    /// Destination address
    pub dst: A,
    /// Number of the L4 protocol, see [`crate::ip::proto`]
    pub protocol: u8,
    /// Time to live, or hop limit
    pub ttl: u8,
    /// Offset of the L4 header in the frame
    pub l4_at: u8,
    /// Bytes of the IP packet, header included
    pub total_len: u16,
    /// Whether it is a fragment, be it the first or a later one
    pub is_fragment: bool,
    /// Where the fragment's payload was in the whole packet, in bytes
    pub fragment_offset: u16,
    /// Whether it is a fragment and not the last one
    pub more_fragments: bool,
    /// The number that all fragments of a packet have in common
    pub identification: u32,
    /// Whether it must not be fragmented. Routers never fragment IPv6 (RFC 8200, 4.5).
    pub dont_fragment: bool,
}

impl<A> IpFacts<A> {
    /// The packet from its L4 header on. Empty if the frame is shorter, which a sound header rules
    /// out.
    #[inline(always)]
    pub fn l4<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        frame.get(usize::from(self.l4_at)..).unwrap_or_default()
    }

    /// As [`Self::l4`], to be written.
    #[inline(always)]
    pub fn l4_mut<'f>(&self, frame: &'f mut [u8]) -> &'f mut [u8] {
        frame.get_mut(usize::from(self.l4_at)..).unwrap_or_default()
    }
}

/// The fields of a header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHeader<A> {
    /// Source address
    pub src: A,
    /// Destination address
    pub dst: A,
    /// Number of the L4 protocol, see [`crate::ip::proto`]
    pub protocol: u8,
    /// Bytes behind the header
    pub payload_len: u16,
    /// Time to live, or hop limit
    pub ttl: u8,
    /// Type of service, or traffic class
    pub traffic_class: u8,
    /// IPv4 only: the number that its fragments would have in common
    pub identification: u16,
    /// IPv4 only: whether it must not be fragmented
    pub dont_fragment: bool,
}

impl<A> NewHeader<A> {
    /// The header of a packet of our own, with [`DEFAULT_TTL`]. It must not be fragmented, so it
    /// needs no identification (RFC 6864, 4.1).
    pub const fn of_ours(src: A, dst: A, protocol: u8, payload_len: u16) -> Self {
        Self {
            src,
            dst,
            protocol,
            payload_len,
            ttl: DEFAULT_TTL,
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
        }
    }
}
