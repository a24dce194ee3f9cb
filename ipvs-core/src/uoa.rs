//! UOA towards dests: the first datagrams of a conn tell the client's address.

use std::net::SocketAddr;

use packet::PacketBuf;
use packet::checksum::Delta;
use packet::ipv4::{self, L2_LEN};
use packet::uoa::{Mode, PROTOCOL, Uoa};

use crate::classify::Flow;
use crate::conn::{Direction, Found};
use crate::family::{self, Family};
use crate::lane::Forwarder;
use crate::service::Protocol;

/// Where an IPv4 header has its version and length, and its protocol.
const VERSION_AND_LEN: usize = L2_LEN;
const V4_PROTOCOL: usize = L2_LEN + 9;
/// Where an IPv6 header has the number of the next one.
const V6_NEXT_HEADER: usize = L2_LEN + 6;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Puts it into a datagram that was rewritten, as long as the dest may not have seen it. One that has no room for
    /// it goes without, and the next one tells.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell_by_uoa(&mut self, packet: &mut B, flow: &Flow<A>, found: Found, mtu: u16) {
        let extra = self.lane.extras.get(found.id);
        let is_due = found.direction == Direction::Inbound && extra.uoa_left > 0;
        if !is_due || flow.protocol != Protocol::Udp {
            return;
        }
        let mode = if extra.uoa_by_option == 0 {
            Mode::OwnProtocol
        } else {
            Mode::IpOption
        };
        let (addr, port) = self.lane.conns.get(found.id).client();
        let uoa = Uoa::new(mode, SocketAddr::new(addr.to_ip(), port));
        if insert(packet, flow, mode, &uoa, mtu) {
            self.lane.extras.get_mut(found.id).uoa_left -= 1;
            self.shared.stats.uoa_sent.add(1);
        } else {
            self.shared.stats.uoa_no_space.add(1);
        }
    }
}

/// `false`, and nothing has changed, if the packet has no room.
fn insert<A, B: PacketBuf>(
    packet: &mut B,
    flow: &Flow<A>,
    mode: Mode,
    uoa: &Uoa,
    mtu: u16,
) -> bool {
    let bytes = uoa.bytes();
    let is_ipv4 = family::is_ipv4(packet.bytes());
    let header_len = if is_ipv4 {
        ipv4::HEADER_LEN
    } else {
        packet::ipv6::HEADER_LEN
    };
    let at = L2_LEN + header_len;
    // Options and extension headers that are there already would be in the way of it.
    let is_plain = usize::from(flow.l4_at) == at && !flow.is_fragment;
    let fits = usize::from(flow.total_len) + bytes.len() <= usize::from(mtu);
    let is_possible = mode == Mode::OwnProtocol || is_ipv4;
    if !(is_plain && fits && is_possible && packet.prepend(bytes.len())) {
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

/// Replaces a byte of an IPv4 header.
fn put(frame: &mut [u8], at: usize, new: u8) {
    let even = at & !1;
    let word = |frame: &[u8]| u16::from_be_bytes([frame[even], frame[even + 1]]);
    let old = word(frame);
    frame[at] = new;
    let delta = Delta::of_u16(old, word(frame));
    apply(frame, delta);
}

/// Changes the checksum of an IPv4 header.
fn apply(frame: &mut [u8], delta: Delta) {
    let field = &mut frame[L2_LEN + 10..L2_LEN + 12];
    let sum = u16::from_be_bytes([field[0], field[1]]);
    field.copy_from_slice(&delta.apply(sum).to_be_bytes());
}
