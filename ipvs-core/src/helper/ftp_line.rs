//! A line of an FTP control conn, or a part of it, that is replaced.

use std::net::SocketAddr;
use std::ops::Range;

use packet::ftp::{self, Named, Text};

/// A range of the payload, and the text that takes its place.
pub(super) struct Replacement {
    pub(crate) place: Range<usize>,
    pub(crate) text: Text,
}

impl Replacement {
    /// Names another address and port, in the same style.
    pub(super) fn of_end(named: Named, end: SocketAddr) -> Option<Self> {
        let text = Text::new(end, named.style)?;
        let place = named.place;
        Some(Self { place, text })
    }

    /// Names another address and port, by the command for its family.
    pub(super) fn of_command(named: &Named, end: SocketAddr) -> Option<Self> {
        let text = Text::command(end)?;
        let place = 0..named.place.end;
        Some(Self { place, text })
    }

    /// Replaces the first line, but not its end.
    pub(super) fn of_line(payload: &[u8], text: Text) -> Option<Self> {
        let place = 0..ftp::first_line_len(payload);
        Some(Self { place, text })
    }
}
