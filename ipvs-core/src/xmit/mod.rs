//! TODO-page

pub(crate) mod dr_tunnel;
pub(crate) mod echo;
pub(crate) mod fast_path;
pub(crate) mod fragment;
pub(crate) mod headers;
pub(crate) mod icmp_error;
pub(crate) mod nat64;
pub(crate) mod nexthop;
pub(crate) mod rewrite;
pub(crate) mod sctp;
pub(crate) mod sctp_fragment;
pub(crate) mod slow_path;
