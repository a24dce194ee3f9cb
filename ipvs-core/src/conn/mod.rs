//! The conns of a worker: one session of a client with a dest each, and the table that finds them.
//!
//! [`Conn`] is what a packet touches, one cache line for IPv4. [`ConnTable`] finds it by its tuple
//! (`index`) and visits it when its time may be over (`wheel`). What few conns need besides is
//! their extension, `ConnExt`. Nothing here knows packets; who changes a conn is in `lifecycle`.

mod entry;
mod ext;
mod flags;
mod index;
mod table;
mod wheel;

pub use crate::direction::Direction;
pub use entry::{Conn, ConnId, Endpoints, RewriteDeltas};
pub(crate) use ext::{ConnExt, ConnExts, FtpFlags, SeqShift};
pub use flags::ConnFlags;
pub(crate) use table::LEAVING_TOGETHER;
pub use table::{ConnTable, Found, Leaving, Lookup, TableFull};
