//! ICMP errors from routers between the director and a tunnel's dest. They quote the outer packet.
//! The client gets an error about its own packet instead (RFC 2003, 4; RFC 2473, 8).

use packet::PacketBuf;
use packet::checksum;
use packet::ip::proto;
use packet::ip::{IpFacts, NewHeader};
use packet::ipv4::L2_LEN;
use packet::{ipv6, udp};

use crate::config::{FwdMode, Protocol};
use crate::conn::Found;
use crate::ctx::{Engine, Forwarder};
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::io::Io;
use crate::tuple::Tuple;
use crate::wire::{
    Family, LONGEST_ICMP_ERROR, LONGEST_ICMPV6_ERROR, family, icmp_quote, resize_head, tunnel,
};

/// Types and codes: fragmentation needed (RFC 792), packet too big (RFC 4443, 3.2).
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
const PACKET_TOO_BIG: (u8, u8) = (2, 0);

/// What such an error says.
#[derive(Debug, Clone, Copy)]
struct TunnelError {
    /// Offset of the client's packet in the frame
    inner_at: usize,
    /// MTU of the path to the dest, if the packet was too big for it
    mtu: Option<u32>,
    /// It may be about a UDP datagram of a service instead of a GUE packet
    may_be_udp: bool,
}

impl<B: PacketBuf> Engine<B> {
    /// Relays an error that quotes a tunnel's packet. Any other error comes back.
    pub(crate) fn relay_tunnel_error<A: Family>(
        &mut self,
        packet: B,
        ip: &IpFacts<A>,
        io: &mut impl Io<B>,
    ) -> Option<B> {
        let Some(error) = read(packet.bytes(), ip) else {
            return Some(packet);
        };
        let inner = packet.bytes().get(error.inner_at..).unwrap_or_default();
        let mut client = None;
        if let Some(tuple) = inner_tuple::<[u8; 4]>(inner) {
            if let Some(found) = self.v4.conns.find(&tuple) {
                return self.v4().send_error_to_client(packet, error, found, io);
            }
            if let Some(found) = self.v6.conns.find(&tuple.to_mapped()) {
                return self.v6().send_error_to_client(packet, error, found, io);
            }
            client = Some(tuple.to_mapped());
        } else if let Some(tuple) = inner_tuple::<[u8; 16]>(inner) {
            if let Some(found) = self.v6.conns.find(&tuple) {
                return self.v6().send_error_to_client(packet, error, found, io);
            }
            client = Some(tuple);
        }
        let next = client.and_then(|tuple| self.shared.next_of_client(&packet, &tuple));
        match next {
            Some(worker) if !error.may_be_udp => {
                self.shared.redirect(packet, worker, io);
                None
            }
            _ => Some(packet),
        }
    }
}

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    fn send_error_to_client(
        &mut self,
        mut packet: B,
        error: TunnelError,
        found: Found,
        io: &mut impl Io<B>,
    ) -> Option<B> {
        let conn = self.family.conns.get(found.id);
        if !matches!(conn.fwdmode(), FwdMode::Tunnel(_)) || found.direction != Direction::Inbound {
            return Some(packet);
        }
        let way = match self.way_of(found.id, Direction::Outbound) {
            Ok(way) => way,
            Err(reason) => {
                self.shared.drop(packet, reason);
                return None;
            }
        };
        match self.write_error(&mut packet, error, found) {
            Ok(()) => self.deliver(packet, way, io),
            Err(reason) => self.shared.drop(packet, reason),
        }
        None
    }

    /// Writes the error from the VIP to the client, about the packet that the client had sent.
    fn write_error(
        &self,
        packet: &mut B,
        error: TunnelError,
        found: Found,
    ) -> Result<(), DropReason> {
        let conn = self.family.conns.get(found.id);
        let ((client, _), (vip, _)) = (conn.client(), conn.vip());
        let is_v4 = vip.to_ip().is_ipv4();
        let icmp_at = L2_LEN + family::header_len(vip);
        resize_head(
            packet,
            error.inner_at,
            icmp_at + icmp_quote::ICMP_HEADER_LEN,
        )?;
        let (protocol, longest) = if is_v4 {
            (Protocol::Icmp, LONGEST_ICMP_ERROR)
        } else {
            (Protocol::IcmpV6, LONGEST_ICMPV6_ERROR)
        };
        packet.truncate(L2_LEN + longest);
        let inside = error
            .mtu
            .map(|mtu| mtu.saturating_sub(tunnel::overhead(conn, conn.fwdmode()).into()));
        // Any other error about the outer packet means that the dest is unreachable.
        let ((kind, code), rest) = match (inside, is_v4) {
            (Some(mtu), true) => (FRAGMENTATION_NEEDED, mtu & 0xffff),
            (Some(mtu), false) => (PACKET_TOO_BIG, mtu.max(ipv6::LEAST_MTU.into())),
            (None, true) => ((3, 1), 0),
            (None, false) => ((1, 3), 0),
        };
        let frame = packet.bytes_mut();
        let icmp_len = (frame.len() - icmp_at) as u16;
        let header = NewHeader::of_ours(vip, client, protocol.number(), icmp_len);
        family::write_header(frame, &header);
        let icmp = &mut frame[icmp_at..];
        icmp[..4].copy_from_slice(&[kind, code, 0, 0]);
        icmp[4..8].copy_from_slice(&rest.to_be_bytes());
        icmp_quote::write_checksum(icmp, vip, client);
        Ok(())
    }
}

/// Reads an error that quotes a packet inside another one. `None` for any other error, or if the
/// checksum is wrong.
fn read<A: Family>(frame: &[u8], ip: &IpFacts<A>) -> Option<TunnelError> {
    let icmp = frame.get(usize::from(ip.l4_at)..)?;
    let [kind, code, _, _, rest @ ..] = *icmp.first_chunk::<{ icmp_quote::ICMP_HEADER_LEN }>()?;
    if !A::is_icmp_error(kind) {
        return None;
    }
    let quoted = icmp.get(icmp_quote::ICMP_HEADER_LEN..)?;
    let outer = A::check_quoted(quoted)?;
    let shim = match outer.protocol {
        proto::IPIP | proto::IPV6 => 0,
        proto::GRE => tunnel::GRE_LEN,
        proto::UDP => udp::HEADER_LEN + tunnel::GUE_LEN,
        _ => return None,
    };
    let pseudo = A::icmp_pseudo_header(ip.src, ip.dst, icmp.len() as u16);
    if outer.src != ip.dst || checksum::fold(checksum::sum(icmp) + pseudo) != 0xffff {
        return None;
    }
    let is_ipv4 = family::is_ipv4(frame);
    let is_mtu = (kind, code)
        == if is_ipv4 {
            FRAGMENTATION_NEEDED
        } else {
            PACKET_TOO_BIG
        };
    let rest = u32::from_be_bytes(rest);
    let mtu = if is_ipv4 { rest & 0xffff } else { rest };
    Some(TunnelError {
        inner_at: usize::from(ip.l4_at) + icmp_quote::ICMP_HEADER_LEN + usize::from(outer.l4_at)
            - L2_LEN
            + shim,
        mtu: is_mtu.then_some(mtu),
        may_be_udp: outer.protocol == proto::UDP,
    })
}

/// The tuple of a quoted inner packet. `None` if it is cut before the ports.
fn inner_tuple<A: Family>(inner: &[u8]) -> Option<Tuple<A>> {
    let is_ipv4 = inner.first()? >> 4 == 4;
    if is_ipv4 != (size_of::<A>() == 4) {
        return None;
    }
    let ip = A::check_quoted(inner)?;
    let l4 = inner.get(usize::from(ip.l4_at) - L2_LEN..)?;
    let [a, b, c, d] = *l4.first_chunk()?;
    Some(Tuple {
        src: ip.src,
        dst: ip.dst,
        sport: u16::from_be_bytes([a, b]),
        dport: u16::from_be_bytes([c, d]),
        protocol: ip.protocol,
    })
}
