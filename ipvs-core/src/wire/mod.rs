//! TODO-page

pub(crate) mod aside;
pub(crate) mod classify;
pub(crate) mod echo;
pub(crate) mod family;
pub(crate) mod flow;
pub(crate) mod head;
pub(crate) mod icmp_quote;
pub(crate) mod payload_edit;
pub(crate) mod syn_cookie;
pub(crate) mod tcp;
pub(crate) mod tcp_build;
pub(crate) mod tcp_options;
pub(crate) mod tunnel;
pub(crate) mod udp;
