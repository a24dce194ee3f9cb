//! TODO-page

pub(crate) mod dest_cache;
pub(crate) mod dest_removals;
pub(crate) mod expectations;
pub(crate) mod fragments;
pub(crate) mod laddrs;
pub(crate) mod limits;
pub(crate) mod neigh_queue;
pub(crate) mod service_state;
pub(crate) mod shared_table;
pub(crate) mod stats;
pub(crate) mod templates;
