//! What the packet path goes by of an IP header, whatever its version.

/// The facts of a header that was found sound. `A` is an address as it lies in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpFacts<A> {
    /// Source address
    pub src: A,
    /// Destination address
    pub dst: A,
    /// Number of the protocol above
    pub protocol: u8,
    /// Time to live, or hop limit
    pub ttl: u8,
    /// Where the L4 header begins in the frame.
    pub l4_at: u8,
    /// Of the IP packet, header included.
    pub total_len: u16,
    /// One of several, the first included
    pub is_fragment: bool,
    /// Where its payload was in the whole packet, in bytes
    pub fragment_offset: u16,
    /// It is not the last of them
    pub more_fragments: bool,
    /// What the fragments of a packet have in common
    pub identification: u32,
    /// It must stay whole: always so for IPv6 on its way (RFC 8200, 4.5)
    pub dont_fragment: bool,
}

/// A header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHeader<A> {
    /// Source address
    pub src: A,
    /// Destination address
    pub dst: A,
    /// Number of the protocol above
    pub protocol: u8,
    /// Bytes behind the header
    pub payload_len: u16,
    /// Time to live, or hop limit
    pub ttl: u8,
    /// Type of service, or traffic class
    pub traffic_class: u8,
    /// IPv4 only: what its fragments would have in common
    pub identification: u16,
    /// IPv4 only: it must stay whole
    pub dont_fragment: bool,
}

impl<A> NewHeader<A> {
    /// A packet of our own that must stay whole, with the usual time to live: RFC 1700's recommended default, and
    /// RFC 8200's. Such an atomic one needs no identification (RFC 6864, 4.1).
    pub const fn of_ours(src: A, dst: A, protocol: u8, payload_len: u16) -> Self {
        Self {
            src,
            dst,
            protocol,
            payload_len,
            ttl: 64,
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
        }
    }
}
