//! Bytes of packets: what is read from them, and what is written into them.
//!
//! [`Family`] is what IPv4 and IPv6 differ in. `classify` says what a packet is, a [`Flow`] if it
//! may belong to a conn. `tcp`, `tcp_options` and `tcp_build` rewrite and write segments, `tunnel`
//! puts a packet into another, `icmp_quote` undoes our rewrite in what an error quotes,
//! `priority_tag` takes a tag off a frame. No state is kept here.

mod aside;
pub(crate) mod classify;
mod echo;
pub(crate) mod family;
mod flow;
mod head;
pub(crate) mod icmp_quote;
mod payload_edit;
mod priority_tag;
mod syn_cookie;
pub(crate) mod tcp;
mod tcp_build;
pub(crate) mod tcp_options;
pub(crate) mod tunnel;
mod udp;

pub(crate) use aside::Aside;
pub(crate) use classify::{
    Addressee, Class, classify, flow_of_ipv6, is_neighbour_discovery, is_to_group, plain_flow,
};
pub(crate) use echo::{identifier, put_identifier, tuple};
pub(crate) use family::{Family, in_family_of};
pub(crate) use flow::Flow;
pub(crate) use head::{resize_head, swap_macs};
pub(crate) use icmp_quote::{
    ICMP_HEADER_LEN, LONGEST_ICMP_ERROR, LONGEST_ICMPV6_ERROR, Quoted, ends_of_error, read_quoted,
    restore_quoted,
};
pub(crate) use payload_edit::{end_of, splice};
pub(crate) use syn_cookie::{CookieJar, SynOffer};
pub(crate) use tcp::{Segment, Toa};
pub(crate) use tcp_build::NewSegment;
pub(crate) use tcp_options::{TCP_HEADER_LEN, Timestamps};
pub(crate) use udp::{UDP_CHECKSUM, datagram_len, give_checksum, write_datagram};
