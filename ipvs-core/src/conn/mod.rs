//! The conns of a worker, and the table that finds them.
//!
//! [`Conn`] is what a packet touches: one cache line for IPv4. [`ConnTable`] finds it by its tuple
//! (`index`) and visits it when it may have expired (`wheel`). What only some conns need is their
//! extension, `ConnExt`. Nothing here knows packets; the room `lifecycle` makes, changes and ends
//! conns.

mod closing;
mod entry;
mod ext;
mod flags;
mod idle_timeout;
mod index;
mod recycle;
mod ring;
mod slot_set;
mod table;
mod way_back;
mod wheel;

pub use crate::direction::Direction;
pub(crate) use closing::{ClosingQueue, is_queued};
pub use entry::{Conn, ConnId, Endpoints, RewriteDeltas};
pub(crate) use ext::{ConnExt, ConnExts, FtpFlags, HeaderState, SeqShift};
pub use flags::ConnFlags;
pub(crate) use idle_timeout::IdleTimeout;
pub use index::MAX_CONNS;
pub(crate) use table::LEAVING_TOGETHER;
pub use table::{ConnTable, Found, Leaving, Lookup, TableFull};
pub use way_back::WayBackId;
pub(crate) use way_back::WaysBack;
