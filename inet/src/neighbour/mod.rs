//! Neighbours: who is on the link, and at which MAC address.
//!
//! Workers receive ARP ([`arp`]) and neighbour discovery ([`nd`]): they answer for the director's
//! addresses in place and send what they learned, [`NeighbourNews`] and [`AddressConflict`], to
//! control. Control owns the [`NeighbourTable`]: it ages neighbours, asks for them, and publishes
//! their next hops in [`crate::Net`]. Its [`ConflictTable`] says when an address has to be
//! defended, its [`AnnouncementQueue`] when one is announced again.

mod announcement;
pub mod arp;
mod config;
mod conflict;
mod entry;
pub mod nd;
mod news;
mod request;
mod state;
mod table;

pub use announcement::AnnouncementQueue;
pub use config::NeighbourConfig;
pub use conflict::{AddressConflict, ConflictRecord, ConflictResponse, ConflictTable};
pub use news::NeighbourNews;
pub use state::NeighbourState;
pub use table::{Neighbour, NeighbourTable};
