//! Steering: a packet must reach the worker that owns its conn.
//!
//! A reply names its owner by its local port: port modulo number of workers is the worker (`sapool`
//! hands ports out that way). NICs know nothing of that rule, so any worker may receive any packet,
//! and hands it to the owner over a [`RedirectRings`] ring. That works on every NIC.
//!
//! What will live here: choosing local ports so that the NIC's own RSS delivers replies to their
//! owner, and flow rules, with [`Steering`] naming the method that a port uses.

mod method;
mod redirect;

pub(crate) use method::Steering;
pub(crate) use redirect::{RedirectEnds, RedirectRings};
