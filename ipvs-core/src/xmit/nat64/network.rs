//! The IP header of one family replaces that of the other (RFC 7915, 4.1 and 5.1).

use packet::PacketBuf;
use packet::ip::{IpFacts, NewHeader};
use packet::ipv4::{self, L2_LEN};
use packet::ipv6;

use crate::config::Protocol;
use crate::conn::Found;
use crate::ctx::Forwarder;
use crate::drop_reason::DropReason;
use crate::state::Part;
use crate::tuple::Tuple;
use crate::wire::{Family, Flow, UDP_CHECKSUM, family, give_checksum, resize_head};

/// IPv4 packets up to this length leave without DF, so that routers may fragment them: RFC 7915,
/// 5.1.
const MAY_BE_FRAGMENTED: u16 = 1260;

impl<A: Family, B: PacketBuf> Forwarder<'_, A, B> {
    /// Replaces the IP header. Returns the flow with the new offset and length; the L4 header is
    /// rewritten later, as in any other packet.
    #[inline(never)]
    pub(in crate::xmit) fn replace_network(
        &mut self,
        packet: &mut B,
        flow: &Flow<A>,
        found: Found,
        longest: u16,
    ) -> Result<Flow<A>, DropReason> {
        let piece = if flow.is_fragment {
            Some(self.piece_of(&A::check(packet)?))
        } else {
            None
        };
        // A UDP datagram without a checksum needs one over IPv6. It cannot be computed from a
        // fragment: RFC 7915, 4.5.
        let udp = flow.l4(packet.bytes());
        let has_no_checksum = udp.get(UDP_CHECKSUM) == Some(&[0, 0]);
        if piece.is_some() && flow.protocol() == Protocol::Udp && has_no_checksum {
            return Err(DropReason::Fragment);
        }
        let to = self.family.conns.get(found.id).rewritten(found.direction);
        let l4_len = L2_LEN as u16 + flow.total_len - u16::from(flow.l4_at);
        let l4_at = L2_LEN + family::header_len(to.src) + fragment_header_len(&to, piece);
        let total_len = l4_len
            .checked_add((l4_at - L2_LEN) as u16)
            .filter(|total_len| *total_len <= longest)
            .ok_or(DropReason::MtuExceeded)?;
        self.replace_header(packet, usize::from(flow.l4_at), &to, l4_len, piece)?;
        Ok(Flow {
            l4_at: l4_at as u8,
            total_len,
            ..*flow
        })
    }

    /// Replaces the IP header of a fragment whose L4 header is not rewritten. Extension headers are
    /// left out, as in a whole packet (RFC 7915, 5.1). The first fragment has told their length, by
    /// which the offsets of later ones move.
    pub(in crate::xmit) fn replace_network_of_fragment(
        &mut self,
        packet: &mut B,
        ip: &IpFacts<A>,
        found: Found,
        part: Part,
    ) -> Result<(), DropReason> {
        let to = self.family.conns.get(found.id).rewritten(found.direction);
        let l4_len = L2_LEN as u16 + ip.total_len - u16::from(ip.l4_at);
        let mut piece = self.piece_of(ip);
        if let Part::Later {
            options_len: options_len @ 1..,
        } = part
        {
            piece.offset = offset_without(options_len, piece.offset, to.protocol)?;
        }
        self.replace_header(packet, usize::from(ip.l4_at), &to, l4_len, Some(piece))
    }

    /// Computes the UDP checksum where IPv6 asks for one. Called when the whole packet is
    /// rewritten.
    #[inline(never)]
    pub(in crate::xmit) fn complete_replaced(&self, packet: &mut B, flow: &Flow<A>, found: Found) {
        let to = self.family.conns.get(found.id).rewritten(found.direction);
        if flow.protocol() == Protocol::Udp && !to.src.is_mapped() {
            give_checksum(packet.bytes_mut(), &to, usize::from(flow.l4_at));
        }
    }

    fn piece_of(&self, ip: &IpFacts<A>) -> Piece {
        Piece {
            offset: ip.fragment_offset,
            more: ip.more_fragments,
            identification: self.identification_of(ip),
        }
    }

    /// Replaces the IP header by one between the addresses of `to`.
    fn replace_header(
        &mut self,
        packet: &mut B,
        old_l4_at: usize,
        to: &Tuple<A>,
        l4_len: u16,
        piece: Option<Piece>,
    ) -> Result<(), DropReason> {
        let ttl = A::ttl(packet.bytes()) - 1;
        let traffic_class = family::traffic_class(packet.bytes().get(L2_LEN..).unwrap_or_default());
        let new = L2_LEN + family::header_len(to.src);
        resize_head(packet, old_l4_at, new + fragment_header_len(to, piece))?;
        if let Some(piece) = piece {
            let frame = packet.bytes_mut();
            family::write_ethertype(frame, to.src);
            let ip = frame.get_mut(L2_LEN..).unwrap_or_default();
            write_piece(ip, to, l4_len, (ttl, traffic_class), piece);
            return Ok(());
        }
        let dont_fragment = l4_len + (new - L2_LEN) as u16 > MAY_BE_FRAGMENTED;
        let header = NewHeader {
            ttl,
            traffic_class,
            identification: if dont_fragment {
                0
            } else {
                let dst = to.dst.low_bits().to_be_bytes();
                self.shared.identifications.next_to(dst)
            },
            dont_fragment,
            ..NewHeader::of_ours(to.src, to.dst, to.protocol, l4_len)
        };
        family::write_header(packet.bytes_mut(), &header);
        Ok(())
    }
}

/// The part of a packet that a fragment is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) offset: u16,
    pub(super) more: bool,
    pub(super) identification: u32,
}

/// The offset of a later fragment once the extension headers are left out. A fragment that begins
/// within these headers, or where the L4 header begins, overlaps the first one (RFC 5722). Over
/// IPv4 it could replace its ports, so it is dropped.
fn offset_without(options_len: u16, offset: u16, protocol: u8) -> Result<u16, DropReason> {
    match offset.saturating_sub(options_len) {
        0 => Err(DropReason::Fragment),
        8 if protocol == Protocol::Tcp.number() => Err(DropReason::TinyFragment),
        rest => Ok(rest),
    }
}

/// Bytes of the fragment header that IPv6 needs.
pub(super) fn fragment_header_len<A: Family>(to: &Tuple<A>, piece: Option<Piece>) -> usize {
    if piece.is_some() && !to.src.is_mapped() {
        ipv6::FRAGMENT_HEADER_LEN
    } else {
        0
    }
}

/// Writes the IP header of a fragment at the start of `ip`: RFC 7915, 4.1 and 5.1.1.
pub(super) fn write_piece<A: Family>(
    ip: &mut [u8],
    to: &Tuple<A>,
    l4_len: u16,
    (ttl, traffic_class): (u8, u8),
    piece: Piece,
) {
    let is_v4 = to.src.is_mapped();
    let (protocol, payload_len) = if is_v4 {
        (to.protocol, l4_len)
    } else {
        (ipv6::FRAGMENT, l4_len + ipv6::FRAGMENT_HEADER_LEN as u16)
    };
    let header = NewHeader {
        ttl,
        traffic_class,
        identification: piece.identification as u16,
        dont_fragment: false,
        ..NewHeader::of_ours(to.src, to.dst, protocol, payload_len)
    };
    family::write_ip_header(ip, &header);
    if is_v4 {
        if let Some(header) = ip.first_chunk_mut() {
            ipv4::set_fragment(header, piece.offset, piece.more);
        }
    } else if let Some(place) = ip
        .get_mut(ipv6::HEADER_LEN..)
        .and_then(<[u8]>::first_chunk_mut)
    {
        *place = ipv6::fragment_header(to.protocol, piece.offset, piece.more, piece.identification);
    }
}
