//! What comes in besides TCP segments and UDP datagrams that are whole: ICMP, ARP, fragments, SCTP,
//! malformed frames, frames to groups, and floods.

mod director_errors;
mod flood;
mod fragments;
mod group_frames;
mod icmp;
mod impossible_sources;
mod malformed;
mod missing_checksums;
mod neighbours;
mod priority_tags;
mod routers_errors;
pub(crate) mod sctp;
mod strays;
mod udp_length;
mod unserved;
