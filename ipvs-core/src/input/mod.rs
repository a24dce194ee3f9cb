//! Packets that no conn was found for, or that are not TCP, UDP or SCTP.
//!
//! `first_packet` makes conns, `handoff` passes on what is another worker's. `fragments`, `icmp`, `echo`,
//! `tunnel_errors` and `ipsec` find the conn that a packet belongs to by other means than its ports.
//! `arp_nd` answers neighbours.

mod arp_nd;
mod echo;
mod first_packet;
mod fragments;
mod handoff;
mod icmp;
mod ipsec;
mod tunnel_errors;
