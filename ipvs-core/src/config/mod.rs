//! TODO-page

pub(crate) mod access;
pub(crate) mod command;
pub(crate) mod dest;
pub(crate) mod fwdmode;
pub(crate) mod match_packets;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod protocol;
pub(crate) mod scheduler_kind;
pub(crate) mod service;
pub(crate) mod service_index;
pub(crate) mod service_table;
pub(crate) mod snapshot;
pub(crate) mod timeouts;
