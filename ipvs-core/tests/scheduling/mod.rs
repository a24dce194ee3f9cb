//! Which dest a conn goes to, and whether it may be made at all.

mod adoption;
mod one_packet;
mod reuse;
mod schedulers;
mod service_options;
mod templates;
mod thresholds;
mod timeouts;
