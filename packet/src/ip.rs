//! What IPv4 and IPv6 have in common: protocol numbers, and the fields of a header that was read or
//! is to be written.

/// Protocol numbers: what an IPv4 header calls the protocol, and an IPv6 header the next header.
/// The numbers are IANA's registry "Assigned Internet Protocol Numbers".
pub mod proto {
    /// Hop-by-hop options of IPv6: RFC 8200, 4.3
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP: RFC 792
    pub const ICMP: u8 = 1;
    /// IPv4 in IP: RFC 2003, 3.1
    pub const IPIP: u8 = 4;
    /// TCP: RFC 9293
    pub const TCP: u8 = 6;
    /// UDP: RFC 768
    pub const UDP: u8 = 17;
    /// IPv6 in IP: RFC 2473, 3
    pub const IPV6: u8 = 41;
    /// Routing header of IPv6: RFC 8200, 4.4
    pub const ROUTING: u8 = 43;
    /// Fragment header of IPv6: RFC 8200, 4.5
    pub const FRAGMENT: u8 = 44;
    /// GRE: RFC 2784
    pub const GRE: u8 = 47;
    /// Encapsulating security payload of IPsec: RFC 4303
    pub const ESP: u8 = 50;
    /// Authentication header of IPsec: RFC 4302
    pub const AH: u8 = 51;
    /// ICMPv6: RFC 4443
    pub const ICMPV6: u8 = 58;
    /// Destination options of IPv6: RFC 8200, 4.6
    pub const DEST_OPTIONS: u8 = 60;
    /// SCTP: RFC 9260
    pub const SCTP: u8 = 132;
    /// UOA's own header between IP and UDP: DPVS's number. IANA has assigned it to nobody.
    pub const UOA: u8 = 248;
}

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
    /// Number of the L4 protocol, see [`proto`]
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

/// The fields of a header to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHeader<A> {
    /// Source address
    pub src: A,
    /// Destination address
    pub dst: A,
    /// Number of the L4 protocol, see [`proto`]
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
