//! UOA: the first datagrams of a conn tell the dest the client's address.

use std::net::SocketAddr;

use packet::checksum::Delta;
use packet::ipv4::{self, L2_LEN};
use packet::udp;
use packet::uoa::{Mode, PROTOCOL, Uoa};
use packet::{PacketBuf, PortId};

use crate::config::Protocol;
use crate::conn::{ConnId, Found};
use crate::ctx::Forwarder;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::wire::{Family, Flow, family, write_datagram};

/// Offsets of version and header length, and of the protocol, in a frame with IPv4.
const VERSION_AND_LEN: usize = L2_LEN;
const V4_PROTOCOL: usize = L2_LEN + 9;
/// Offset of the next header in a frame with IPv6.
const V6_NEXT_HEADER: usize = L2_LEN + 6;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Inserts UOA into a datagram that is rewritten, as long as the dest may not know the client.
    /// A datagram without room goes without, and the next one has UOA. The conn's first one is
    /// preceded by an empty datagram with UOA.
    #[cold]
    #[inline(never)]
    pub(crate) fn put_uoa(&mut self, packet: &mut B, flow: &Flow<A>, found: Found, mtu: u16) {
        let ext = self.family.exts.get(found.id);
        let is_due = found.direction == Direction::Inbound && ext.uoa_left > 0;
        if !is_due || flow.protocol() != Protocol::Udp {
            return;
        }
        let fits = usize::from(mtu.saturating_sub(flow.total_len));
        if !flow.is_fragment && self.insert_uoa(packet, flow.l4_at, found.id, fits) {
            self.note_uoa_sent(found.id);
        } else {
            self.family.exts.get_mut(found.id).uoa_is_owed = 1;
            self.shared.stats.uoa_no_space.add(1);
        }
    }

    /// An empty datagram with UOA, to go ahead of one that had no room for it. DPVS does the same.
    /// `None` if none is due.
    #[cold]
    #[inline(never)]
    pub(crate) fn uoa_datagram(
        &mut self,
        port: PortId,
        found: Found,
        mtu: u16,
        io: &mut impl Io<B>,
    ) -> Option<B> {
        let is_owed = self.family.exts.get(found.id).uoa_is_owed != 0;
        if !is_owed || found.direction != Direction::Inbound {
            return None;
        }
        let tuple = self
            .family
            .conns
            .get(found.id)
            .rewritten(Direction::Inbound);
        let l4_at = L2_LEN + family::header_len(tuple.src);
        let mut packet = self.shared.originate(port, l4_at + udp::HEADER_LEN, io)?;
        write_datagram(packet.bytes_mut(), &tuple, l4_at, &[]);
        if !self.insert_uoa(&mut packet, l4_at as u8, found.id, usize::from(mtu)) {
            self.shared.drop(packet, DropReason::NoHeadroom);
            return None;
        }
        self.note_uoa_sent(found.id);
        Some(packet)
    }

    fn note_uoa_sent(&mut self, id: ConnId) {
        let ext = self.family.exts.get_mut(id);
        ext.uoa_left -= 1;
        ext.uoa_is_owed = 0;
        self.shared.stats.uoa_sent.add(1);
    }

    /// Inserts UOA. `false` if it does not fit into `fitting` bytes or the mbuf has no room;
    /// nothing has changed then.
    fn insert_uoa(&self, packet: &mut B, l4_at: u8, id: ConnId, fitting: usize) -> bool {
        let mode = if self.family.exts.get(id).uoa_by_option == 0 {
            Mode::OwnProtocol
        } else {
            Mode::IpOption
        };
        let (addr, port) = self.family.conns.get(id).client();
        let uoa = Uoa::new(mode, SocketAddr::new(addr.to_ip(), port));
        uoa.bytes().len() <= fitting && insert(packet, l4_at, mode, &uoa)
    }
}

/// Inserts UOA. `false` if the mbuf has no room or the packet cannot carry it; nothing has changed
/// then.
fn insert<B: PacketBuf>(packet: &mut B, l4_at: u8, mode: Mode, uoa: &Uoa) -> bool {
    let bytes = uoa.bytes();
    let is_ipv4 = family::is_ipv4(packet.bytes());
    let header_len = if is_ipv4 {
        ipv4::HEADER_LEN
    } else {
        packet::ipv6::HEADER_LEN
    };
    let at = L2_LEN + header_len;
    // UOA goes right behind the fixed header. Options and extension headers would be in the way.
    let is_plain = usize::from(l4_at) == at;
    let is_possible = mode == Mode::OwnProtocol || is_ipv4;
    if !(is_plain && is_possible && packet.prepend(bytes.len())) {
        return false;
    }
    let frame = packet.bytes_mut();
    frame.copy_within(bytes.len()..bytes.len() + at, 0);
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    family::grow(frame, bytes.len() as u16);
    match (mode, is_ipv4) {
        (Mode::IpOption, _) => {
            let longer = frame[VERSION_AND_LEN] + (bytes.len() / 4) as u8;
            put(frame, VERSION_AND_LEN, longer);
            apply(frame, Delta::replace(&[0; 8], bytes));
        }
        (Mode::OwnProtocol, true) => put(frame, V4_PROTOCOL, PROTOCOL),
        (Mode::OwnProtocol, false) => frame[V6_NEXT_HEADER] = PROTOCOL,
    }
    true
}

/// Replaces a byte of an IPv4 header and updates its checksum.
fn put(frame: &mut [u8], at: usize, new: u8) {
    let even = at & !1;
    let word = |frame: &[u8]| u16::from_be_bytes([frame[even], frame[even + 1]]);
    let old = word(frame);
    frame[at] = new;
    let delta = Delta::of_u16(old, word(frame));
    apply(frame, delta);
}

/// Applies a change to the checksum of an IPv4 header.
fn apply(frame: &mut [u8], delta: Delta) {
    let field = &mut frame[L2_LEN + 10..L2_LEN + 12];
    let sum = u16::from_be_bytes([field[0], field[1]]);
    field.copy_from_slice(&delta.apply(sum).to_be_bytes());
}
