//! Steering: a packet must reach the worker that owns its conn.
//!
//! Who owns a packet follows from its addresses and ports ([`rss::Owners`]). [`settle()`] teaches
//! the ports the same arithmetic, so that their RSS brings each packet to its owner, and says of
//! each port whether it does ([`SteeredPort`]). Packets that come to another worker all the same
//! (from a port that cannot be taught, fragments, ICMP errors) are handed to the owner over a
//! [`RedirectRings`] ring. That works on every NIC. [`Arrivals`] counts how many those are.

mod arrivals;
mod key;
mod method;
mod port;
mod redirect;
mod settle;
#[cfg(test)]
mod tests;

pub(crate) use arrivals::Arrivals;
pub(crate) use key::random_key;
pub(crate) use port::SteeredPort;
pub(crate) use redirect::{RedirectEnds, RedirectRings};
pub(crate) use settle::{Candidate, settle};
