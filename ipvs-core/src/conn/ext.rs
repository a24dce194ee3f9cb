//! What few conns have beside what all have: memory that is touched for them alone.

use packet::uoa::Mode;
use zerocopy::FromZeros;

use crate::config::{ProxyProtocol, ServiceOptions};
use crate::conn::ConnId;

/// Of one conn, by its flags.
#[derive(Debug, Clone, Copy, Default, FromZeros)]
#[repr(C)]
pub(crate) struct ConnExt {
    /// [`crate::conn::ConnFlags::EDITED`]: which PROXY header, if any, goes before what the client says
    pub(crate) proxy: u8,
    /// TCP: the dest has acknowledged the header
    pub(crate) is_header_acked: u8,
    /// TCP: bytes of the header that was sent
    pub(crate) inserted: u16,
    /// TCP: bytes of the header that the client itself sent, which that one replaces
    pub(crate) stripped: u16,
    /// [`crate::conn::ConnFlags::SYN_PROXIED`]: the window of the client that took the cookie
    pub(crate) client_window: u16,
    /// TCP: the number of the client's first byte
    pub(crate) first_data: u32,
    /// The number of the SYN that the director answered with
    pub(crate) cookie: u32,
    /// What is added to the dest's numbers for the client
    pub(crate) dest_delta: u32,
    /// The client's clock when the cookie came back
    pub(crate) client_timestamp: u32,
    /// What is added to the dest's clock for the client
    pub(crate) timestamp_delta: u32,
    /// The dest has answered its SYN: the deltas are right
    pub(crate) is_dest_known: u8,
    /// Shifts of windows (RFC 7323, 2.2): the client's,
    pub(crate) client_scale: u8,
    /// and the dest's
    pub(crate) dest_scale: u8,
    /// The client scales windows,
    pub(crate) has_scale: u8,
    /// and the dest does not
    pub(crate) dest_has_no_scale: u8,
    /// So many datagrams are still to tell the client's address by UOA,
    pub(crate) uoa_left: u8,
    /// as an option of IPv4
    pub(crate) uoa_by_option: u8,
    /// A control conn of FTP, and what its client has asked for
    pub(crate) ftp: FtpFlags,
    /// The local port of the call that it announced last
    pub(crate) expected_lport: u16,
    /// Client and dest send timestamps (RFC 7323, 3)
    pub(crate) has_timestamps: u8,
    /// A datagram had no room for UOA, and none has told since
    pub(crate) uoa_is_owed: u8,
    /// How far the numbers of both directions have moved
    pub(crate) shifts: [SeqShift; 2],
}

impl ConnExt {
    /// Of a conn whose service tells dests who the client is.
    pub(crate) fn for_service(options: &ServiceOptions, is_ftp: bool) -> Self {
        let uoa = options.uoa;
        Self {
            ftp: if is_ftp {
                FtpFlags::CONTROL
            } else {
                FtpFlags::default()
            },
            proxy: options.proxy_protocol.map_or(0, ProxyProtocol::to_bits),
            uoa_left: uoa.map_or(0, |uoa| uoa.max_trail),
            uoa_by_option: u8::from(uoa.is_some_and(|uoa| uoa.mode == Mode::IpOption)),
            ..Self::default()
        }
    }

    /// By how much the client's numbers grow after its first byte.
    pub(crate) const fn shift(&self) -> u32 {
        (self.inserted as u32).wrapping_sub(self.stripped as u32)
    }
}

/// Facts about a control conn of FTP, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromZeros)]
#[repr(transparent)]
pub(crate) struct FtpFlags(u8);

impl FtpFlags {
    /// It is one.
    pub(crate) const CONTROL: Self = Self(1);
    /// Client and dest have different words for how the client is to call: 227 and 229 become each other.
    pub(crate) const TRANSLATE_REPLY: Self = Self(1 << 1);
    /// The client's latest command was EPSV ALL, which the dest must not hear.
    pub(crate) const REFUSE_EPSV_ALL: Self = Self(1 << 2);
    /// It was EPSV by another network than its own.
    pub(crate) const REFUSE_NETWORK: Self = Self(1 << 3);

    /// True if `flag` is set.
    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// Sets or clears `flag`.
    pub(crate) const fn put(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }
}

/// How far the numbers of a direction have moved by lines that were edited. Only the latest one may still be under
/// way: its sender waits for the answer.
#[derive(Debug, Clone, Copy, Default, FromZeros)]
#[repr(C)]
pub(crate) struct SeqShift {
    /// The number of the segment with the latest of them, as its sender counts
    at: u32,
    /// Up to it
    before: u32,
    /// After it
    after: u32,
}

impl SeqShift {
    /// Whether nothing has moved.
    pub(crate) const fn is_none(&self) -> bool {
        self.before == 0 && self.after == 0
    }

    /// What is added to a number of the sender.
    pub(crate) const fn of_seq(&self, seq: u32) -> u32 {
        if is_after(seq, self.at) {
            self.after
        } else {
            self.before
        }
    }

    /// What is taken from a number that the receiver acknowledges.
    pub(crate) const fn of_ack(&self, ack: u32) -> u32 {
        if is_after(ack, self.at.wrapping_add(self.after)) {
            self.after
        } else {
            self.before
        }
    }

    /// The segment with this number has grown. One that is sent again grows again, and moves nothing more.
    pub(crate) const fn note(&mut self, seq: u32, grown: i16) {
        if grown == 0 || !self.is_none() && !is_after(seq, self.at) {
            return;
        }
        self.before = self.after;
        self.after = self.after.wrapping_add(grown as u32);
        self.at = seq;
    }
}

const fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// Of all conns of a table.
#[derive(Debug)]
pub(crate) struct ConnExts(Box<[ConnExt]>);

impl ConnExts {
    /// Room for what this many conns have. Memory is touched as it is used.
    pub(crate) fn new(conns: u32) -> Self {
        let exts = <[ConnExt]>::new_box_zeroed_with_elems(conns.max(1) as usize)
            .expect("less than the conns take, whose memory was checked when the config was read");
        Self(exts)
    }

    pub(crate) fn get(&self, id: ConnId) -> &ConnExt {
        &self.0[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> &mut ConnExt {
        &mut self.0[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_conns_have_beside_is_one_cache_line() {
        assert_eq!(size_of::<ConnExt>(), 64);
    }
}
