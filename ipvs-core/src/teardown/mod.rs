//! The end of conns: by time, with their dest, and what their ends are told.
//!
//! `expiry` ends conns whose time is over, `dest_removal` those of a dest that goes, a few per call.
//! `reset` tells both ends of an established TCP conn.

mod dest_removal;
mod expiry;
mod reset;
