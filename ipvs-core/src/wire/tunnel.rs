//! Tunnels: IP in IP, GRE and GUE. The inner and the outer packet may be of different families.

use std::net::IpAddr;

use packet::PacketBuf;
use packet::eth::ETHERTYPE_AT;
use packet::ip::NewHeader;
use packet::ip::proto;
use packet::ipv4::{self, Around, L2_LEN};
use packet::{ipv6, udp};

use crate::config::{Encapsulation, FwdMode};
use crate::conn::Conn;
use crate::direction::Direction;
use crate::drop_reason::DropReason;
use crate::state::Identifications;
use crate::wire::family::{self, Family};
use packet::ip::DEFAULT_TTL;

/// Bytes of a GRE header without options: no checksum, version 0, and the EtherType of the inner
/// packet (RFC 2784, 2).
pub(crate) const GRE_LEN: usize = 4;
/// Bytes of a GUE header: version 0, no options, a data message, and the inner protocol
/// (draft-ietf-intarea-gue, 3.1).
pub(crate) const GUE_LEN: usize = 4;
/// The source port of a UDP tunnel is a hash of the flow, in the range of dynamic ports: RFC 7348,
/// 5.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// Bytes that the inbound packets of a conn grow by.
#[inline]
pub(crate) fn overhead<A: Family>(conn: &Conn<A>, fwdmode: FwdMode) -> u16 {
    match fwdmode {
        FwdMode::Tunnel(encapsulation) => {
            (family::header_len(conn.real_server().0) + shim_len(encapsulation)) as u16
        }
        _ => 0,
    }
}

/// Bytes between the outer and the inner IP header.
const fn shim_len(encapsulation: Encapsulation) -> usize {
    match encapsulation {
        Encapsulation::IpIp => 0,
        Encapsulation::Gre => GRE_LEN,
        Encapsulation::Gue(_) => udp::HEADER_LEN + GUE_LEN,
    }
}

/// Fast path of IPv4 in IPv4, for a plain packet without the reserved flag: writes the outer header
/// and decrements the inner time to live. `total_len` is the length of the outer packet. Returns
/// the new frame; the caller writes the MAC addresses.
#[inline(always)]
pub(crate) fn wrap_plain<'p, A: Family, B: PacketBuf>(
    packet: &'p mut B,
    conn: &Conn<A>,
    total_len: u16,
    identifications: &Identifications,
) -> Result<&'p mut [u8], DropReason> {
    let to = conn.rewritten(Direction::Inbound);
    let (IpAddr::V4(src), IpAddr::V4(dst)) = (to.src.to_ip(), to.dst.to_ip()) else {
        return Err(DropReason::NoRoute);
    };
    if !packet.prepend(ipv4::HEADER_LEN) {
        return Err(DropReason::NoHeadroom);
    }
    let frame = packet.bytes_mut();
    let head = frame.first_chunk_mut();
    let head: &mut [u8; L2_LEN + 2 * ipv4::HEADER_LEN] = head.ok_or(DropReason::FrameTooShort)?;
    let (ethernet, ip) = head.split_at_mut(L2_LEN);
    let headers = ip.as_chunks_mut().0.first_chunk_mut();
    let headers = headers.ok_or(DropReason::FrameTooShort)?;
    ethernet[ETHERTYPE_AT..].copy_from_slice(&family::ETHERTYPE_IPV4);
    let around = Around {
        total_len,
        ttl: DEFAULT_TTL,
        protocol: proto::IPIP,
        src: src.octets(),
        dst: dst.octets(),
        delta: conn.l3_delta(Direction::Inbound),
    };
    ipv4::wrap_plain(headers, &around);
    ipv4::renumber(&mut headers[0], || identifications.next_to(dst.octets()));
    Ok(frame)
}

/// Puts any packet of a conn into an outer packet to its dest. `flow_hash` spreads flows over the
/// paths of ECMP. The caller writes the MAC addresses.
///
/// RFC 2003, 3.1: an inner packet that must not be fragmented must not be fragmented outside
/// either. An outer packet that may be fragmented has an identification of its own, since packets
/// of many senders go from here to the dest.
pub(crate) fn encapsulate<A: Family, B: PacketBuf>(
    packet: &mut B,
    conn: &Conn<A>,
    encapsulation: Encapsulation,
    identifications: &Identifications,
    flow_hash: impl FnOnce() -> u64,
) -> Result<(), DropReason> {
    let to = conn.rewritten(Direction::Inbound);
    let shim_len = shim_len(encapsulation);
    let grown = family::header_len(to.dst) + shim_len;
    let inside = Inside::of(packet.bytes()).ok_or(DropReason::FrameTooShort)?;
    if !packet.prepend(grown) {
        return Err(DropReason::NoHeadroom);
    }
    let bytes = packet.bytes_mut();
    let inner_len = bytes.len() - L2_LEN - grown;
    let header = NewHeader {
        // RFC 6040, 4.1: DSCP and ECN are copied.
        traffic_class: inside.traffic_class,
        identification: if inside.dont_fragment {
            0
        } else {
            identifications.next_to(to.dst.low_bits().to_be_bytes())
        },
        dont_fragment: inside.dont_fragment,
        ..NewHeader::of_ours(
            to.src,
            to.dst,
            inside.outer_protocol(encapsulation),
            (shim_len + inner_len) as u16,
        )
    };
    family::write_header(bytes, &header);
    let shim = &mut bytes[L2_LEN + grown - shim_len..][..shim_len];
    inside.write_shim(shim, encapsulation, flow_hash, inner_len);
    Ok(())
}

/// What the outer header takes over from the inner packet.
struct Inside {
    is_ipv4: bool,
    ethertype: [u8; 2],
    traffic_class: u8,
    dont_fragment: bool,
}

impl Inside {
    /// `None` if the frame is too short for an IP header.
    fn of(frame: &[u8]) -> Option<Self> {
        let head = frame.get(ETHERTYPE_AT..)?.first_chunk::<9>()?;
        let [a, b, first, second, _, _, _, _, flags] = *head;
        let inside = Self {
            is_ipv4: first >> 4 == 4,
            ethertype: [a, b],
            traffic_class: second,
            dont_fragment: flags & 0x40 != 0,
        };
        Some(if inside.is_ipv4 {
            inside
        } else {
            Self {
                traffic_class: first << 4 | second >> 4,
                // RFC 2473, 7.1 and RFC 4213, 3.2.1: what is as long as any IPv6 link must take is
                // fragmented outside if need be.
                dont_fragment: frame.len() > L2_LEN + usize::from(ipv6::LEAST_MTU),
                ..inside
            }
        })
    }

    const fn protocol(&self) -> u8 {
        if self.is_ipv4 {
            proto::IPIP
        } else {
            proto::IPV6
        }
    }

    const fn outer_protocol(&self, encapsulation: Encapsulation) -> u8 {
        match encapsulation {
            Encapsulation::IpIp => self.protocol(),
            Encapsulation::Gre => proto::GRE,
            Encapsulation::Gue(_) => proto::UDP,
        }
    }

    fn write_shim(
        &self,
        shim: &mut [u8],
        encapsulation: Encapsulation,
        flow_hash: impl FnOnce() -> u64,
        inner_len: usize,
    ) {
        match encapsulation {
            Encapsulation::IpIp => {}
            Encapsulation::Gre => {
                shim[..2].fill(0);
                shim[2..].copy_from_slice(&self.ethertype);
            }
            Encapsulation::Gue(port) => {
                let (udp, gue) = shim.split_at_mut(udp::HEADER_LEN);
                let sport = FIRST_DYNAMIC_PORT | flow_hash() as u16;
                udp[0..2].copy_from_slice(&sport.to_be_bytes());
                udp[2..4].copy_from_slice(&port.to_be_bytes());
                let udp_len = (udp::HEADER_LEN + GUE_LEN + inner_len) as u16;
                udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
                // RFC 768: no checksum. RFC 6935 allows that for tunnels over IPv6. The inner
                // packet has its own.
                udp[6..8].fill(0);
                gue.copy_from_slice(&[0, self.protocol(), 0, 0]);
            }
        }
    }
}
