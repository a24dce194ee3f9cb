//! Protocol numbers: what an IPv4 header calls the protocol, and an IPv6 header the next header.
//! The numbers are IANA's registry "Assigned Internet Protocol Numbers".

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
