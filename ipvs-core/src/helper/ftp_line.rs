//! A line of FTP's control conn that becomes another.

use std::net::SocketAddr;
use std::ops::Range;

use packet::ftp::{Named, Text};

/// What takes the place of a part of a line.
pub(super) struct Replacement {
    pub(crate) place: Range<usize>,
    pub(crate) text: Text,
}

impl Replacement {
    /// Another end, named in the same way.
    pub(super) fn of_end(named: Named, end: SocketAddr) -> Option<Self> {
        let text = Text::new(end, named.style)?;
        let place = named.place;
        Some(Self { place, text })
    }

    /// Another end, named by the command for its family.
    pub(super) fn of_command(named: &Named, end: SocketAddr) -> Option<Self> {
        let text = Text::command(end)?;
        let place = 0..named.place.end;
        Some(Self { place, text })
    }

    /// Another line.
    pub(super) fn of_line(payload: &[u8], text: Text) -> Option<Self> {
        let place = 0..payload.strip_suffix(b"\r\n")?.len();
        Some(Self { place, text })
    }
}
