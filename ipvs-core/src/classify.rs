//! What kind of packet this is: the first stage, one packet at a time.

use packet::ip::IpFacts;
use packet::{ChecksumState, PacketBuf, ipv4, ipv6, sctp};

use crate::drop_reason::DropReason;
use crate::family::Family;
use crate::service::Protocol;
use crate::tuple::Tuple;

/// A TCP or UDP packet that may belong to a conn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow<A> {
    pub(crate) tuple: Tuple<A>,
    pub(crate) protocol: Protocol,
    /// Where the L4 header begins in the frame.
    pub(crate) l4_at: u8,
    /// The first fragment of a packet: its L4 part is not all there.
    pub(crate) is_fragment: bool,
    /// Bytes of the IP packet, header included.
    pub(crate) total_len: u16,
}

impl<A: Family> Flow<A> {
    /// The same in IPv6's form.
    pub(crate) fn to_mapped(self) -> Flow<[u8; 16]> {
        Flow {
            tuple: self.tuple.to_mapped(),
            protocol: self.protocol,
            l4_at: self.l4_at,
            is_fragment: self.is_fragment,
            total_len: self.total_len,
        }
    }
}

/// Where a packet goes that is no [`Flow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// An IPv6 packet, still to be looked at
    Ipv6,
    /// An ICMP message
    Icmp,
    /// A fragment without ports, or of a packet that has none
    Fragment,
    /// AH or ESP
    Ipsec,
    /// ARP
    Arp,
    /// Not for the engine
    Kernel,
    /// Not for anyone
    Drop(DropReason),
}

impl From<DropReason> for Aside {
    #[inline]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ESP: u8 = 50;
const AH: u8 = 51;
const SCTP: u8 = 132;

/// Classifies a packet that came in by a device with this MAC address.
#[inline(always)]
pub(crate) fn classify<B: PacketBuf>(
    packet: &mut B,
    mac: packet::MacAddr,
) -> Result<Flow<[u8; 4]>, Aside> {
    let Some(ethernet) = packet.bytes().first_chunk::<{ ipv4::L2_LEN }>() else {
        return Err(Aside::Drop(DropReason::FrameTooShort));
    };
    let is_group = ethernet[0] & 1 == 1;
    if ethernet[..6] != mac.0 && !is_group {
        return Err(Aside::Drop(DropReason::NotForUs));
    }
    match [ethernet[12], ethernet[13]] {
        ETHERTYPE_IPV4 => classify_ipv4(packet),
        ETHERTYPE_IPV6 => Err(Aside::Ipv6),
        ETHERTYPE_ARP => Err(Aside::Arp),
        _ => Err(Aside::Kernel),
    }
}

#[inline(always)]
fn classify_ipv4<B: PacketBuf>(packet: &mut B) -> Result<Flow<[u8; 4]>, Aside> {
    let ip = <[u8; 4]>::check(packet)?;
    if ipv4::is_multicast_or_broadcast(ip.dst) {
        return Err(Aside::Kernel);
    }
    if ipv4::is_martian_source(ip.src) {
        return Err(Aside::Drop(DropReason::Ipv4Martian));
    }
    if ip.src == ip.dst {
        return Err(Aside::Drop(DropReason::LandAttack));
    }
    if ip.is_fragment && (ip.fragment_offset != 0 || !matches!(ip.protocol, TCP | UDP | SCTP)) {
        return Err(Aside::Fragment);
    }
    flow_by_ports(packet, &ip, ICMP)
}

/// Router and neighbour solicitations and advertisements, and redirects: RFC 4861, 4.
pub(crate) fn is_neighbour_discovery(frame: &[u8], ip: &IpFacts<[u8; 16]>) -> bool {
    let kind = frame.get(usize::from(ip.l4_at));
    ip.protocol == ICMPV6 && !ip.is_fragment && kind.is_some_and(|kind| (133..=137).contains(kind))
}

/// What kind of packet this is, by its header that was checked. Never [`Aside::Ipv6`] or [`Aside::Arp`].
pub(crate) fn flow_of_ipv6<B: PacketBuf>(
    packet: &B,
    ip: &IpFacts<[u8; 16]>,
) -> Result<Flow<[u8; 16]>, Aside> {
    if ip.is_fragment && (ip.fragment_offset != 0 || !matches!(ip.protocol, TCP | UDP | SCTP)) {
        return Err(Aside::Fragment);
    }
    if ipv6::is_multicast(&ip.dst) {
        return Err(Aside::Kernel);
    }
    if ipv6::is_martian_source(&ip.src) {
        return Err(Aside::Drop(DropReason::Ipv6Martian));
    }
    if ip.src == ip.dst {
        return Err(Aside::Drop(DropReason::LandAttack));
    }
    flow_by_ports(packet, ip, ICMPV6)
}

/// What has ports; `icmp` is the number of the family's own messages.
#[inline(always)]
fn flow_by_ports<A: Family, B: PacketBuf>(
    packet: &B,
    ip: &IpFacts<A>,
    icmp: u8,
) -> Result<Flow<A>, Aside> {
    let (protocol, (sport, dport)) = match ip.protocol {
        TCP => (Protocol::Tcp, tcp_ports(packet, ip.l4_at)?),
        UDP => (Protocol::Udp, udp_ports(packet, ip.l4_at, ip.is_fragment)?),
        SCTP => (Protocol::Sctp, sctp_ports(packet, ip.l4_at)?),
        ESP | AH => return Err(Aside::Ipsec),
        number if number == icmp => return Err(Aside::Icmp),
        _ => return Err(Aside::Kernel),
    };
    Ok(Flow {
        tuple: Tuple {
            src: ip.src,
            dst: ip.dst,
            sport,
            dport,
            protocol: ip.protocol,
        },
        protocol,
        l4_at: ip.l4_at,
        is_fragment: ip.is_fragment,
        total_len: ip.total_len,
    })
}

#[inline(always)]
fn tcp_ports<B: PacketBuf>(packet: &B, l4_at: u8) -> Result<(u16, u16), DropReason> {
    let l4 = packet.bytes().get(usize::from(l4_at)..).unwrap_or_default();
    let header = l4.first_chunk::<20>().ok_or(DropReason::TcpMalformed)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < 20 || header_len > l4.len() {
        return Err(DropReason::TcpMalformed);
    }
    if packet.l4_checksum() == ChecksumState::Bad {
        return Err(DropReason::TcpBadChecksum);
    }
    Ok(ports(header))
}

#[inline(always)]
fn udp_ports<B: PacketBuf>(
    packet: &B,
    l4_at: u8,
    is_fragment: bool,
) -> Result<(u16, u16), DropReason> {
    let l4 = packet.bytes().get(usize::from(l4_at)..).unwrap_or_default();
    let header = l4.first_chunk::<8>().ok_or(DropReason::UdpMalformed)?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if len < 8 || len > l4.len() && !is_fragment {
        return Err(DropReason::UdpMalformed);
    }
    if packet.l4_checksum() == ChecksumState::Bad {
        return Err(DropReason::UdpBadChecksum);
    }
    Ok(ports(header))
}

#[inline(always)]
fn ports(header: &[u8]) -> (u16, u16) {
    let ports = header
        .first_chunk()
        .map_or(0, |ports| u32::from_be_bytes(*ports));
    ((ports >> 16) as u16, ports as u16)
}

#[cold]
fn sctp_ports<B: PacketBuf>(packet: &B, l4_at: u8) -> Result<(u16, u16), DropReason> {
    let l4 = packet.bytes().get(usize::from(l4_at)..);
    sctp::ports(l4.unwrap_or_default()).ok_or(DropReason::SctpMalformed)
}
