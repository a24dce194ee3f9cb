//! The extension of a conn: what only some conns need, in memory that other conns never touch.

use packet::uoa::Mode;
use zerocopy::FromZeros;

use crate::config::{LaddrUseId, ProxyProtocol, ServiceOptions};
use crate::conn::ConnId;
use crate::simd::prefetch_at;

/// A conn whose local port is counted for no local address of a service.
const NO_LADDR_USE: u32 = u32::MAX;

/// The extension of one conn. Which fields count depends on the conn's flags.
#[derive(Debug, Clone, Copy, Default, FromZeros)]
#[repr(C)]
pub(crate) struct ConnExt {
    /// PROXY protocol: which header is inserted, as [`ProxyProtocol::to_bits`]; 0 for none
    pub(crate) proxy: u8,
    /// PROXY protocol: how far the header has come
    pub(crate) header: HeaderState,
    /// PROXY protocol over TCP: bytes of the header that was inserted
    pub(crate) inserted: u16,
    /// PROXY protocol over TCP: bytes of the client's own header that were removed
    pub(crate) stripped: u16,
    /// SYN proxy: the window of the ACK that brought the cookie back
    pub(crate) client_window: u16,
    /// The sequence number of the client's first data byte
    pub(crate) first_data: u32,
    /// SYN proxy: the cookie, which is the sequence number of the director's SYN-ACK
    pub(crate) cookie: u32,
    /// SYN proxy: added to the dest's sequence numbers for the client
    pub(crate) dest_delta: u32,
    /// SYN proxy: the client's timestamp when the cookie came back
    pub(crate) client_timestamp: u32,
    /// SYN proxy: added to the dest's timestamps for the client
    pub(crate) timestamp_delta: u32,
    /// SYN proxy: the dest has answered, so both deltas above are known
    pub(crate) is_dest_known: u8,
    /// SYN proxy: the client's window scale (RFC 7323, 2.2)
    pub(crate) client_scale: u8,
    /// SYN proxy: the dest's window scale
    pub(crate) dest_scale: u8,
    /// SYN proxy: the client scales windows
    pub(crate) has_scale: u8,
    /// SYN proxy: the dest does not scale windows
    pub(crate) dest_has_no_scale: u8,
    /// UOA: datagrams that still have to carry the client's address
    pub(crate) uoa_left: u8,
    /// UOA: by an IPv4 option, else by a protocol of its own
    pub(crate) uoa_by_option: u8,
    /// FTP: whether this is a control conn, and how the next reply is translated
    pub(crate) ftp: FtpFlags,
    /// FTP: the local port of the active data conn that was announced last
    pub(crate) expected_lport: u16,
    /// SYN proxy: client and dest use timestamps (RFC 7323, 3)
    pub(crate) has_timestamps: u8,
    /// UOA: a datagram had no room for the address, and none has carried it since
    pub(crate) uoa_is_owed: u8,
    /// FTP: shifts of the sequence numbers of both directions, by lines that were edited
    pub(crate) shifts: [SeqShift; 2],
}

impl ConnExt {
    /// The extension of a new conn of a service with these options.
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

    /// Bytes that are added to the client's sequence numbers behind the PROXY header.
    pub(crate) const fn shift(&self) -> u32 {
        (self.inserted as u32).wrapping_sub(self.stripped as u32)
    }
}

/// How far the PROXY header of a conn has come. Over UDP it is due until it is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromZeros)]
#[repr(u8)]
pub(crate) enum HeaderState {
    /// The dest has not acknowledged the client's SYN, so nobody knows which byte it takes first.
    #[default]
    AwaitsSynAck = 0,
    /// The client's first byte is awaited: the header goes in front of it.
    Due,
    /// UDP: the header had no room in a datagram, and has to go ahead of it.
    Owed,
    /// The header was sent.
    Placed,
    /// The dest has acknowledged the whole header.
    Acked,
}

/// Facts about an FTP control conn, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromZeros)]
#[repr(transparent)]
pub(crate) struct FtpFlags(u8);

impl FtpFlags {
    /// This is a control conn.
    pub(crate) const CONTROL: Self = Self(1);
    /// The dest's reply is translated: 227 and 229 become each other.
    pub(crate) const TRANSLATE_REPLY: Self = Self(1 << 1);
    /// The client's latest command was EPSV ALL, which is refused on the dest's behalf.
    pub(crate) const REFUSE_EPSV_ALL: Self = Self(1 << 2);
    /// The client's latest command was EPSV for another network than its own, which is refused.
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

/// The shift of one direction's sequence numbers by edited lines. Only the latest line may still be
/// in flight, since its sender waits for the reply.
#[derive(Debug, Clone, Copy, Default, FromZeros)]
#[repr(C)]
pub(crate) struct SeqShift {
    /// The sender's sequence number of the segment with the latest edited line
    at: u32,
    /// Shift of numbers up to `at`
    before: u32,
    /// Shift of numbers behind `at`
    after: u32,
}

impl SeqShift {
    /// Whether no line has changed its length.
    pub(crate) const fn is_none(&self) -> bool {
        self.before == 0 && self.after == 0
    }

    /// What is added to the sender's next sequence number.
    pub(crate) const fn latest(&self) -> u32 {
        self.after
    }

    /// What is added to a sequence number of the sender.
    pub(crate) const fn of_seq(&self, seq: u32) -> u32 {
        if is_after(seq, self.at) {
            self.after
        } else {
            self.before
        }
    }

    /// What is subtracted from an acknowledgment of the receiver.
    pub(crate) const fn of_ack(&self, ack: u32) -> u32 {
        if !is_after(ack, self.at.wrapping_add(self.before)) {
            self.before
        } else if is_after(self.at, ack.wrapping_sub(self.after)) {
            // A part of what was added: nothing of the sender's segment.
            ack.wrapping_sub(self.at)
        } else {
            self.after
        }
    }

    /// Notes that the segment with this number has grown. A retransmission grows again and shifts
    /// nothing more.
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

/// The extensions of all conns of a table.
#[derive(Debug)]
pub(crate) struct ConnExts {
    exts: Box<[ConnExt]>,
    /// The length of the prefix in the key of the template that a persistent conn holds. The
    /// service may have another one by the time when the conn ends.
    template_prefixes: Box<[u8]>,
    /// The counters of its local address in its service, if the conn has a local port.
    laddr_uses: Box<[u32]>,
}

impl ConnExts {
    /// Room for the extensions of this many conns. Memory is touched as it is used.
    pub(crate) fn new(conns: u32) -> Self {
        let len = conns.max(1) as usize;
        let exts = <[ConnExt]>::new_box_zeroed_with_elems(len)
            .expect("less than the conns take, whose memory was checked when the config was read");
        let template_prefixes = <[u8]>::new_box_zeroed_with_elems(len)
            .expect("less than the conns take, whose memory was checked when the config was read");
        let laddr_uses = <[u32]>::new_box_zeroed_with_elems(len)
            .expect("less than the conns take, whose memory was checked when the config was read");
        Self {
            exts,
            template_prefixes,
            laddr_uses,
        }
    }

    /// Bytes that the extensions of so many conns take, without [`Self::laddr_use_memory`].
    pub(crate) const fn bytes_for(conns: u32) -> usize {
        conns as usize * (size_of::<ConnExt>() + size_of::<u8>())
    }

    /// Bytes of [`Self::laddr_use_memory`] for so many conns.
    pub(crate) const fn laddr_use_bytes_for(conns: u32) -> usize {
        conns as usize * size_of::<u32>()
    }

    /// Address and length in bytes of what each conn with a local port writes.
    pub(crate) fn laddr_use_memory(&self) -> (*const u8, usize) {
        (
            self.laddr_uses.as_ptr().cast(),
            size_of_val(&*self.laddr_uses),
        )
    }

    pub(crate) fn get(&self, id: ConnId) -> &ConnExt {
        &self.exts[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> &mut ConnExt {
        &mut self.exts[id.0 as usize]
    }

    /// The length of the prefix in the key of the template that a persistent conn holds.
    pub(crate) fn template_prefix_len(&self, id: ConnId) -> u8 {
        self.template_prefixes[id.0 as usize]
    }

    /// Notes that a conn holds a template whose key has a prefix of this length.
    pub(crate) fn set_template_prefix_len(&mut self, id: ConnId, len: u8) {
        self.template_prefixes[id.0 as usize] = len;
    }

    /// The counters of the local address that a conn with a local port uses. `None` if its service
    /// did not have the address any more when the conn was made.
    pub(crate) fn laddr_use(&self, id: ConnId) -> Option<LaddrUseId> {
        let number = self.laddr_uses[id.0 as usize];
        (number != NO_LADDR_USE).then_some(LaddrUseId(number))
    }

    /// Notes where a conn with a local port is counted.
    pub(crate) fn set_laddr_use(&mut self, id: ConnId, laddr_use: Option<LaddrUseId>) {
        self.laddr_uses[id.0 as usize] = laddr_use.map_or(NO_LADDR_USE, |LaddrUseId(n)| n);
    }

    /// Prefetches what [`Self::laddr_use`] reads, or [`Self::set_laddr_use`] writes. There need not
    /// be such a conn.
    #[inline]
    pub(crate) fn fetch_laddr_use(&self, id: ConnId) {
        prefetch_at(&self.laddr_uses, id.0 as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgments_in_front_of_an_edited_line_and_within_it_are_told_apart() {
        let back = |shift: &SeqShift, ack: u32| ack.wrapping_sub(shift.of_ack(ack));
        let mut shorter = SeqShift::default();
        shorter.note(5001, -3);
        assert_eq!([5001, 5048].map(|ack| back(&shorter, ack)), [5001, 5051]);
        let mut longer = SeqShift::default();
        longer.note(1001, 5);
        let acks = [1001, 1003, 1006, 1030];
        assert_eq!(acks.map(|ack| back(&longer, ack)), [1001, 1001, 1001, 1025]);
        longer.note(1025, 4);
        assert_eq!([1030, 1060].map(|ack| back(&longer, ack)), [1025, 1051]);
    }

    #[test]
    fn what_few_conns_have_beside_is_one_cache_line() {
        assert_eq!(size_of::<ConnExt>(), 64);
    }
}
