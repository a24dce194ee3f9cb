//! The life of a conn: made, changed by its packets, taken apart. No packet is sent here.
//!
//! `opening` says which packets open one, `create` makes it, `bind` chooses its dest and local
//! address, `isn` its sequence numbers. `transition` follows its state and timeout, `way_back`
//! where its client's packets come from. `reuse` says when it gives way to a new one, `closing` and
//! `local_ports` when it gives its port to one. `unbind` gives back what it held: counters,
//! template, local port; `laddr_use` counts the latter. LVS calls the last step unbind, too, and
//! the third one bind.

pub(crate) mod bind;
mod closing;
pub(crate) mod create;
mod isn;
pub(crate) mod laddr_use;
mod local_ports;
pub(crate) mod opening;
mod reuse;
mod transition;
mod unbind;
mod way_back;

pub(crate) use create::{Unserved, service_of};
