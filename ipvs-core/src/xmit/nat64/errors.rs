//! ICMP errors about packets of NAT64 conns: the error, and the packet that it quotes, become those
//! of the other family (RFC 7915, 4.2, 4.3, 5.2 and 5.3).

use packet::PacketBuf;
use packet::ip::{IpFacts, NewHeader};
use packet::ipv4::L2_LEN;
use packet::translate::IcmpError;

use crate::config::Protocol;
use crate::conn::Found;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::tuple::Tuple;
use crate::wire::{
    Family, ICMP_HEADER_LEN, LONGEST_ICMP_ERROR, LONGEST_ICMPV6_ERROR, Quoted, ends_of_error,
    family, icmp_quote, resize_head,
};
use crate::xmit::Way;
use crate::xmit::nat64::network::{Piece, fragment_header_len, write_piece};

/// Before extensions, the quoted packet is filled up to this many bytes: RFC 4884, 3.
const LEAST_BEFORE_EXTENSIONS: usize = 128;

/// What is kept of an error whose headers are written anew.
#[derive(Debug, Clone, Copy)]
struct Message {
    traffic_class: u8,
    quoted_traffic_class: u8,
    /// Bytes of the quoted packet, if extensions follow it (RFC 4884, 3)
    before_extensions: Option<usize>,
}

/// Where the parts of the new error are in its frame.
#[derive(Debug, Clone, Copy)]
struct Layout {
    icmp_at: usize,
    quoted_at: usize,
    quoted_l4_at: usize,
    /// Bytes of the frame of the longest error
    longest: usize,
    is_v4: bool,
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Translates an ICMP error about a packet of a NAT64 conn, and the packet that it quotes, into
    /// the other family. `way` is where the error goes.
    pub(crate) fn translate_nat64_error(
        &self,
        packet: &mut B,
        ip: &IpFacts<A>,
        quoted: &Quoted<A>,
        found: Found,
        way: Way,
    ) -> Result<(), DropReason> {
        let conn = self.family.conns.get(found.id);
        let prefix = self.shared.snapshot.nat64_prefix;
        let (src, dst) = ends_of_error(conn, found.direction, ip.src, prefix);
        let sent = icmp_quote::as_sent(conn, found.direction);
        let message = Message::read(packet.bytes(), ip);
        let error = self
            .translate_kind(packet, ip, quoted, way)
            .ok_or(DropReason::IcmpUntranslatable)?;
        let piece = quoted.ip.is_fragment.then_some(Piece {
            offset: 0,
            more: quoted.ip.more_fragments,
            identification: quoted.ip.identification,
        });
        let layout = Layout::new(src, &sent, piece);
        // Everything in front of the quoted L4 header is written anew.
        let old_l4_at = usize::from(ip.l4_at) + quoted.l4_at;
        resize_head(packet, old_l4_at, layout.quoted_l4_at)?;
        let moved_by = layout.quoted_l4_at - layout.quoted_at;
        let quoted_len = message
            .before_extensions
            .map(|len| len + moved_by - (quoted.l4_at - ICMP_HEADER_LEN));
        let length = layout.fit_extensions(packet, error, quoted_len);
        packet.truncate(layout.longest);
        let frame = packet.bytes_mut();
        let dest_delta = self.family.dest_delta(found.id);
        icmp_quote::restore_l4(
            &mut frame[layout.quoted_l4_at..],
            quoted,
            conn,
            found.direction,
            dest_delta,
        );
        let quoted_class = message.quoted_traffic_class;
        write_quoted(
            &mut frame[layout.quoted_at..],
            quoted,
            &sent,
            piece,
            quoted_class,
        );
        write_outer(frame, ip, (src, dst), &layout, message.traffic_class);
        let icmp = &mut frame[layout.icmp_at..];
        icmp[..4].copy_from_slice(&[error.kind, error.code, 0, 0]);
        icmp[4..8].copy_from_slice(&(error.rest | length).to_be_bytes());
        icmp_quote::write_checksum(icmp, src, dst);
        Ok(())
    }

    /// The type, code and third word of an error in the other family. `None` if it has no
    /// counterpart.
    fn translate_kind(
        &self,
        packet: &B,
        ip: &IpFacts<A>,
        quoted: &Quoted<A>,
        way: Way,
    ) -> Option<IcmpError> {
        let icmp = ip.l4(packet.bytes());
        let [kind, code, _, _, rest @ ..] = icmp.first_chunk::<ICMP_HEADER_LEN>()?;
        let error = IcmpError {
            kind: *kind,
            code: *code,
            rest: u32::from_be_bytes(*rest),
        };
        let device = self.shared.snapshot.net.device_of(packet.port());
        let mtus = (device.map_or(u16::MAX, |device| device.mtu), way.mtu());
        if family::is_ipv4(packet.bytes()) {
            error.to_v6(quoted.ip.total_len, mtus)
        } else {
            error.to_v4(mtus)
        }
    }
}

impl Message {
    fn read<A: Family>(frame: &[u8], ip: &IpFacts<A>) -> Self {
        let icmp = ip.l4(frame);
        let outer = frame.get(L2_LEN..).unwrap_or_default();
        let quoted = icmp.get(ICMP_HEADER_LEN..).unwrap_or_default();
        // The length counts words of 32 bits in ICMP and of 64 bits in ICMPv6, where two errors
        // have it.
        let len = match icmp {
            [3 | 11 | 12, _, _, _, _, length, ..] if family::is_ipv4(frame) => {
                usize::from(*length) * 4
            }
            [1 | 3, _, _, _, length, ..] => usize::from(*length) * 8,
            _ => 0,
        };
        // What is too short to hold the quoted packet has no extensions behind it.
        let has_extensions = (LEAST_BEFORE_EXTENSIONS..quoted.len()).contains(&len);
        Self {
            traffic_class: family::traffic_class(outer),
            quoted_traffic_class: family::traffic_class(quoted),
            before_extensions: has_extensions.then_some(len),
        }
    }
}

impl Layout {
    fn new<A: Family>(src: A, sent: &Tuple<A>, piece: Option<Piece>) -> Self {
        let is_v4 = src.is_mapped();
        let icmp_at = L2_LEN + family::header_len(src);
        let quoted_at = icmp_at + ICMP_HEADER_LEN;
        let longest = if is_v4 {
            LONGEST_ICMP_ERROR
        } else {
            LONGEST_ICMPV6_ERROR
        };
        Self {
            icmp_at,
            quoted_at,
            quoted_l4_at: quoted_at
                + family::header_len(sent.src)
                + fragment_header_len(sent, piece),
            longest: L2_LEN + longest,
            is_v4,
        }
    }

    /// Fills up the quoted packet of `quoted_len` bytes before its extensions, and returns the
    /// length of both in its place in the third word. Extensions that do not fit or cannot be are
    /// cut off.
    fn fit_extensions<B: PacketBuf>(
        &self,
        packet: &mut B,
        error: IcmpError,
        quoted_len: Option<usize>,
    ) -> u32 {
        let Some(quoted_len) = quoted_len else {
            return 0;
        };
        let unit = if self.is_v4 { 4 } else { 8 };
        let filled_len = quoted_len
            .max(LEAST_BEFORE_EXTENSIONS)
            .next_multiple_of(unit);
        let end = self.quoted_at + quoted_len;
        let can_have = self.is_v4 || matches!(error.kind, 1 | 3);
        let fits = self.quoted_at + filled_len < self.longest;
        if !(can_have && fits && fill(packet, end, filled_len - quoted_len)) {
            packet.truncate(end);
            return 0;
        }
        ((filled_len / unit) as u32) << if self.is_v4 { 16 } else { 24 }
    }
}

/// Inserts zeros at `at`. `false` if the mbuf has no room; nothing has changed then.
fn fill<B: PacketBuf>(packet: &mut B, at: usize, count: usize) -> bool {
    let len = packet.bytes().len();
    if at > len || !packet.append(count) {
        return false;
    }
    let frame = packet.bytes_mut();
    frame.copy_within(at..len, at + count);
    frame[at..at + count].fill(0);
    true
}

/// Writes the header of the quoted packet as its sender had written it.
fn write_quoted<A: Family>(
    place: &mut [u8],
    quoted: &Quoted<A>,
    sent: &Tuple<A>,
    piece: Option<Piece>,
    traffic_class: u8,
) {
    let ip = &quoted.ip;
    let l4_len = (ip.total_len + L2_LEN as u16).saturating_sub(ip.l4_at.into());
    if let Some(piece) = piece {
        return write_piece(place, sent, l4_len, (ip.ttl, traffic_class), piece);
    }
    let header = NewHeader {
        ttl: ip.ttl,
        traffic_class,
        identification: ip.identification as u16,
        dont_fragment: ip.dont_fragment,
        ..NewHeader::of_ours(sent.src, sent.dst, ip.protocol, l4_len)
    };
    family::write_ip_header(place, &header);
}

fn write_outer<A: Family>(
    frame: &mut [u8],
    ip: &IpFacts<A>,
    (src, dst): (A, A),
    layout: &Layout,
    traffic_class: u8,
) {
    let protocol = if layout.is_v4 {
        Protocol::Icmp
    } else {
        Protocol::IcmpV6
    };
    let icmp_len = (frame.len() - layout.icmp_at) as u16;
    let header = NewHeader {
        ttl: ip.ttl - 1,
        traffic_class,
        ..NewHeader::of_ours(src, dst, protocol.number(), icmp_len)
    };
    family::write_header(frame, &header);
}
