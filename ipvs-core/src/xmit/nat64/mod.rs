//! NAT64 and NAT46: packets of one family become packets of the other (RFC 7915).
//!
//! `network` replaces the IP header of packets and fragments, `errors` translates ICMP errors and
//! the packets that they quote. What follows the IP header is rewritten as in any other packet.

mod errors;
mod network;
