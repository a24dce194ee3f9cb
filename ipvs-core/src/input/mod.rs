//! Packets that found no conn, and packets that are not TCP, UDP or SCTP.
//!
//! `first_packet` makes conns, `handoff` hands packets to other workers. `first_fragments` notes
//! what the later ones in `fragments` need; they, `icmp`, `echo`, `tunnel_errors` and `ipsec` find
//! the conn of a packet by other means than its ports. `sources` keeps packets with an impossible
//! source from making conns. `arp_nd` answers neighbours, `reject` those whom nobody serves, and
//! `uoa` lets nobody tell clients but the director.

mod arp_nd;
mod echo;
mod first_fragments;
mod first_packet;
mod fragments;
mod handoff;
mod icmp;
mod ipsec;
mod reject;
mod sources;
mod tunnel_errors;
mod uoa;
