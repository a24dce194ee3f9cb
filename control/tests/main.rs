//! Clients at the control plane's socket. One program: each of its own would have to compile the
//! control plane anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod common;

mod api;
mod conns;
mod counting;
mod draining;
mod edits;
mod laddr_uses;
mod link_local;
mod match_services;
mod options;
mod publishing;
mod reconfiguring;
mod routing;
mod rules;
