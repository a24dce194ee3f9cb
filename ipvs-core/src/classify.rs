//! What kind of packet this is: the first stage, one packet at a time.

use packet::{ChecksumState, PacketBuf};

use crate::drop_reason::DropReason;
use crate::service::Protocol;
use crate::tuple::Tuple;
use packet::ipv4::{self, Ipv4Error, Ipv4Facts};

/// A TCP or UDP packet that may belong to a conn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) tuple: Tuple<[u8; 4]>,
    pub(crate) ip: Ipv4Facts,
    pub(crate) protocol: Protocol,
}

/// Where the packet goes next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Class {
    /// Look the conn up
    Flow(Flow),
    /// An ICMP message
    Icmp(Ipv4Facts),
    /// A fragment
    Fragment(Ipv4Facts),
    /// ARP
    Arp,
    /// Not for the engine
    Kernel,
    /// Not for anyone
    Drop(DropReason),
}

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ICMP: u8 = 1;

/// Classifies a packet that came in by a device with this MAC address.
#[inline]
pub(crate) fn classify<B: PacketBuf>(packet: &mut B, mac: packet::MacAddr) -> Class {
    let Some(ethernet) = packet.bytes().first_chunk::<{ ipv4::L2_LEN }>() else {
        return Class::Drop(DropReason::FrameTooShort);
    };
    let is_group = ethernet[0] & 1 == 1;
    if !is_group && ethernet[..6] != mac.0 {
        return Class::Drop(DropReason::NotForUs);
    }
    match [ethernet[12], ethernet[13]] {
        ETHERTYPE_IPV4 => classify_ipv4(packet).unwrap_or_else(Class::Drop),
        ETHERTYPE_ARP => Class::Arp,
        _ => Class::Kernel,
    }
}

#[inline]
fn classify_ipv4<B: PacketBuf>(packet: &mut B) -> Result<Class, DropReason> {
    let ip = ipv4::check(packet).map_err(reason_of)?;
    if ipv4::is_multicast_or_broadcast(ip.dst) {
        return Ok(Class::Kernel);
    }
    if ipv4::is_martian_source(ip.src) {
        return Err(DropReason::Ipv4Martian);
    }
    if ip.src == ip.dst {
        return Err(DropReason::LandAttack);
    }
    if ip.is_fragment {
        return Ok(Class::Fragment(ip));
    }
    match ip.protocol {
        6 => tcp_ports(packet).map(|ports| flow(ip, Protocol::Tcp, ports)),
        17 => udp_ports(packet).map(|ports| flow(ip, Protocol::Udp, ports)),
        ICMP => Ok(Class::Icmp(ip)),
        _ => Ok(Class::Kernel),
    }
}

const fn reason_of(error: Ipv4Error) -> DropReason {
    match error {
        Ipv4Error::Truncated => DropReason::FrameTooShort,
        Ipv4Error::Malformed => DropReason::Ipv4Malformed,
        Ipv4Error::BadChecksum => DropReason::Ipv4BadChecksum,
    }
}

#[inline]
fn flow(ip: Ipv4Facts, protocol: Protocol, (sport, dport): (u16, u16)) -> Class {
    let tuple = Tuple {
        src: ip.src,
        dst: ip.dst,
        sport,
        dport,
        protocol: ip.protocol,
    };
    Class::Flow(Flow {
        tuple,
        ip,
        protocol,
    })
}

/// The L4 part, found again from the header that [`ipv4::check`] checked.
#[inline]
fn l4<B: PacketBuf>(packet: &B) -> &[u8] {
    let bytes = packet.bytes();
    let header_len = usize::from(bytes.get(ipv4::L2_LEN).copied().unwrap_or(0) & 0x0f) * 4;
    bytes.get(ipv4::L2_LEN + header_len..).unwrap_or_default()
}

#[inline]
fn tcp_ports<B: PacketBuf>(packet: &B) -> Result<(u16, u16), DropReason> {
    let l4 = l4(packet);
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

#[inline]
fn udp_ports<B: PacketBuf>(packet: &B) -> Result<(u16, u16), DropReason> {
    let l4 = l4(packet);
    let header = l4.first_chunk::<8>().ok_or(DropReason::UdpMalformed)?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if len < 8 || len > l4.len() {
        return Err(DropReason::UdpMalformed);
    }
    if packet.l4_checksum() == ChecksumState::Bad {
        return Err(DropReason::UdpBadChecksum);
    }
    Ok(ports(header))
}

#[inline]
fn ports(header: &[u8]) -> (u16, u16) {
    (
        u16::from_be_bytes([header[0], header[1]]),
        u16::from_be_bytes([header[2], header[3]]),
    )
}
