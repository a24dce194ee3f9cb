//! The end of conns: by timeout, or with their dest.
//!
//! `expiry` ends conns whose timeout has passed, `dest_removal` those of a dest that has
//! to lose them, a few per call. `reset` sends a RST to both ends of an established TCP conn.

mod dest_removal;
mod expiry;
mod reset;
