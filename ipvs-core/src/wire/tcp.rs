//! The rewrite of TCP segments and UDP datagrams: ports, sequence numbers, options, checksum.

use packet::PacketBuf;
use packet::checksum::Delta;
use packet::tcp::{ACK_AT, SEQ_AT, TcpFlags};

use crate::conn::{Conn, ConnFlags};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::tcp_state::{SegmentKind, TcpState};
use crate::tuple::Tuple;
use crate::wire::family::{self, Family};
use crate::wire::tcp_options::{self, LONGEST_HEADER, TCP_HEADER_LEN};
use packet::ipv4::L2_LEN;

/// Offset of the sequence number in a TCP header.
pub(crate) const SEQ: usize = SEQ_AT;
/// Offset of the acknowledgment number.
pub(crate) const ACK_NUMBER: usize = ACK_AT;

const FIN: u8 = TcpFlags::FIN.0;
const SYN: u8 = TcpFlags::SYN.0;
const RST: u8 = TcpFlags::RST.0;
const ACK: u8 = TcpFlags::ACK.0;

/// The fields of a segment that the state machine needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    flags: u8,
}

impl Segment {
    /// Reads the header. Classification has checked its length.
    #[inline]
    pub(crate) fn read(tcp: &[u8]) -> Result<Self, DropReason> {
        let header = tcp
            .first_chunk::<TCP_HEADER_LEN>()
            .ok_or(DropReason::TcpMalformed)?;
        Ok(Self {
            seq: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ack: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            flags: header[13],
        })
    }

    #[inline]
    pub(crate) const fn has_syn(self) -> bool {
        self.flags & SYN != 0
    }

    #[inline]
    pub(crate) const fn has_ack(self) -> bool {
        self.flags & ACK != 0
    }

    #[inline]
    pub(crate) const fn has_fin(self) -> bool {
        self.flags & FIN != 0
    }

    #[inline]
    pub(crate) const fn has_rst(self) -> bool {
        self.flags & RST != 0
    }

    /// Whether this is a plain ACK: data or an acknowledgment, without SYN, FIN or RST.
    #[inline]
    pub(crate) const fn only_acknowledges(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == ACK
    }

    /// Whether this opens a conn: SYN without ACK, FIN and RST.
    #[inline]
    pub(crate) const fn opens(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == SYN
    }

    /// Sequence numbers that the segment takes up, with `data_len` bytes of data: RFC 9293, 3.4.
    #[inline]
    pub(crate) const fn seq_len(self, data_len: u32) -> u32 {
        data_len + self.has_syn() as u32 + (self.flags & FIN != 0) as u32
    }

    /// What the segment means for the state of its conn.
    #[inline]
    pub(crate) const fn kind(self) -> SegmentKind {
        if self.has_rst() {
            SegmentKind::Rst
        } else if self.has_syn() {
            SegmentKind::Syn
        } else if self.has_fin() {
            SegmentKind::Fin
        } else {
            SegmentKind::Ack
        }
    }
}

/// Both ports in the order of the header, as four bytes for one store.
#[inline]
fn ports<A>(to: &Tuple<A>) -> [u8; 4] {
    (u32::from(to.sport) << 16 | u32::from(to.dport)).to_be_bytes()
}

/// Writes the endpoints of `to` into a UDP datagram.
#[inline(always)]
pub(crate) fn rewrite_udp<A>(udp: &mut [u8], to: &Tuple<A>, delta: Delta) {
    let Some(header) = udp.first_chunk_mut::<8>() else {
        return;
    };
    header[..4].copy_from_slice(&ports(to));
    let checksum = u16::from_be_bytes([header[6], header[7]]);
    // RFC 768: 0 means that the sender computed none. A checksum that becomes 0 is sent as all
    // ones.
    if checksum != 0 {
        let changed = match delta.apply(checksum) {
            0 => u16::MAX,
            changed => changed,
        };
        header[6..8].copy_from_slice(&changed.to_be_bytes());
    }
}

/// Writes the endpoints of `to` into a TCP segment, and translates its sequence numbers and
/// options. `delta` is the change of the checksum by the endpoints.
#[inline(always)]
pub(crate) fn rewrite_tcp<A: Family>(
    tcp: &mut [u8],
    segment: Segment,
    conn: &Conn<A>,
    direction: Direction,
    mut delta: Delta,
) -> Result<(), DropReason> {
    let to = conn.rewritten(direction);
    let (header, rest) = tcp
        .split_first_chunk_mut::<TCP_HEADER_LEN>()
        .ok_or(DropReason::TcpMalformed)?;
    header[..4].copy_from_slice(&ports(&to));
    let mut numbers = Delta::ZERO;
    // The sequence number of a client's segment, or the acknowledgment of a dest's segment. The
    // direction selects by index, without a branch that would be mispredicted half of the time.
    if segment.has_ack() || direction == Direction::Inbound {
        let (at, old, shift) = match direction {
            Direction::Inbound => (SEQ, segment.seq, conn.seq_delta),
            Direction::Outbound => (ACK_NUMBER, segment.ack, conn.seq_delta.wrapping_neg()),
        };
        let new = old.wrapping_add(shift);
        header[at..at + 4].copy_from_slice(&new.to_be_bytes());
        numbers = Delta::of_u32(old, new);
    }
    let header_len = usize::from(header[12] >> 4) * 4;
    // NAT and SNAT leave the options alone, unless the conn has another one's local port.
    let has_own_numbers = conn.flags.is_full_nat() || conn.seq_delta != 0;
    if header_len > TCP_HEADER_LEN && has_own_numbers {
        let options = rest
            .get_mut(..header_len - TCP_HEADER_LEN)
            .ok_or(DropReason::TcpMalformed)?;
        delta = delta.plus(edit_options(options, segment, conn, direction)?);
    }
    let checksum = u16::from_be_bytes([header[16], header[17]]);
    let checksum = Delta::apply_all([delta, numbers], checksum);
    header[16..18].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

#[inline]
const fn field(header: &[u8; TCP_HEADER_LEN], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Replaces a number in the header. Returns the change of the checksum.
#[inline]
fn put_u32(header: &mut [u8; TCP_HEADER_LEN], at: usize, value: u32) -> Delta {
    let old = field(header, at);
    header[at..at + 4].copy_from_slice(&value.to_be_bytes());
    Delta::of_u32(old, value)
}

/// Replaces the number at [`SEQ`] or [`ACK_NUMBER`] of a TCP header, and updates the checksum.
pub(crate) fn put_number(frame: &mut [u8], l4_at: usize, at: usize, new: u32) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    let Some(header) = tcp.first_chunk_mut::<{ TCP_HEADER_LEN }>() else {
        return;
    };
    let delta = put_u32(header, at, new);
    apply_delta(header, delta);
}

/// Subtracts `shift` from the edges of the SACK blocks, and updates the checksum.
pub(crate) fn shift_sack(frame: &mut [u8], l4_at: usize, shift: u32) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    change_options(tcp, |options| tcp_options::translate_sack(options, shift));
}

/// Whether data follows the header.
pub(crate) fn has_payload(tcp: &[u8]) -> bool {
    let header_len = tcp.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    tcp.len() > header_len
}

/// Replaces the acknowledgment number and each edge of the SACK blocks by other numbers, and
/// updates the checksum. Each has its own, since an edit of the stream may lie between them.
pub(crate) fn map_acks(frame: &mut [u8], l4_at: usize, map: impl Fn(u32) -> u32) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    if let Some(header) = tcp.first_chunk_mut::<{ TCP_HEADER_LEN }>() {
        let ack = map(field(header, ACK_NUMBER));
        let delta = put_u32(header, ACK_NUMBER, ack);
        apply_delta(header, delta);
    }
    change_options(tcp, |options| tcp_options::map_sack(options, map));
}

/// Replaces the option of TCP Fast Open by NOPs, and updates the checksum.
pub(crate) fn strip_fast_open(frame: &mut [u8], l4_at: usize) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    change_options(tcp, |options| Ok(tcp_options::strip_fast_open(options)));
}

/// Replaces TOA that the sender put there itself by NOPs, and updates the checksum.
pub(crate) fn strip_toa(tcp: &mut [u8]) {
    change_options(tcp, |options| Ok(tcp_options::strip_toa(options)));
}

/// Adds to both timestamps, and updates the checksum.
pub(crate) fn shift_timestamps(frame: &mut [u8], l4_at: usize, value: u32, echo: u32) {
    let tcp = frame.get_mut(l4_at..).unwrap_or_default();
    change_options(tcp, |options| {
        tcp_options::translate_timestamps(options, value, echo)
    });
}

fn change_options(
    tcp: &mut [u8],
    change: impl FnOnce(&mut [u8]) -> Result<Delta, tcp_options::BadOptions>,
) {
    let Some((header, rest)) = tcp.split_first_chunk_mut::<{ TCP_HEADER_LEN }>() else {
        return;
    };
    let options_len = (usize::from(header[12] >> 4) * 4).saturating_sub(header.len());
    if let Some(options) = rest.get_mut(..options_len)
        && let Ok(delta) = change(options)
    {
        apply_delta(header, delta);
    }
}

/// Applies a change to the checksum of a TCP header.
pub(crate) fn apply_delta(tcp: &mut [u8], delta: Delta) {
    if let Some(field) = tcp.get_mut(16..18) {
        let sum = u16::from_be_bytes([field[0], field[1]]);
        field.copy_from_slice(&delta.apply(sum).to_be_bytes());
    }
}

#[inline(never)]
fn edit_options<A: Family>(
    options: &mut [u8],
    segment: Segment,
    conn: &Conn<A>,
    direction: Direction,
) -> Result<Delta, DropReason> {
    let edited = match direction {
        // A dest that opens a conn itself, as in active FTP: the options of the client's SYN-ACK
        // stay.
        Direction::Inbound if segment.has_syn() && conn.tcp_state() == TcpState::Listen => {
            return Ok(Delta::ZERO);
        }
        Direction::Inbound if segment.has_syn() => tcp_options::strip_timestamps(options),
        Direction::Inbound => return Ok(Delta::ZERO),
        Direction::Outbound if segment.has_syn() && conn.flags.is_full_nat() => {
            tcp_options::lower_mss(options, grown_by(conn))
        }
        Direction::Outbound if segment.has_syn() => return Ok(Delta::ZERO),
        Direction::Outbound => tcp_options::translate_sack(options, conn.seq_delta),
    };
    match edited {
        Ok(delta) => Ok(delta),
        // A SYN with broken options is dropped. In other segments, the ends decide.
        Err(_) if segment.has_syn() => Err(DropReason::TcpBadOptions),
        Err(_) => Ok(Delta::ZERO),
    }
}

/// Whether a segment that should carry TOA does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toa {
    /// The option was inserted.
    Inserted,
    /// The TCP header or the mbuf has no room for it.
    NoSpace,
    /// The packet would exceed the MTU.
    OverMtu,
}

/// Inserts the client's address into a segment that is rewritten already, right behind the fixed
/// header. The toa modules of DPVS look there first.
#[inline(never)]
pub(crate) fn insert_toa<A: Family, B: PacketBuf>(
    packet: &mut B,
    l4_at: usize,
    conn: &Conn<A>,
    mtu: u16,
) -> Toa {
    let (addr, port) = conn.client();
    let toa = tcp_options::Toa::of(addr.to_ip(), port);
    let option = toa.bytes();
    let bytes = packet.bytes();
    if bytes.len() - L2_LEN + option.len() > usize::from(mtu) {
        return Toa::OverMtu;
    }
    let Some(header) = bytes
        .get(l4_at..)
        .and_then(<[u8]>::first_chunk::<TCP_HEADER_LEN>)
    else {
        return Toa::NoSpace;
    };
    // Read before the header is moved: a read right behind the stores of the move would wait for
    // them (store-forwarding stall).
    let (offset, flags) = (header[12], header[13]);
    let checksum = u16::from_be_bytes([header[16], header[17]]);
    let segment_len = (bytes.len() - l4_at) as u16;
    let header_len = usize::from(offset >> 4) * 4;
    if header_len + option.len() > LONGEST_HEADER || !packet.prepend(option.len()) {
        return Toa::NoSpace;
    }
    let new_offset = offset + ((option.len() as u8 / 4) << 4);
    let offsets = Delta::of_u16(
        u16::from_be_bytes([offset, flags]),
        u16::from_be_bytes([new_offset, flags]),
    );
    let lens = Delta::of_u16(segment_len, segment_len + option.len() as u16);
    let bytes = packet.bytes_mut();
    bytes.copy_within(option.len()..option.len() + l4_at + TCP_HEADER_LEN, 0);
    family::grow(bytes, option.len() as u16);
    let (header, rest) = bytes[l4_at..].split_at_mut(TCP_HEADER_LEN);
    rest[..option.len()].copy_from_slice(option);
    header[12] = new_offset;
    let checksum = Delta::apply_all([toa.delta(), offsets, lens], checksum);
    header[16..18].copy_from_slice(&checksum.to_be_bytes());
    Toa::Inserted
}

/// Bytes that a client's segments grow by on the way to the dest: TOA or a PROXY header, and IPv6's
/// longer header in NAT46.
fn grown_by<A: Family>(conn: &Conn<A>) -> u16 {
    let (client, _) = conn.client();
    let option = if conn.flags.has(ConnFlags::EDITED) {
        packet::proxy::LONGEST_V1
    } else {
        tcp_options::toa_len(client.to_ip())
    };
    let (before, after) = (
        family::header_len(client),
        family::header_len(conn.real_server().0),
    );
    (option + after.saturating_sub(before)) as u16
}
