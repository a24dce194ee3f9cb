//! TODO-page

pub(crate) mod arp_nd;
pub(crate) mod echo;
pub(crate) mod first_packet;
pub(crate) mod fragments;
pub(crate) mod handoff;
pub(crate) mod icmp;
pub(crate) mod ipsec;
pub(crate) mod tunnel_errors;
